#include "dcp/box_reader.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace flatpoint::dcp {
namespace {

/// Begin of interval i of an even cut of [0, n).
std::int64_t even_point(std::uint32_t i, std::int64_t step, std::int64_t n) noexcept {
  std::int64_t point = 0;
  return __builtin_mul_overflow(std::int64_t{i}, step, &point) ? n : std::min(point, n);
}

}  // namespace

void BoxReader::open(const Columns& columns, const EntryRow& entry) {
  columns_ = &columns;
  entry_ = entry;
  dimensions_.clear();
  points_.clear();
  box_.assign(std::size_t{2} * entry.ndim, 0);
  if (entry.chunk_layout == ChunkLayout::Whole) {
    for (std::size_t d = 0; d < entry.ndim; ++d)
      box_[entry.ndim + d] = base::read_once(columns.sizes, entry.size_begin + d);
  }
  if (entry.chunk_layout != ChunkLayout::Grid && entry.chunk_layout != ChunkLayout::EvenGrid) return;

  const auto boxes = columns.boxes.subspan(entry.box_begin);
  std::size_t split = entry.ndim;  // of a grid: where the points of the next dimension lie
  for (std::size_t d = 0; d < entry.ndim; ++d) {
    // The cells were counted when the entry was checked; a count that changed since must not make it more.
    const auto count =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(base::read_once(boxes, d), 1, entry.chunk_count));
    dimensions_.push_back({count, points_.size()});
    const std::int64_t n = base::read_once(columns.sizes, entry.size_begin + d);
    const std::int64_t step = entry.chunk_layout == ChunkLayout::EvenGrid ? base::read_once(boxes, entry.ndim + d) : 0;
    for (std::uint32_t i = 0; i <= count; ++i) {
      if (entry.chunk_layout == ChunkLayout::EvenGrid) {
        points_.push_back(even_point(i, step, n));
      } else {
        points_.push_back(split < boxes.size() ? base::read_once(boxes, split) : 0);
        ++split;
      }
    }
  }
}

const std::int64_t* BoxReader::read(std::uint32_t cell) {
  const std::size_t ndim = entry_.ndim;
  if (entry_.chunk_layout == ChunkLayout::Explicit) {
    const std::size_t begin = entry_.box_begin + 2 * ndim * cell;
    for (std::size_t i = 0; i < 2 * ndim; ++i) box_[i] = base::read_once(columns_->boxes, begin + i);
  }
  for (std::size_t d = dimensions_.size(); d-- > 0;) {
    const Dimension& dimension = dimensions_[d];
    std::uint32_t along = 0;
    if (dimension.count > 1) {
      along = cell % dimension.count;
      cell /= dimension.count;
    }
    const std::int64_t begin = points_[dimension.points + along];
    box_[d] = begin;
    box_[ndim + d] = base::wrapping_subtract(points_[dimension.points + along + 1], begin);
  }
  return box_.data();
}

}  // namespace flatpoint::dcp
