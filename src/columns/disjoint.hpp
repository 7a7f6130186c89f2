// columns/disjoint.hpp - whether boxes overlap.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace flatpoint::columns {

/// Finds two boxes that share an element. One instance is reused over many tensors.
///
/// Along one dimension two intervals overlap when one of them holds the begin of the other. So the boxes are taken
/// twice, as intervals and as begins: a tree that halves the begins tells which intervals hold all begins of a branch,
/// and these alone are compared further, along the next dimension; along the first, one pass over sorted boxes ends it
/// (Zomorodian and Edelsbrunner, "Fast software for box intersections"). That takes O(n log^(k-1) n) steps for boxes
/// that differ along k dimensions, however they lie. Boxes that differ along so many that comparing every pair is less
/// work are compared pair by pair.
class OverlapFinder {
 public:
  using Pair = std::pair<std::uint32_t, std::uint32_t>;

  /// `boxes`: per row `ndim` offsets, then `ndim` sizes; sorted by offset. Any numbers may come: a box with a size
  /// below 1 holds nothing. Returns the rows of two boxes that overlap, the lower first. REQUIRES: ndim > 0.
  std::optional<Pair> find(std::span<const std::int64_t> boxes, std::size_t ndim);

  /// Boxes looked at by the last `find`, each time counted: the measure of its work.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

 private:
  /// Rows on the stack, ascending.
  struct Range {
    std::size_t begin, end;
    [[nodiscard]] std::size_t size() const noexcept { return end - begin; }
  };

  [[nodiscard]] std::int64_t begin_of(std::uint32_t row, std::size_t d) const noexcept {
    return boxes_[2 * ndim_ * row + d];
  }
  [[nodiscard]] std::int64_t end_of(std::uint32_t row, std::size_t d) const noexcept;
  [[nodiscard]] bool is_empty(std::uint32_t row) const noexcept;
  [[nodiscard]] bool overlap(std::uint32_t a, std::uint32_t b) const noexcept;

  std::optional<Pair> search_run(std::uint32_t begin, std::uint32_t end);
  std::optional<Pair> compare_run(std::uint32_t begin, std::uint32_t end);
  std::optional<Pair> search(Range intervals, Range begins, std::size_t level);
  std::optional<Pair> search_halves(Range intervals, Range begins, std::size_t level);
  std::optional<Pair> compare(Range intervals, Range begins);
  std::optional<Pair> scan(Range intervals, Range begins);
  template <class Keep>
  Range select(Range from, Keep&& keep);

  std::span<const std::int64_t> boxes_;
  std::size_t ndim_ = 0;
  std::vector<std::size_t> dimensions_;  // beside the first, those along which boxes of the run differ
  std::vector<std::uint32_t> stack_;
  std::vector<std::int64_t> middle_;  // to find a median
  std::uint64_t steps_ = 0;
  std::uint64_t most_steps_ = 0;  // beyond which every pair is compared instead
};

}  // namespace flatpoint::columns
