// write/pool.hpp - a column in which equal ranges are stored once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/large_vector.hpp"
#include "base/xxh3.hpp"

namespace flatpoint::write {

/// Appends ranges of values, or finds an equal range appended before. Deterministic: the first of equal ranges stays.
/// Linear whatever the values are: a range that finds no place in kMaxProbes slots is appended and not found again, so
/// that values chosen to collide cost sharing and not time.
template <class T>
class Pool {
 public:
  /// Where the range begins. Beyond 2^32 values the number wraps; `values().size()` tells, and encoding refuses.
  std::uint32_t add(std::span<const T> range) {
    if (range.empty()) return 0;
    if (2 * used_ >= slots_.size()) grow();
    const std::uint64_t hash = XXH3_64bits(range.data(), range.size_bytes());
    std::size_t begin = values_.size();
    for (std::size_t probe = 0; probe < kMaxProbes; ++probe) {
      Slot& slot = slots_[(hash + probe) & (slots_.size() - 1)];
      if (slot.end == 0) {
        slot = {hash, begin + range.size()};
        ++used_;
        break;
      }
      if (slot.hash == hash && ends_with(slot.end, range)) return static_cast<std::uint32_t>(slot.end - range.size());
    }
    values_.resize(begin + range.size());
    std::copy_n(range.data(), range.size(), values_.data() + begin);
    return static_cast<std::uint32_t>(begin);
  }

  void reserve(std::size_t values) { values_.reserve(values); }

  [[nodiscard]] const base::LargeVector<T>& values() const noexcept { return values_; }

 private:
  static constexpr std::size_t kMaxProbes = 32;

  struct Slot {
    std::uint64_t hash = 0;
    std::size_t end = 0;  // of the range in values_; 0: empty
  };

  [[nodiscard]] bool ends_with(std::size_t end, std::span<const T> range) const noexcept {
    return range.size() <= end &&
           std::equal(range.begin(), range.end(), values_.begin() + static_cast<std::ptrdiff_t>(end - range.size()));
  }

  void grow() {
    std::vector<Slot> old(std::max<std::size_t>(16, 2 * slots_.size()));
    old.swap(slots_);
    used_ = 0;
    for (const Slot& moved : old) {
      for (std::size_t probe = 0; moved.end != 0 && probe < kMaxProbes; ++probe) {
        Slot& slot = slots_[(moved.hash + probe) & (slots_.size() - 1)];
        if (slot.end != 0) continue;
        slot = moved;
        ++used_;
        break;
      }
    }
  }

  base::LargeVector<T> values_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::size_t used_ = 0;
};

}  // namespace flatpoint::write
