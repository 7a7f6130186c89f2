// Entries, tensors and the boxes of their chunks.
#include <algorithm>

#include "columns/entry_rules.hpp"
#include "columns/grid.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
namespace {

std::int64_t tensor_size(const Columns& columns, const EntryRow& entry, std::uint8_t d) noexcept {
  return base::read_once(columns.sizes, std::size_t{entry.size_begin} + d);
}

struct Interval {
  std::int64_t begin;
  std::int64_t size;
};

/// Calls visit(dimension, interval) for the first `dimensions` dimensions of a cell of a grid, in order. The cell's
/// coordinates fall out on the way; counts that turned to nonsense meanwhile give nonsense from inside the file.
template <class Visit>
void visit_grid(const Columns& columns, const EntryRow& entry, std::uint32_t cell, unsigned dimensions, Visit&& visit) {
  columns::GridAxes axes = columns::grid_axes(columns, entry);
  std::uint64_t below = entry.chunk_count;  // cells of one step along the dimension
  std::uint64_t rest = cell;
  for (unsigned i = 0; i < dimensions; ++i) {
    const columns::GridAxis axis = axes.next();
    below = std::max<std::uint64_t>(below / static_cast<std::uint64_t>(std::max<std::int64_t>(axis.count, 1)), 1);
    const std::uint64_t at = rest / below;
    rest %= below;
    const std::int64_t begin = axis.point(at);
    visit(static_cast<std::uint8_t>(i), Interval{begin, base::wrapping_subtract(axis.point(at + 1), begin)});
  }
}

/// One dimension of a chunk. REQUIRES: d < entry.ndim.
Interval interval(const Columns& columns, const EntryRow& entry, std::uint32_t cell, std::uint8_t d) noexcept {
  if (entry.chunk_layout == ChunkLayout::Whole) return {0, tensor_size(columns, entry, d)};
  if (entry.chunk_layout == ChunkLayout::Explicit) {
    const std::uint64_t at = entry.box_begin + std::uint64_t{2} * entry.ndim * cell + d;
    return {columns::value_at(columns.boxes, at), columns::value_at(columns.boxes, at + entry.ndim)};
  }
  Interval last{};
  visit_grid(columns, entry, cell, d + 1U, [&](std::uint8_t, const Interval& i) { last = i; });
  return last;
}

/// Every dimension of a chunk, in time linear in their number.
template <class Visit>
void visit_box(const Columns& columns, const EntryRow& entry, std::uint32_t cell, Visit&& visit) {
  if (entry.chunk_layout == ChunkLayout::Grid || entry.chunk_layout == ChunkLayout::EvenGrid) {
    visit_grid(columns, entry, cell, entry.ndim, visit);
    return;
  }
  for (unsigned i = 0; i < entry.ndim; ++i) {
    const auto d = static_cast<std::uint8_t>(i);
    visit(d, interval(columns, entry, cell, d));
  }
}

using columns::kNoCell;

std::uint64_t find_in_grid(const Columns& columns, const EntryRow& entry,
                           std::span<const std::int64_t> offset) noexcept {
  columns::GridAxes axes = columns::grid_axes(columns, entry);
  std::uint64_t cell = 0;
  for (const std::int64_t begin : offset) {
    const columns::GridAxis axis = axes.next();
    const std::uint64_t along = axis.find(begin);
    if (along == kNoCell) return kNoCell;
    cell = cell * static_cast<std::uint64_t>(axis.count) + along;
  }
  return cell;
}

/// The first of the explicit rows, sorted by offsets, that starts at `offset`.
std::uint64_t find_explicit(const Columns& columns, const EntryRow& entry,
                            std::span<const std::int64_t> offset) noexcept {
  const auto compare = [&](std::uint64_t row) {
    for (std::size_t d = 0; d < entry.ndim; ++d) {
      const std::int64_t value =
          columns::value_at(columns.boxes, entry.box_begin + std::uint64_t{2} * entry.ndim * row + d);
      if (value != offset[d]) return value < offset[d] ? -1 : 1;
    }
    return 0;
  };
  const auto row =
      columns::first_where(std::uint64_t{entry.chunk_count}, [&](std::uint64_t i) { return compare(i) >= 0; });
  return row < entry.chunk_count && compare(row) == 0 ? row : kNoCell;
}

/// The first cell that starts at `offset`; kNoCell where none does. REQUIRES: the entry keeps rules E2 and E3.
std::uint64_t find_cell(const Columns& columns, const EntryRow& entry, std::span<const std::int64_t> offset) noexcept {
  if (offset.size() != entry.ndim) return kNoCell;
  std::uint64_t cell = kNoCell;
  switch (entry.chunk_layout) {
    case ChunkLayout::Whole:
      if (std::all_of(offset.begin(), offset.end(), [](std::int64_t value) { return value == 0; })) cell = 0;
      break;
    case ChunkLayout::Explicit: cell = find_explicit(columns, entry, offset); break;
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: cell = find_in_grid(columns, entry, offset); break;
  }
  return cell < entry.chunk_count ? cell : kNoCell;
}

Lookup<StorageInfoView> storage_of_cell(const Columns& columns, const EntryRow& entry, std::uint32_t cell) noexcept {
  const std::uint64_t length_at = std::uint64_t{entry.length_begin} + (entry.lengths_differ != 0 ? cell : 0);
  return ViewAccess::storage(columns, std::uint64_t{entry.chunk_begin} + cell, length_at);
}

std::string_view escaped_name(const TextColumn& names, std::uint16_t i) noexcept {
  return text_at(names, i).value_or(std::string_view());
}

}  // namespace

Lookup<TensorView> ViewAccess::tensor(const EntryView& view) noexcept {
  if (view.entry_.storage_type != StorageType::Tensor) return LookupStatus::Absent;
  if (!columns::broken_tensor_rule(*view.columns_, view.entry_).empty()) return LookupStatus::Corrupt;
  TensorView tensor;
  static_cast<EntryView&>(tensor) = view;
  return tensor;
}

ChunkView ViewAccess::chunk(const Columns& columns, const EntryRow& entry, std::uint32_t cell) noexcept {
  ChunkView view;
  view.columns_ = &columns;
  view.entry_ = entry;
  view.cell_ = cell;
  return view;
}

std::string_view EntryView::fqn() const noexcept { return ViewAccess::fqn(*columns_, entry_); }

Lookup<TensorView> EntryView::tensor() const noexcept { return ViewAccess::tensor(*this); }

Lookup<StorageInfoView> EntryView::bytes_storage() const noexcept {
  return ViewAccess::find_storage(*columns_, entry_, std::nullopt);
}

std::span<const std::int64_t> TensorView::size() const noexcept {
  return columns_->sizes.subspan(entry_.size_begin, entry_.ndim);
}

std::string_view TensorView::dtype_name() const noexcept {
  return dtype() == ScalarType::Other ? escaped_name(columns_->type_names, entry_.properties.dtype_name)
                                      : name_of(dtype());
}

std::string_view TensorView::layout_name() const noexcept {
  const Layout layout = entry_.properties.layout;
  return layout == Layout::Other ? escaped_name(columns_->type_names, entry_.properties.layout_name) : name_of(layout);
}

TensorProperties TensorView::properties() const {
  TensorProperties properties;
  properties.dtype = dtype();
  properties.layout = entry_.properties.layout;
  properties.memory_format = memory_format();
  properties.requires_grad = requires_grad();
  properties.pin_memory = pin_memory();
  if (properties.dtype == ScalarType::Other) properties.dtype_name = dtype_name();
  if (properties.layout == Layout::Other) properties.layout_name = layout_name();
  if (entry_.properties.strides == StridesKind::Explicit) {
    const auto strides = columns_->sizes.subspan(std::size_t{entry_.size_begin} + entry_.ndim, entry_.ndim);
    properties.strides.emplace(strides.begin(), strides.end());
  } else if (entry_.properties.strides == StridesKind::Contiguous) {
    const auto first = chunk(0);
    properties.strides = contiguous_strides(first ? std::span<const std::int64_t>(first->to_value().sizes) : size());
  }
  return properties;
}

Lookup<ChunkView> TensorView::chunk(std::uint32_t i) const noexcept {
  if (i >= entry_.chunk_count) return LookupStatus::Absent;
  if (entry_.reordered == 0) return ViewAccess::chunk(*columns_, entry_, i);
  const std::uint32_t cell = base::read_once(columns_->chunk_order, std::size_t{entry_.order_begin} + i);
  if (cell >= entry_.chunk_count) return LookupStatus::Corrupt;
  return ViewAccess::chunk(*columns_, entry_, cell);
}

Lookup<ChunkView> TensorView::chunk_by_row(std::uint32_t i) const noexcept {
  if (i >= entry_.chunk_count) return LookupStatus::Absent;
  return ViewAccess::chunk(*columns_, entry_, i);
}

Lookup<ChunkView> TensorView::find_chunk(std::span<const std::int64_t> offset) const noexcept {
  const std::uint64_t cell = find_cell(*columns_, entry_, offset);
  if (cell == kNoCell) return LookupStatus::Absent;
  return ViewAccess::chunk(*columns_, entry_, static_cast<std::uint32_t>(cell));
}

Lookup<StorageInfoView> ViewAccess::find_storage(const Columns& columns, const EntryRow& entry,
                                                 const std::optional<std::span<const std::int64_t>>& offset) noexcept {
  if (!offset) {
    if (entry.storage_type != StorageType::Bytes || entry.chunk_count == 0) return LookupStatus::Absent;
    return storage_of_cell(columns, entry, 0);
  }
  if (entry.storage_type != StorageType::Tensor) return LookupStatus::Absent;
  if (!columns::broken_tensor_rule(columns, entry).empty()) return LookupStatus::Corrupt;
  const std::uint64_t cell = find_cell(columns, entry, *offset);
  return cell == kNoCell ? LookupStatus::Absent : storage_of_cell(columns, entry, static_cast<std::uint32_t>(cell));
}

std::int64_t ChunkView::offset(std::uint8_t dimension) const noexcept {
  return interval(*columns_, entry_, cell_, dimension).begin;
}
std::int64_t ChunkView::size(std::uint8_t dimension) const noexcept {
  return interval(*columns_, entry_, cell_, dimension).size;
}

Lookup<StorageInfoView> ChunkView::storage() const noexcept { return storage_of_cell(*columns_, entry_, cell_); }

ChunkStorageMetadata ChunkView::to_value() const {
  ChunkStorageMetadata box{Size(entry_.ndim), Size(entry_.ndim)};
  visit_box(*columns_, entry_, cell_, [&](std::uint8_t d, const Interval& i) {
    box.offsets[d] = i.begin;
    box.sizes[d] = i.size;
  });
  return box;
}

}  // namespace flatpoint
