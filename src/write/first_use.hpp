// write/first_use.hpp - numbers by first use, so that a producer's own numbering leaves no trace in the file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace flatpoint::write {

/// Renumbers a draft's list (names, paths, ...): in the order of first use, equal items as one, unused ones not at all.
class FirstUse {
 public:
  FirstUse() = default;

  /// `less` orders the items; items of which neither is less are equal.
  template <class T, class Less>
  FirstUse(const std::vector<T>& items, Less less) : equal_to_(items.size()), numbers_(items.size(), kUnused) {
    std::vector<std::uint32_t> sorted(items.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::sort(sorted.begin(), sorted.end(), [&](std::uint32_t a, std::uint32_t b) { return less(items[a], items[b]); });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const bool is_new = i == 0 || less(items[sorted[i - 1]], items[sorted[i]]);
      equal_to_[sorted[i]] = is_new ? sorted[i] : equal_to_[sorted[i - 1]];
    }
  }

  /// The number of the draft's item i, given now where it has none yet.
  std::uint32_t number(std::uint32_t i) {
    std::uint32_t& number = numbers_[equal_to_[i]];
    if (number == kUnused) {
      number = static_cast<std::uint32_t>(used_.size());
      used_.push_back(equal_to_[i]);
    }
    return number;
  }

  /// Its number, or 2^32 - 1 where it has none.
  [[nodiscard]] std::uint32_t find(std::uint32_t i) const noexcept { return numbers_[equal_to_[i]]; }

  /// The draft's items that have a number, in its order.
  [[nodiscard]] const std::vector<std::uint32_t>& used() const noexcept { return used_; }

 private:
  static constexpr std::uint32_t kUnused = 0xFFFFFFFF;
  std::vector<std::uint32_t> equal_to_;  // the item that stands for all that are equal to it
  std::vector<std::uint32_t> numbers_;
  std::vector<std::uint32_t> used_;
};

}  // namespace flatpoint::write
