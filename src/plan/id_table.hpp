// plan/id_table.hpp - numbers distinct values in the order of their first appearance.
#pragma once

#include <cstdint>
#include <vector>

namespace flatpoint::plan {

/// A hash table of numbers; the values that they stand for lie with the caller. Hashes must be seeded
/// (columns/seed.hpp), or a file could be made whose values all collide.
class IdTable {
 public:
  /// The number of an equal value (`equals(number)`), else a new one: 0, 1, 2, ...
  template <class Equals>
  std::uint32_t find_or_add(std::uint64_t hash, Equals&& equals) {
    if (2 * (hashes_.size() + 1) > slots_.size()) grow();
    const std::uint64_t mask = slots_.size() - 1;
    for (std::uint64_t at = hash & mask;; at = (at + 1) & mask) {
      const std::uint32_t slot = slots_[at];
      if (slot == 0) {
        hashes_.push_back(hash);
        slots_[at] = static_cast<std::uint32_t>(hashes_.size());
        return slots_[at] - 1;
      }
      if (hashes_[slot - 1] == hash && equals(slot - 1)) return slot - 1;
    }
  }

 private:
  void grow() {
    slots_.assign(slots_.empty() ? 16 : 2 * slots_.size(), 0);
    const std::uint64_t mask = slots_.size() - 1;
    for (std::uint32_t id = 0; id < hashes_.size(); ++id) {
      std::uint64_t at = hashes_[id] & mask;
      while (slots_[at] != 0) at = (at + 1) & mask;
      slots_[at] = id + 1;
    }
  }

  std::vector<std::uint32_t> slots_;   // number + 1; 0: empty
  std::vector<std::uint64_t> hashes_;  // per number
};

}  // namespace flatpoint::plan
