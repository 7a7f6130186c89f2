#include "write/chunk_layout.hpp"

#include <algorithm>
#include <numeric>

#include "base/checked.hpp"

namespace flatpoint::write {
namespace {

bool is_whole(std::span<const std::int64_t> size, const std::int64_t* box) noexcept {
  const std::size_t ndim = size.size();
  return std::all_of(box, box + ndim, [](std::int64_t offset) { return offset == 0; }) &&
         std::equal(size.begin(), size.end(), box + ndim);
}

}  // namespace

void ChunkLayoutFinder::find(std::span<const std::int64_t> size, std::span<const std::int64_t> boxes,
                             std::uint32_t chunk_count) {
  boxes_ = boxes;
  chunk_count_ = chunk_count;
  ndim_ = size.size();
  values_.clear();
  reordered_ = false;
  stored_ = {};
  equal_offsets_.reset();
  if (chunk_count == 1 && is_whole(size, boxes.data())) {
    layout_ = ChunkLayout::Whole;
    return;
  }
  if (!is_sorted()) {
    reordered_ = true;
    if (chunk_of_row_.size() != chunk_count || !is_sorted()) sort_rows();
  }
  if (chunk_count > 1 && ndim_ > 0 && find_grid()) {
    layout_ = ChunkLayout::Grid;
    simplify_even(size);
    stored_ = values_;
    return;
  }
  layout_ = ChunkLayout::Explicit;
  stored_ = boxes.first(std::size_t{2} * ndim_ * chunk_count);
  if (!reordered_) return;
  values_.clear();
  for (std::uint64_t row = 0; row < chunk_count; ++row) values_.insert(values_.end(), box(row), box(row) + 2 * ndim_);
  stored_ = values_;
}

/// Whether the rows, as they are ordered now, are sorted; then also finds equal offsets.
bool ChunkLayoutFinder::is_sorted() {
  equal_offsets_.reset();
  const std::int64_t* before = box(0);
  for (std::uint32_t row = 1; row < chunk_count_; ++row) {
    const std::int64_t* const next = box(row);
    const int order = compare_offsets(before, next);
    if (order > 0 || (order == 0 && next < before)) return false;
    if (order == 0 && !equal_offsets_) equal_offsets_.emplace(row - 1, row);
    before = next;
  }
  return true;
}

/// By offsets; of chunks that start at the same place, the first in DCP's order comes first.
void ChunkLayoutFinder::sort_rows() {
  chunk_of_row_.resize(chunk_count_);
  std::iota(chunk_of_row_.begin(), chunk_of_row_.end(), 0U);
  std::sort(chunk_of_row_.begin(), chunk_of_row_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const int order = compare_offsets(boxes_.data() + 2 * ndim_ * a, boxes_.data() + 2 * ndim_ * b);
    return order != 0 ? order < 0 : a < b;
  });
  order_.resize(chunk_count_);
  for (std::uint32_t row = 0; row < chunk_count_; ++row) order_[chunk_of_row_[row]] = row;
  is_sorted();
}

/// Sorted rows of a grid are its cells, row-major. Guesses the grid from a few rows, then checks every row against it.
bool ChunkLayoutFinder::find_grid() { return count_cells() && collect_splits() && every_row_fits(); }

/// Cells per dimension, from the innermost: how many steps of `inner` rows keep the outer offsets of the first row and
/// begin where the step before them ends. (An empty cell ends where it begins, and so does one behind it.)
bool ChunkLayoutFinder::count_cells() {
  strides_.assign(ndim_, 1);
  values_.assign(ndim_, 1);
  std::uint64_t inner = 1;
  for (std::size_t d = ndim_; d-- > 0;) {
    strides_[d] = inner;
    std::uint64_t cells = 1;
    for (std::int64_t end = 0; cells * inner < chunk_count_; ++cells) {
      const std::int64_t* before = box((cells - 1) * inner);
      const std::int64_t* row = box(cells * inner);
      if (!base::add(before[d], before[ndim_ + d], end) || row[d] != end || !std::equal(box(0), box(0) + d, row)) break;
    }
    values_[d] = static_cast<std::int64_t>(cells);
    inner *= cells;
  }
  return inner == chunk_count_;
}

/// Split points per dimension; each cell must begin where the one before it ends.
bool ChunkLayoutFinder::collect_splits() {
  for (std::size_t d = 0; d < ndim_; ++d) {
    const auto cells = static_cast<std::uint64_t>(values_[d]);
    std::int64_t end = box(0)[d];
    for (std::uint64_t cell = 0; cell < cells; ++cell) {
      const std::int64_t* row = box(cell * strides_[d]);
      if (row[d] != end || row[ndim_ + d] < 0) return false;
      values_.push_back(end);
      if (!base::add(end, row[ndim_ + d], end)) return false;
    }
    values_.push_back(end);
  }
  return true;
}

bool ChunkLayoutFinder::every_row_fits() {
  first_.resize(ndim_);
  std::size_t splits = ndim_;
  for (std::size_t d = 0; d < ndim_; ++d) {
    first_[d] = splits;
    splits += static_cast<std::size_t>(values_[d]) + 1;
  }
  at_ = first_;  // per dimension the split point where the row's cell begins: counts up like an odometer
  for (std::uint64_t row = 0; row < chunk_count_; ++row) {
    const std::int64_t* actual = box(row);
    for (std::size_t d = 0; d < ndim_; ++d) {
      const std::int64_t begin = values_[at_[d]];
      if (actual[d] != begin || actual[ndim_ + d] != values_[at_[d] + 1] - begin) return false;
    }
    for (std::size_t d = ndim_; d-- > 0;) {
      if (++at_[d] < first_[d] + static_cast<std::size_t>(values_[d])) break;
      at_[d] = first_[d];
    }
  }
  return true;
}

/// Replaces split points by steps where every dimension is cut evenly from 0 to its end, the last cells shorter or
/// empty.
void ChunkLayoutFinder::simplify_even(std::span<const std::int64_t> size) {
  std::size_t splits = ndim_;
  for (std::size_t d = 0; d < ndim_; ++d) {
    const auto cells = static_cast<std::size_t>(values_[d]);
    const std::int64_t step = values_[splits + 1] - values_[splits];
    for (std::size_t cell = 0; cell <= cells; ++cell) {
      if (values_[splits + cell] != base::even_point(static_cast<std::int64_t>(cell), step, size[d])) return;
    }
    splits += cells + 1;
  }
  std::vector<std::int64_t> even(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(ndim_));
  splits = ndim_;
  for (std::size_t d = 0; d < ndim_; ++d) {
    even.push_back(values_[splits + 1] - values_[splits]);
    splits += static_cast<std::size_t>(values_[d]) + 1;
  }
  values_ = std::move(even);
  layout_ = ChunkLayout::EvenGrid;
}

}  // namespace flatpoint::write
