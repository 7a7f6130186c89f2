// columns/grid.hpp - the chunks of a tensor as the cells of a grid: how many lie along each dimension, and where they
// begin. All walks over stored grids are made of this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/checked.hpp"
#include "columns/search.hpp"
#include "flatpoint/columns.hpp"

namespace flatpoint::columns {

inline constexpr std::uint64_t kNoCell = ~std::uint64_t{0};

/// A value of a column that may change underneath, read once; 0 outside.
inline std::int64_t value_at(std::span<const std::int64_t> values, std::uint64_t i) noexcept {
  return i < values.size() ? base::read_once(values, i) : 0;
}

/// Cells first, ..., last.
struct CellRange {
  std::int64_t first = 0;
  std::int64_t last = -1;
};

/// One dimension of a grid. `values` may lie in a mapping that changes underneath: nothing that it says leads outside.
struct GridAxis {
  std::span<const std::int64_t> values;
  std::uint64_t splits = 0;  // where its split points begin in `values`
  std::int64_t count = 0;    // cells, as the file has it
  std::int64_t step = 0;     // of an even grid
  std::int64_t size = 0;     // of an even grid: the tensor's, along the dimension
  bool is_even = false;

  /// Where cell i begins, and the one before it ends.
  [[nodiscard]] std::int64_t point(std::uint64_t i) const noexcept {
    return is_even ? base::even_point(static_cast<std::int64_t>(i), step, size) : value_at(values, splits + i);
  }
  /// The first cell that begins at an offset; kNoCell where none does, and in an even grid that runs backwards.
  [[nodiscard]] std::uint64_t find(std::int64_t offset) const noexcept {
    const auto cells = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
    std::uint64_t cell = 0;
    if (!is_even) {
      cell = first_where(cells, [&](std::uint64_t i) { return point(i) >= offset; });
    } else {
      if (step < 0 || offset < 0 || (step == 0 && offset != 0)) return kNoCell;
      if (offset != 0) cell = static_cast<std::uint64_t>(offset / step + (offset % step != 0 ? 1 : 0));
    }
    return cell < cells && point(cell) == offset ? cell : kNoCell;
  }
  /// The cells that overlap [begin, end), as `overlap` of boxes.hpp has it; none where the first comes behind the last.
  /// REQUIRES: 0 < count < 2^32.
  [[nodiscard]] CellRange overlapping(std::int64_t begin, std::int64_t end) const noexcept {
    if (!is_even) {
      const auto cells = static_cast<std::uint64_t>(count);
      const auto first = first_where(cells, [&](std::uint64_t i) { return point(i + 1) > begin; });
      const auto behind = first_where(cells, [&](std::uint64_t i) { return point(i) >= end; });
      return {static_cast<std::int64_t>(first), static_cast<std::int64_t>(behind) - 1};
    }
    const std::int64_t lowest = std::min<std::int64_t>(size, 0);  // only a broken file has a negative size
    if (step < 0 || end <= lowest || begin >= (step == 0 ? lowest : size)) return {};
    return {begin <= 0 ? 0 : begin / step, step == 0 || end > size ? count - 1 : std::min((end - 1) / step, count - 1)};
  }
};

/// Walks the dimensions of a grid, first to last.
class GridAxes {
 public:
  /// `values`: counts, then split points (of an even grid steps), from `begin` on. `size`: the tensor's, of an even
  /// grid.
  GridAxes(std::span<const std::int64_t> values, std::uint64_t begin, std::size_t ndim, bool is_even,
           std::span<const std::int64_t> size) noexcept
      : values_(values), begin_(begin), ndim_(ndim), size_(size), splits_(begin + ndim), is_even_(is_even) {}

  /// REQUIRES: called at most once per dimension.
  GridAxis next() noexcept {
    GridAxis axis{values_, splits_, value_at(values_, begin_ + d_), 0, 0, is_even_};
    if (is_even_) {
      axis.step = value_at(values_, begin_ + ndim_ + d_);
      axis.size = value_at(size_, d_);
    }
    splits_ += static_cast<std::uint64_t>(std::max<std::int64_t>(axis.count, 0)) + 1;
    ++d_;
    return axis;
  }

 private:
  std::span<const std::int64_t> values_;
  std::uint64_t begin_;
  std::size_t ndim_;
  std::span<const std::int64_t> size_;
  std::uint64_t splits_;
  std::size_t d_ = 0;
  bool is_even_;
};

/// Of an entry whose chunks form a grid. REQUIRES: it keeps rule E2.
inline GridAxes grid_axes(const Columns& columns, const EntryRow& entry) noexcept {
  const bool is_even = entry.chunk_layout == ChunkLayout::EvenGrid;
  const auto size = is_even ? columns.sizes.subspan(entry.size_begin, entry.ndim) : std::span<const std::int64_t>();
  return {columns.boxes, entry.box_begin, entry.ndim, is_even, size};
}

}  // namespace flatpoint::columns
