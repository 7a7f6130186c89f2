#include "columns/disjoint.hpp"

#include <algorithm>
#include <limits>

#include "columns/boxes.hpp"

namespace flatpoint::columns {
namespace {

constexpr std::size_t kFew = 8;  // boxes that are compared pair by pair

}  // namespace

std::int64_t OverlapFinder::end_of(std::uint32_t row, std::size_t d) const noexcept {
  return columns::end_of(begin_of(row, d), boxes_[2 * ndim_ * row + ndim_ + d]);
}

bool OverlapFinder::is_empty(std::uint32_t row) const noexcept {
  return columns::is_empty(boxes_.subspan(2 * ndim_ * row + ndim_, ndim_));
}

/// REQUIRES: neither is empty.
bool OverlapFinder::overlap(std::uint32_t a, std::uint32_t b) const noexcept {
  for (std::size_t d = 0; d < ndim_; ++d) {
    if (begin_of(a, d) >= end_of(b, d) || begin_of(b, d) >= end_of(a, d)) return false;
  }
  return true;
}

std::optional<OverlapFinder::Pair> OverlapFinder::find(std::span<const std::int64_t> boxes, std::size_t ndim) {
  boxes_ = boxes;
  ndim_ = ndim;
  steps_ = 0;
  const auto count = static_cast<std::uint32_t>(boxes.size() / (2 * ndim));
  // Runs of rows between which the first dimension has a clean cut; a tensor that is cut along it has runs of one.
  std::uint32_t run_begin = 0;
  std::int64_t run_end = std::numeric_limits<std::int64_t>::min();
  for (std::uint32_t row = 0; row < count; ++row) {
    if (begin_of(row, 0) >= run_end) {
      if (const auto found = search_run(run_begin, row)) return found;
      run_begin = row;
    }
    run_end = std::max(run_end, end_of(row, 0));
  }
  return search_run(run_begin, count);
}

std::optional<OverlapFinder::Pair> OverlapFinder::search_run(std::uint32_t begin, std::uint32_t end) {
  if (end - begin <= kFew) return compare_run(begin, end);
  stack_.clear();
  for (std::uint32_t row = begin; row < end; ++row) {
    if (!is_empty(row)) stack_.push_back(row);
  }
  dimensions_.clear();
  for (std::size_t d = 1; d < ndim_; ++d) {
    const auto differs = [&](std::uint32_t row) {
      return begin_of(row, d) != begin_of(stack_[0], d) || end_of(row, d) != end_of(stack_[0], d);
    };
    if (std::ranges::any_of(stack_, differs)) dimensions_.push_back(d);
  }
  most_steps_ = steps_ + std::uint64_t{stack_.size()} * stack_.size() / 2;
  const Range all{0, stack_.size()};
  const auto found = search(all, all, dimensions_.size());
  return found || steps_ <= most_steps_ ? found : compare_run(begin, end);
}

/// Pair by pair, but for those that the first dimension keeps apart.
std::optional<OverlapFinder::Pair> OverlapFinder::compare_run(std::uint32_t begin, std::uint32_t end) {
  for (std::uint32_t a = begin; a < end; ++a) {
    if (is_empty(a)) continue;
    const std::int64_t a_end = end_of(a, 0);
    for (std::uint32_t b = a + 1; b < end && begin_of(b, 0) < a_end; ++b) {
      ++steps_;
      if (!is_empty(b) && overlap(a, b)) return Pair(a, b);
    }
  }
  return std::nullopt;
}

template <class Keep>
OverlapFinder::Range OverlapFinder::select(Range from, Keep&& keep) {
  const std::size_t begin = stack_.size();
  for (std::size_t i = from.begin; i < from.end; ++i) {
    const std::uint32_t row = stack_[i];
    if (keep(row)) stack_.push_back(row);
  }
  return {begin, stack_.size()};
}

/// Looks for an interval and a begin that it holds, of two boxes, along the first dimension and the lowest `level` of
/// `dimensions_`. Along the others the boxes overlap already.
std::optional<OverlapFinder::Pair> OverlapFinder::search(Range intervals, Range begins, std::size_t level) {
  if (intervals.size() == 0 || begins.size() == 0 || steps_ > most_steps_) return std::nullopt;
  if (level == 0) return scan(intervals, begins);
  if (std::min(intervals.size(), begins.size()) <= kFew) return compare(intervals, begins);
  const std::size_t top = stack_.size();
  auto found = search_halves(intervals, begins, level);
  stack_.resize(top);
  return found;
}

std::optional<OverlapFinder::Pair> OverlapFinder::search_halves(Range intervals, Range begins, std::size_t level) {
  steps_ += intervals.size() + begins.size();
  const std::size_t d = dimensions_[level - 1];
  middle_.clear();
  for (std::size_t i = begins.begin; i < begins.end; ++i) middle_.push_back(begin_of(stack_[i], d));
  const auto [low_at, high_at] = std::ranges::minmax_element(middle_);
  const auto [low, high] = std::pair(*low_at, *high_at);
  const auto holds_all = [&](std::uint32_t row) { return begin_of(row, d) <= low && end_of(row, d) > high; };

  // These overlap every box of `begins` along this dimension.
  const Range whole = select(intervals, holds_all);
  if (auto found = search(whole, begins, level - 1)) return found;
  if (auto found = search(begins, whole, level - 1)) return found;
  if (low == high) return std::nullopt;  // whoever holds one begin holds all

  middle_.clear();
  for (std::size_t i = begins.begin; i < begins.end; ++i) middle_.push_back(begin_of(stack_[i], d));
  const auto median = middle_.begin() + static_cast<std::ptrdiff_t>(middle_.size() / 2);
  std::nth_element(middle_.begin(), median, middle_.end());
  std::int64_t cut = *median;
  if (cut == low) {  // the lower half would be empty
    cut = high;
    for (const std::int64_t begin : middle_) {
      if (begin > low) cut = std::min(cut, begin);
    }
  }
  const std::size_t top = stack_.size();
  const Range lower = select(begins, [&](std::uint32_t row) { return begin_of(row, d) < cut; });
  const Range lower_intervals = select(
      intervals, [&](std::uint32_t row) { return !holds_all(row) && begin_of(row, d) < cut && end_of(row, d) > low; });
  if (auto found = search(lower_intervals, lower, level)) return found;
  stack_.resize(top);
  const Range upper = select(begins, [&](std::uint32_t row) { return begin_of(row, d) >= cut; });
  const Range upper_intervals = select(intervals, [&](std::uint32_t row) {
    return !holds_all(row) && begin_of(row, d) <= high && end_of(row, d) > cut;
  });
  return search(upper_intervals, upper, level);
}

std::optional<OverlapFinder::Pair> OverlapFinder::compare(Range intervals, Range begins) {
  steps_ += intervals.size() * begins.size();
  for (std::size_t i = intervals.begin; i < intervals.end; ++i) {
    for (std::size_t j = begins.begin; j < begins.end; ++j) {
      if (stack_[i] != stack_[j] && overlap(stack_[i], stack_[j])) return std::minmax({stack_[i], stack_[j]});
    }
  }
  return std::nullopt;
}

/// Rows are sorted by their begin along the first dimension: the begin that comes next is the one to look at.
std::optional<OverlapFinder::Pair> OverlapFinder::scan(Range intervals, Range begins) {
  steps_ += intervals.size() + begins.size();
  std::size_t next = begins.begin;
  for (std::size_t i = intervals.begin; i < intervals.end; ++i) {
    const std::uint32_t row = stack_[i];
    while (next < begins.end && begin_of(stack_[next], 0) < begin_of(row, 0)) ++next;
    const std::size_t other = next + (next < begins.end && stack_[next] == row);
    if (other < begins.end && begin_of(stack_[other], 0) < end_of(row, 0)) return std::minmax({row, stack_[other]});
  }
  return std::nullopt;
}

}  // namespace flatpoint::columns
