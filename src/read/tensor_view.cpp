// Entries, tensors and the boxes of their chunks.
#include <algorithm>

#include "read/view_access.hpp"

namespace flatpoint {
namespace {

/// Whether the cells of a grid are exactly the tensor's chunks, and how many values of `boxes` it takes (rule E3).
bool grid_fits(const Columns& columns, const EntryRow& entry) noexcept {
  if (!base::in_range(entry.box_begin, entry.ndim, columns.boxes.size())) return false;
  const std::span counts = columns.boxes.subspan(entry.box_begin, entry.ndim);
  std::uint64_t cells = 1;
  std::uint64_t values = std::uint64_t{2} * entry.ndim;
  for (std::size_t d = 0; d < counts.size(); ++d) {
    const std::int64_t count = base::read_once(counts, d);
    if (count < 1 || !base::multiply(cells, static_cast<std::uint64_t>(count), cells)) return false;
    if (cells > entry.chunk_count) return false;
    if (entry.chunk_layout == ChunkLayout::Grid) values += static_cast<std::uint64_t>(count);
  }
  return cells == entry.chunk_count && base::in_range(entry.box_begin, values, columns.boxes.size());
}

bool boxes_fit(const Columns& columns, const EntryRow& entry) noexcept {
  switch (entry.chunk_layout) {
    case ChunkLayout::Whole: return entry.chunk_count == 1;
    case ChunkLayout::Explicit:
      return base::in_range(entry.box_begin, std::uint64_t{2} * entry.ndim * entry.chunk_count, columns.boxes.size());
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: return grid_fits(columns, entry);
  }
  return false;
}

std::int64_t tensor_size(const Columns& columns, const EntryRow& entry, std::uint8_t d) noexcept {
  return base::read_once(columns.sizes, std::size_t{entry.size_begin} + d);
}

/// Begin of interval i of an even cut of [0, n). Products that leave int64 stand beyond n.
std::int64_t even_point(std::int64_t i, std::int64_t step, std::int64_t n) noexcept {
  std::int64_t point = 0;
  if (__builtin_mul_overflow(i, step, &point)) return n;
  return std::min(point, n);
}

struct Interval {
  std::int64_t begin;
  std::int64_t size;
};

/// Calls visit(dimension, interval) for the first `dimensions` dimensions of a cell of a grid, in order. The cell's
/// coordinates fall out on the way; counts that turned to nonsense meanwhile give nonsense from inside the file.
template <class Visit>
void visit_grid(const Columns& columns, const EntryRow& entry, std::uint32_t cell, unsigned dimensions, Visit&& visit) {
  const GridReader grid{columns.boxes, entry.box_begin, entry.ndim};
  std::uint64_t below = entry.chunk_count;  // cells of one step along the dimension
  std::uint64_t rest = cell;
  std::uint64_t splits = entry.ndim;
  for (unsigned i = 0; i < dimensions; ++i) {
    const auto d = static_cast<std::uint8_t>(i);
    const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(grid.count(d), 1));
    below = std::max<std::uint64_t>(below / count, 1);
    const std::uint64_t at = rest / below;
    rest %= below;
    std::int64_t begin = 0;
    std::int64_t end = 0;
    if (entry.chunk_layout == ChunkLayout::Grid) {
      begin = grid.at(splits + at);
      end = grid.at(splits + at + 1);
      splits += count + 1;
    } else {
      const std::int64_t n = tensor_size(columns, entry, d);
      const std::int64_t step = grid.step(d);
      begin = even_point(static_cast<std::int64_t>(at), step, n);
      end = even_point(static_cast<std::int64_t>(at) + 1, step, n);
    }
    visit(d, Interval{begin, base::wrapping_subtract(end, begin)});
  }
}

/// One dimension of a chunk. REQUIRES: d < entry.ndim.
Interval interval(const Columns& columns, const EntryRow& entry, std::uint32_t cell, std::uint8_t d) noexcept {
  if (entry.chunk_layout == ChunkLayout::Whole) return {0, tensor_size(columns, entry, d)};
  if (entry.chunk_layout == ChunkLayout::Explicit) {
    const GridReader boxes{columns.boxes, entry.box_begin, entry.ndim};
    const std::uint64_t at = std::uint64_t{2} * entry.ndim * cell + d;
    return {boxes.at(at), boxes.at(at + entry.ndim)};
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

constexpr std::uint64_t kNoCell = ~std::uint64_t{0};

/// The first interval of an even cut that begins at `offset`.
std::uint64_t find_even(std::int64_t count, std::int64_t step, std::int64_t n, std::int64_t offset) noexcept {
  std::int64_t i = 0;
  if (offset != 0) {
    if (step < 1 || offset < 0) return kNoCell;
    i = offset / step + (offset % step != 0 ? 1 : 0);
  }
  return i < count && even_point(i, step, n) == offset ? static_cast<std::uint64_t>(i) : kNoCell;
}

/// The first of `count` ascending split points that equals `offset`.
std::uint64_t find_split(const GridReader& grid, std::uint64_t splits, std::int64_t count,
                         std::int64_t offset) noexcept {
  std::uint64_t begin = 0;
  auto end = static_cast<std::uint64_t>(count);
  while (begin < end) {
    const std::uint64_t middle = begin + (end - begin) / 2;
    if (grid.at(splits + middle) < offset) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin < static_cast<std::uint64_t>(count) && grid.at(splits + begin) == offset ? begin : kNoCell;
}

std::uint64_t find_in_grid(const Columns& columns, const EntryRow& entry,
                           std::span<const std::int64_t> offset) noexcept {
  const GridReader grid{columns.boxes, entry.box_begin, entry.ndim};
  std::uint64_t cell = 0;
  std::uint64_t splits = entry.ndim;
  for (unsigned i = 0; i < entry.ndim; ++i) {
    const auto d = static_cast<std::uint8_t>(i);
    const std::int64_t count = std::max<std::int64_t>(grid.count(d), 0);
    const std::uint64_t along = find_split(grid, splits, count, offset[d]);
    if (along == kNoCell) return kNoCell;
    cell = cell * static_cast<std::uint64_t>(count) + along;
    splits += static_cast<std::uint64_t>(count) + 1;
  }
  return cell;
}

std::uint64_t find_in_even_grid(const Columns& columns, const EntryRow& entry,
                                std::span<const std::int64_t> offset) noexcept {
  const std::span counts = columns.boxes.subspan(entry.box_begin, entry.ndim);
  const std::span steps = columns.boxes.subspan(entry.box_begin + std::size_t{entry.ndim}, entry.ndim);
  std::uint64_t cell = 0;
  for (std::size_t d = 0; d < offset.size(); ++d) {
    const std::int64_t count = base::read_once(counts, d);
    const std::int64_t n = tensor_size(columns, entry, static_cast<std::uint8_t>(d));
    const std::uint64_t along = find_even(count, base::read_once(steps, d), n, offset[d]);
    if (along == kNoCell) return kNoCell;
    cell = cell * static_cast<std::uint64_t>(count) + along;
  }
  return cell;
}

/// The first of the explicit rows, sorted by offsets, that starts at `offset`.
std::uint64_t find_explicit(const Columns& columns, const EntryRow& entry,
                            std::span<const std::int64_t> offset) noexcept {
  const GridReader boxes{columns.boxes, entry.box_begin, entry.ndim};
  const auto compare = [&](std::uint64_t row) {
    for (std::size_t d = 0; d < entry.ndim; ++d) {
      const std::int64_t value = boxes.at(std::uint64_t{2} * entry.ndim * row + d);
      if (value != offset[d]) return value < offset[d] ? -1 : 1;
    }
    return 0;
  };
  std::uint64_t begin = 0;
  std::uint64_t end = entry.chunk_count;
  while (begin < end) {
    const std::uint64_t middle = begin + (end - begin) / 2;
    if (compare(middle) < 0) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin < entry.chunk_count && compare(begin) == 0 ? begin : kNoCell;
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
    case ChunkLayout::Grid: cell = find_in_grid(columns, entry, offset); break;
    case ChunkLayout::EvenGrid: cell = find_in_even_grid(columns, entry, offset); break;
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

std::string_view ViewAccess::broken_tensor_rule(const Columns& columns, const EntryRow& entry) noexcept {
  const std::uint64_t dimensions =
      std::uint64_t{entry.ndim} * (entry.properties.strides == StridesKind::Explicit ? 2 : 1);
  if (!base::in_range(entry.size_begin, dimensions, columns.sizes.size())) return "E2";
  if (!boxes_fit(columns, entry)) return "E3";
  if (entry.reordered != 0 && !base::in_range(entry.order_begin, entry.chunk_count, columns.chunk_order.size()))
    return "E5";
  return {};
}

Lookup<TensorView> ViewAccess::tensor(const EntryView& view) noexcept {
  if (view.entry_.storage_type != StorageType::Tensor) return LookupStatus::Absent;
  if (!broken_tensor_rule(*view.columns_, view.entry_).empty()) return LookupStatus::Corrupt;
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
  if (!broken_tensor_rule(columns, entry).empty()) return LookupStatus::Corrupt;
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
