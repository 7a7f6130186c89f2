#include "write/disjoint.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace flatpoint::write {
namespace {

constexpr std::size_t kFew = 8;  // pieces that are compared pair by pair

using Pair = std::pair<std::uint32_t, std::uint32_t>;

}  // namespace

std::optional<Pair> find_conflict(const ChunkLayoutFinder& layout, std::size_t ndim, std::uint32_t chunk_count,
                                  OverlapFinder& overlaps) {
  if (const auto equal = layout.equal_offsets()) return equal;
  if (layout.layout() != ChunkLayout::Explicit || ndim == 0 || chunk_count < 2) return std::nullopt;
  return overlaps.find(layout.values(), ndim);
}

bool OverlapFinder::overlap(const std::int64_t* a, const std::int64_t* b) const noexcept {
  for (std::size_t d = 0; d < ndim_; ++d) {
    if (a[d] >= b[ndim_ + d] || b[d] >= a[ndim_ + d]) return false;
  }
  return true;
}

void OverlapFinder::push(std::uint32_t row, const std::int64_t* piece) {
  pieces_.rows.push_back(row);
  pieces_.values.insert(pieces_.values.end(), piece, piece + 2 * ndim_);
}

bool OverlapFinder::is_empty(const std::int64_t* box) const noexcept {
  return std::find(box + ndim_, box + 2 * ndim_, 0) != box + 2 * ndim_;
}

bool OverlapFinder::boxes_overlap(const std::int64_t* a, const std::int64_t* b) const noexcept {
  for (std::size_t d = 0; d < ndim_; ++d) {
    if (a[d] >= b[d] + b[ndim_ + d] || b[d] >= a[d] + a[ndim_ + d]) return false;
  }
  return !is_empty(a) && !is_empty(b);
}

void OverlapFinder::push_box(std::uint32_t row, const std::int64_t* box) {
  if (is_empty(box)) return;
  pieces_.rows.push_back(row);
  pieces_.values.insert(pieces_.values.end(), box, box + ndim_);
  for (std::size_t d = 0; d < ndim_; ++d) pieces_.values.push_back(box[d] + box[ndim_ + d]);
}

std::optional<OverlapFinder::Pair> OverlapFinder::find(std::span<const std::int64_t> boxes, std::size_t ndim) {
  ndim_ = ndim;
  const std::size_t count = boxes.size() / (2 * ndim);
  budget_ = 64 * count * static_cast<std::size_t>(std::bit_width(count));
  // Runs of rows between which the first dimension has a clean cut; a tensor that is cut along it has runs of one.
  std::size_t run_begin = 0;
  std::int64_t run_end = std::numeric_limits<std::int64_t>::min();
  const std::int64_t* box = boxes.data();
  for (std::size_t row = 0; row < count; ++row, box += 2 * ndim) {
    if (box[0] >= run_end) {
      if (const auto found = search_run(boxes, run_begin, row)) return found;
      run_begin = row;
    }
    run_end = std::max(run_end, box[0] + box[ndim]);
  }
  return search_run(boxes, run_begin, count);
}

std::optional<OverlapFinder::Pair> OverlapFinder::search_run(std::span<const std::int64_t> boxes, std::size_t begin,
                                                             std::size_t end) {
  const std::int64_t* const run = boxes.data() + begin * 2 * ndim_;
  if (end - begin > kFew) {
    for (std::size_t i = 0; i < end - begin; ++i) push_box(static_cast<std::uint32_t>(begin + i), run + i * 2 * ndim_);
    const auto found = search(0);
    pieces_.rows.clear();
    pieces_.values.clear();
    return found;
  }
  for (std::size_t i = 0; i < end - begin; ++i) {
    for (std::size_t j = i + 1; j < end - begin; ++j) {
      if (!boxes_overlap(run + i * 2 * ndim_, run + j * 2 * ndim_)) continue;
      return Pair(static_cast<std::uint32_t>(begin + i), static_cast<std::uint32_t>(begin + j));
    }
  }
  return std::nullopt;
}

std::optional<OverlapFinder::Pair> OverlapFinder::compare_all(std::size_t begin) const {
  for (std::size_t i = begin; i < pieces_.rows.size(); ++i) {
    for (std::size_t j = i + 1; j < pieces_.rows.size(); ++j) {
      if (overlap(piece(i), piece(j))) return std::minmax({pieces_.rows[i], pieces_.rows[j]});
    }
  }
  return std::nullopt;
}

/// Searches the pieces from `begin` to the top of the stack.
std::optional<OverlapFinder::Pair> OverlapFinder::search(std::size_t begin) {
  const std::size_t end = pieces_.rows.size();
  if (end - begin <= kFew || budget_ < end - begin) return compare_all(begin);
  budget_ -= end - begin;
  const Cut cut = best_cut(begin);
  if (!cut.found) return std::minmax({pieces_.rows[begin], pieces_.rows[begin + 1]});  // all fill the same space
  auto found = search_side(begin, end, cut, false);
  return found ? found : search_side(begin, end, cut, true);
}

std::optional<OverlapFinder::Pair> OverlapFinder::search_side(std::size_t begin, std::size_t end, const Cut& cut,
                                                              bool right) {
  copy_.resize(2 * ndim_);
  for (std::size_t i = begin; i < end; ++i) {
    std::copy_n(piece(i), 2 * ndim_, copy_.begin());
    std::int64_t& from = copy_[cut.dimension];
    std::int64_t& to = copy_[ndim_ + cut.dimension];
    if (right ? to <= cut.at : from >= cut.at) continue;
    if (right) {
      from = std::max(from, cut.at);
    } else {
      to = std::min(to, cut.at);
    }
    push(pieces_.rows[i], copy_.data());
  }
  auto found = search(end);
  pieces_.rows.resize(end);
  pieces_.values.resize(end * 2 * ndim_);
  return found;
}

/// The cut at the middle begin or end of the dimension where the larger side gets the fewest pieces.
OverlapFinder::Cut OverlapFinder::best_cut(std::size_t begin) {
  const std::size_t end = pieces_.rows.size();
  Cut best;
  for (std::size_t d = 0; d < ndim_; ++d) {
    std::int64_t low = std::numeric_limits<std::int64_t>::max();
    std::int64_t high = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = begin; i < end; ++i) {
      low = std::min(low, piece(i)[d]);
      high = std::max(high, piece(i)[ndim_ + d]);
    }
    points_.clear();
    for (std::size_t i = begin; i < end; ++i) {
      if (piece(i)[d] > low) points_.push_back(piece(i)[d]);
      if (piece(i)[ndim_ + d] < high) points_.push_back(piece(i)[ndim_ + d]);
    }
    if (points_.empty()) continue;
    const auto middle = points_.begin() + static_cast<std::ptrdiff_t>(points_.size() / 2);
    std::nth_element(points_.begin(), middle, points_.end());
    std::size_t left = 0;
    std::size_t right = 0;
    for (std::size_t i = begin; i < end; ++i) {
      left += piece(i)[d] < *middle;
      right += piece(i)[ndim_ + d] > *middle;
    }
    const std::size_t larger = std::max(left, right);
    if (!best.found || larger < best.larger_side) best = {d, *middle, larger, true};
  }
  return best;
}

}  // namespace flatpoint::write
