#include "flatpoint/overlap.hpp"

#include <algorithm>

#include "columns/boxes.hpp"
#include "columns/grid.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
using columns::first_where;

namespace {

/// A tensor that is one chunk is an even grid of one cell.
columns::GridAxis axis_of(std::span<const std::int64_t> boxes, ChunkLayout layout,
                          const detail::OverlapDimension& d) noexcept {
  return {boxes, static_cast<std::uint64_t>(d.cut), d.cells, d.cut, d.size, layout != ChunkLayout::Grid};
}

}  // namespace

Overlaps::Overlaps(const TensorView& tensor, std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes,
                   const OverlapIndex* index) noexcept
    : ndim_(tensor.ndim()), layout_(tensor.row().chunk_layout) {
  set_box(offsets, sizes);
  if (layout_ != ChunkLayout::Explicit) {
    start_grid(tensor);
  } else if (index != nullptr && !index->empty()) {
    start_index(*index);
  } else {
    start_rows(tensor);
  }
}

Overlaps::Overlaps(const OverlapIndex& index, std::span<const std::int64_t> offsets,
                   std::span<const std::int64_t> sizes) noexcept
    : ndim_(index.ndim_) {
  set_box(offsets, sizes);
  start_index(index);
}

void Overlaps::set_box(std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes) noexcept {
  for (std::size_t d = 0; d < ndim_; ++d) {
    dimensions_[d].box_begin = offsets[d];
    dimensions_[d].box_end = columns::end_of(offsets[d], sizes[d]);
  }
}

void Overlaps::next() noexcept {
  switch (walk_) {
    case Walk::Grid: return next_cell();
    case Walk::Rows: return next_row();
    case Walk::Index: return next_in_index();
  }
}

// Grids. What the file says is read once here, so that it stays what was checked: cells number no more than chunks.

void Overlaps::start_grid(const TensorView& tensor) noexcept {
  walk_ = Walk::Grid;
  const EntryRow& entry = tensor.row();
  const auto sizes = tensor.size();
  boxes_ = ViewAccess::columns_of(tensor)->boxes;
  columns::GridAxes axes(boxes_, entry.box_begin, ndim_, layout_ == ChunkLayout::EvenGrid, {});
  std::uint64_t cells = 1;
  for (std::size_t i = 0; i < ndim_; ++i) {
    const std::int64_t size = base::read_once(sizes, i);
    const columns::GridAxis axis = axes.next();
    const std::int64_t count = layout_ == ChunkLayout::Whole ? 1 : axis.count;
    if (count < 1 || !base::multiply(cells, static_cast<std::uint64_t>(count), cells) || cells > entry.chunk_count)
      return;
    detail::OverlapDimension& dimension = dimensions_[i];
    dimension.cells = static_cast<std::uint32_t>(count);
    dimension.size = size;
    switch (layout_) {
      case ChunkLayout::Grid: dimension.cut = static_cast<std::int64_t>(axis.splits); break;
      case ChunkLayout::EvenGrid: dimension.cut = axis.step; break;
      default: dimension.cut = size;
    }
    const auto [first, last] = axis_of(boxes_, layout_, dimension).overlapping(dimension.box_begin, dimension.box_end);
    if (first > last || first >= count) return;
    dimension.first = static_cast<std::uint32_t>(first);
    dimension.last = static_cast<std::uint32_t>(last);
    set_cell(i, dimension.first);
    chunk_ = chunk_ * dimension.cells + dimension.first;
  }
  done_ = false;
}

void Overlaps::set_cell(std::size_t d, std::uint32_t cell) noexcept {
  detail::OverlapDimension& dimension = dimensions_[d];
  const columns::GridAxis axis = axis_of(boxes_, layout_, dimension);
  dimension.at = cell;
  dimension.chunk_begin = axis.point(cell);
  dimension.chunk_end = axis.point(std::uint64_t{cell} + 1);
}

/// Counts up like an odometer, the last dimension fastest: the order of rows.
void Overlaps::next_cell() noexcept {
  std::size_t d = ndim_;
  while (d-- > 0) {
    if (dimensions_[d].at < dimensions_[d].last) break;
    set_cell(d, dimensions_[d].first);
  }
  if (d == ~std::size_t{0}) {
    done_ = true;
    return;
  }
  set_cell(d, dimensions_[d].at + 1);
  if (d + 1 == ndim_) {
    ++chunk_;
    return;
  }
  chunk_ = 0;
  for (std::size_t i = 0; i < ndim_; ++i) chunk_ = chunk_ * dimensions_[i].cells + dimensions_[i].at;
}

// Explicit rows. They are sorted by offsets: behind the first that begins after the box along dimension 0, none
// overlaps.

void Overlaps::start_rows(const TensorView& tensor) noexcept {
  walk_ = Walk::Rows;
  const EntryRow& entry = tensor.row();
  boxes_ = ViewAccess::columns_of(tensor)->boxes.subspan(entry.box_begin, 2 * ndim_ * entry.chunk_count);
  end_ = entry.chunk_count;
  if (ndim_ > 0) {
    const auto begins_after = [&](std::uint32_t row) {
      return base::read_once(boxes_, 2 * ndim_ * row) >= dimensions_[0].box_end;
    };
    end_ = first_where(end_, begins_after);
  }
  done_ = false;
  next_row();
}

void Overlaps::next_row() noexcept {
  while (row_ < end_) {
    const std::size_t at = 2 * ndim_ * row_;
    std::size_t d = 0;
    for (; d < ndim_; ++d) {
      detail::OverlapDimension& dimension = dimensions_[d];
      dimension.chunk_begin = base::read_once(boxes_, at + d);
      dimension.chunk_end = columns::end_of(dimension.chunk_begin, base::read_once(boxes_, at + ndim_ + d));
      if (!columns::overlap(dimension.chunk_begin, dimension.chunk_end, dimension.box_begin, dimension.box_end)) break;
    }
    chunk_ = row_++;
    if (d == ndim_) return;
  }
  done_ = true;
}

// The index: nodes in preorder, so that passing over a node is one step and no stack is needed.

void Overlaps::start_index(const OverlapIndex& index) noexcept {
  walk_ = Walk::Index;
  index_ = &index;
  done_ = false;
  next_in_index();
}

void Overlaps::next_in_index() noexcept {
  const auto overlaps_at = [&](const std::int64_t* bounds) {
    for (std::size_t d = 0; d < ndim_; ++d) {
      if (!columns::overlap(bounds[2 * d], bounds[2 * d + 1], dimensions_[d].box_begin, dimensions_[d].box_end))
        return false;
    }
    return true;
  };
  for (;;) {
    while (row_ < end_) {
      const std::int64_t* bounds = index_->ends_.data() + 2 * ndim_ * row_;
      chunk_ = index_->chunks_[row_++];
      if (!overlaps_at(bounds)) continue;
      for (std::size_t d = 0; d < ndim_; ++d) {
        dimensions_[d].chunk_begin = bounds[2 * d];
        dimensions_[d].chunk_end = bounds[2 * d + 1];
      }
      return;
    }
    if (node_ == index_->nodes_.size()) break;
    const OverlapIndex::Node& node = index_->nodes_[node_];
    const bool enter = overlaps_at(index_->bounds_.data() + 2 * ndim_ * node_);
    if (enter && node.is_leaf) {
      row_ = node.begin;
      end_ = node.end;
    }
    node_ = enter ? node_ + 1 : node.skip;
  }
  done_ = true;
}

std::int64_t Overlaps::begin(std::size_t d) const noexcept {
  return std::max(dimensions_[d].chunk_begin, dimensions_[d].box_begin);
}

std::int64_t Overlaps::chunk_offset(std::size_t d) const noexcept {
  return base::wrapping_subtract(begin(d), dimensions_[d].chunk_begin);
}

std::int64_t Overlaps::box_offset(std::size_t d) const noexcept {
  return base::wrapping_subtract(begin(d), dimensions_[d].box_begin);
}

std::int64_t Overlaps::length(std::size_t d) const noexcept {
  return base::wrapping_subtract(std::min(dimensions_[d].chunk_end, dimensions_[d].box_end), begin(d));
}

}  // namespace flatpoint
