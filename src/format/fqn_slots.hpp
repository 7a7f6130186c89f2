// format/fqn_slots.hpp - the hash column `fqn_slots`: from an FQN to its entry.
//
// Open addressing over a power of two of slots, at least twice the entries. A slot is 0 (empty) or entry + 1 in its low
// index_bits, below a tag: the top bits of the hash, so that a probe rarely touches an entry that is not the one
// sought. An FQN whose first kMaxProbes slots are all taken is not in the column; readers then search the sorted
// entries.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/xxh3.hpp"
#include "format/constants.hpp"

namespace flatpoint::format {

inline std::uint64_t fqn_hash(std::string_view fqn) noexcept { return XXH3_64bits(fqn.data(), fqn.size()); }

/// How a column for `entries` entries is cut.
class SlotCode {
 public:
  /// The index has bit_width(entries) bits, here without that function's branch for 0.
  explicit SlotCode(std::uint32_t entries) noexcept
      : index_bits_(63U - static_cast<std::uint32_t>(std::countl_zero(std::uint64_t{entries} * 2 + 1))) {}

  [[nodiscard]] std::uint32_t make(std::uint64_t hash, std::uint32_t entry) const noexcept {
    return static_cast<std::uint32_t>(hash >> 32 >> index_bits_ << index_bits_) | (entry + 1);
  }
  /// REQUIRES: slot != 0. May be out of range in a hostile file: an entry number of 2^32 - 1 stands for "none".
  [[nodiscard]] std::uint32_t entry(std::uint32_t slot) const noexcept {
    return (slot & ~static_cast<std::uint32_t>(~std::uint64_t{0} << index_bits_)) - 1;
  }
  [[nodiscard]] bool tag_matches(std::uint32_t slot, std::uint64_t hash) const noexcept {
    return std::uint64_t{slot ^ static_cast<std::uint32_t>(hash >> 32)} >> index_bits_ == 0;
  }
  /// Above these bits lies the tag: the hash's top half without them.
  [[nodiscard]] std::uint32_t index_bits() const noexcept { return index_bits_; }

 private:
  std::uint32_t index_bits_;
};

/// Slots for that many entries: the power of two at or above twice as many, at least 1.
inline std::uint32_t slot_count(std::uint32_t entries) noexcept {
  return entries == 0 ? 1 : std::bit_ceil(2 * entries);
}

/// Fills a column for FQNs given in sorted order. Deterministic: first come, first served.
template <class FqnOf>
std::vector<std::uint32_t> make_fqn_slots(std::uint32_t entries, FqnOf&& fqn_of) {
  std::vector<std::uint32_t> slots(slot_count(entries), 0);
  const auto mask = static_cast<std::uint32_t>(slots.size() - 1);
  const SlotCode code(entries);
  for (std::uint32_t entry = 0; entry < entries; ++entry) {
    const std::uint64_t hash = fqn_hash(fqn_of(entry));
    for (std::uint32_t probe = 0; probe < kMaxProbes; ++probe) {
      std::uint32_t& slot = slots[(static_cast<std::uint32_t>(hash) + probe) & mask];
      if (slot == 0) {
        slot = code.make(hash, entry);
        break;
      }
    }
  }
  return slots;
}

}  // namespace flatpoint::format
