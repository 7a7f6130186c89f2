// build/pool.hpp - a column in which equal ranges are stored once.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace flatpoint::build {

/// Appends ranges of values, or finds an equal range appended before. Deterministic: the first of equal ranges stays.
template <class T>
class Pool {
 public:
  /// Where the range begins. Beyond 2^32 values the number wraps; `values().size()` tells, and encoding refuses.
  std::uint32_t add(std::span<const T> range) {
    if (range.empty()) return 0;
    const std::uint64_t hash = XXH3_64bits(range.data(), range.size_bytes());
    const auto [at, is_new] = begins_.try_emplace(hash, values_.size());
    if (!is_new && equals(at->second, range)) return static_cast<std::uint32_t>(at->second);
    const std::size_t begin = values_.size();
    values_.insert(values_.end(), range.begin(), range.end());
    return static_cast<std::uint32_t>(begin);
  }

  [[nodiscard]] const std::vector<T>& values() const noexcept { return values_; }

 private:
  [[nodiscard]] bool equals(std::size_t begin, std::span<const T> range) const noexcept {
    return range.size() <= values_.size() - begin && std::equal(range.begin(), range.end(), values_.begin() + static_cast<std::ptrdiff_t>(begin));
  }

  std::vector<T> values_;
  std::unordered_map<std::uint64_t, std::size_t> begins_;  // hash of a range -> where it begins
};

}  // namespace flatpoint::build
