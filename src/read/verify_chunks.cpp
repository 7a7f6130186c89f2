// Rules about rows and boxes: E2 to E5, V4 to V6, and findings about chunks.
#include <algorithm>

#include "columns/boxes.hpp"
#include "columns/grid.hpp"
#include "read/verifier.hpp"

namespace flatpoint::read {
void Verifier::rows() {
  repeats_key_.assign(c_.chunk_files.size(), false);
  std::uint64_t end = 0;
  bool skipped = false;  // the entry before has its rows outside: where the next begin is open
  for (std::uint32_t i = 0; i < c_.entries.size(); ++i) {
    const EntryRow& row = c_.entries[i];
    const bool outside = !base::in_range(row.chunk_begin, row.chunk_count, c_.chunk_rows());
    if (outside) {
      report_.broken("E4", "entry {}: its rows lie outside the rows of chunks", i);
    } else if (row.chunk_begin < end || (row.chunk_begin > end && !skipped)) {
      report_.broken("V4", "entry {}: its rows begin at {} instead of {}", i, row.chunk_begin, end);
    }
    skipped = outside || row.chunk_begin < end;
    const auto view = ViewAccess::entry(c_, i);
    keys_known_ &= !skipped && view.found();
    if (skipped) continue;
    end = std::uint64_t{row.chunk_begin} + row.chunk_count;
    if (view) entry(*view);
  }
  if (!skipped && end != c_.chunk_rows())
    report_.broken("V4", "the entries' rows end at {} of {}", end, c_.chunk_rows());
}

void Verifier::entry(const EntryView& view) {
  const EntryRow& row = view.row();
  enumerations(view);
  storage_of(view);
  if (view.type() == StorageType::Tensor) {
    if (const auto tensor_view = view.tensor()) {
      tensor(*tensor_view);
      data_of(*tensor_view);
    } else {
      keys_known_ = false;
      report_.broken(columns::broken_tensor_rule(c_, row),
                     "FQN '{}': its size, boxes or chunk order do not fit their columns", shown(view.fqn()));
    }
    return;
  }
  const bool known = view.type() <= StorageType::Opaque;  // a later version may have types with rows
  if (known && row.chunk_count > (view.type() == StorageType::Bytes ? 1U : 0U)) {
    report_.broken("V4", "FQN '{}': not a tensor, with {} rows", shown(view.fqn()), row.chunk_count);
  }
}

void Verifier::tensor(const TensorView& view) {
  switch (view.row().chunk_layout) {
    case ChunkLayout::Whole: break;
    case ChunkLayout::Explicit: explicit_boxes(view); break;
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: grid(view); break;
  }
  if (view.row().reordered != 0) {
    permutation("E5", "V6", fmt::format("FQN '{}': chunk_order", shown(view.fqn())),
                c_.chunk_order.subspan(view.row().order_begin, view.chunk_count()), view.chunk_count());
  }
  findings_of(view);
}

/// Rows are sorted; of rows that start at the same place, at most one should hold elements.
void Verifier::explicit_boxes(const TensorView& view) {
  if (view.chunk_count() == 0) return;
  const std::size_t values = std::size_t{2} * view.ndim();
  const auto boxes = c_.boxes.subspan(view.row().box_begin, values * view.chunk_count());
  const auto holds_elements = [&](std::span<const std::int64_t> box) {
    return std::ranges::all_of(box.last(view.ndim()), [](std::int64_t size) { return size > 0; });
  };
  bool elements_here = holds_elements(boxes.first(values));
  for (std::size_t row = 1; row < view.chunk_count(); ++row) {
    const auto before = boxes.subspan((row - 1) * values, values);
    const auto after = boxes.subspan(row * values, values);
    if (std::ranges::lexicographical_compare(after.first(view.ndim()), before.first(view.ndim()))) {
      report_.broken("V5", "FQN '{}': row {} does not sort after the row before it", shown(view.fqn()), row);
    }
    const bool same_start = std::ranges::equal(before.first(view.ndim()), after.first(view.ndim()));
    const bool elements = holds_elements(after);
    if (same_start) equal_keys(view, static_cast<std::uint32_t>(row));
    if (same_start && elements && elements_here) {
      report_.finding(finding_kind::kDuplicateChunk, "FQN '{}': several chunks start at {}", shown(view.fqn()),
                      columns::to_string(after.first(view.ndim())));
    }
    elements_here = elements || (same_start && elements_here);
  }
}

void Verifier::grid(const TensorView& view) {
  columns::GridAxes axes = columns::grid_axes(c_, view.row());
  for (unsigned d = 0; d < view.ndim(); ++d) {
    const columns::GridAxis axis = axes.next();
    if (axis.is_even) {
      if (axis.step < 0) report_.broken("V5", "FQN '{}': dimension {} has step {}", shown(view.fqn()), d, axis.step);
      continue;
    }
    for (std::uint64_t split = 0; split < static_cast<std::uint64_t>(axis.count); ++split) {
      if (axis.point(split) > axis.point(split + 1)) {
        report_.broken("V5", "FQN '{}': split point {} of dimension {} lies after the next", shown(view.fqn()), split,
                       d);
      }
    }
  }
  if (!has_empty_cells(view)) return;
  Size before = view.chunk_by_row(0)->to_value().offsets;
  for (std::uint32_t row = 1; row < view.chunk_count(); ++row) {
    Size offsets = view.chunk_by_row(row)->to_value().offsets;
    if (offsets < before)
      report_.broken("V5", "FQN '{}': cell {} starts before the cell before it", shown(view.fqn()), row);
    if (offsets == before) equal_keys(view, row);
    before = std::move(offsets);
  }
}

/// Whether two cells of a grid may start at the same place: only where one is empty.
bool Verifier::has_empty_cells(const TensorView& view) const {
  if (view.row().chunk_layout == ChunkLayout::EvenGrid) {
    const ChunkStorageMetadata last = view.chunk_by_row(view.chunk_count() - 1)->to_value();
    return std::ranges::find(last.sizes, 0) != last.sizes.end();
  }
  columns::GridAxes axes = columns::grid_axes(c_, view.row());
  for (unsigned d = 0; d < view.ndim(); ++d) {
    const columns::GridAxis axis = axes.next();
    for (std::uint64_t cell = 0; cell < static_cast<std::uint64_t>(axis.count); ++cell) {
      if (axis.point(cell) == axis.point(cell + 1)) return true;
    }
  }
  return false;
}

void Verifier::enumerations(const EntryView& entry) {
  const auto unknown = [&](std::string_view what, auto value) {
    report_.finding(finding_kind::kUnknownValue, "FQN '{}': {} {}", shown(entry.fqn()), what, static_cast<int>(value));
  };
  if (entry.type() > StorageType::Opaque) unknown("storage type", entry.type());
  if (entry.type() != StorageType::Tensor) return;
  const TensorPropertiesRow& p = entry.row().properties;
  if (p.dtype == ScalarType::Other ? !text_at(c_.type_names, p.dtype_name) : name_of(p.dtype).empty())
    unknown("dtype", p.dtype);
  if (p.layout == Layout::Other ? !text_at(c_.type_names, p.layout_name) : name_of(p.layout).empty())
    unknown("layout", p.layout);
  if (name_of(p.memory_format).empty()) unknown("memory format", p.memory_format);
  if (p.strides > StridesKind::Explicit) unknown("kind of strides", p.strides);
}

void Verifier::findings_of(const TensorView& view) {
  const auto size = view.size();
  if (std::any_of(size.begin(), size.end(), [](std::int64_t n) { return n < 0; })) {
    report_.finding(finding_kind::kNegativeSize, "FQN '{}': size {}", shown(view.fqn()), columns::to_string(size));
  }
  const auto check = [&](std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes) {
    if (!columns::reaches_outside(size, offsets.data(), sizes.data())) return;
    report_.finding(finding_kind::kChunkOutside, "FQN '{}': chunk with offsets {} sizes {} in a tensor of size {}",
                    shown(view.fqn()), columns::to_string(offsets), columns::to_string(sizes),
                    columns::to_string(size));
  };
  if (view.row().chunk_layout == ChunkLayout::Explicit) {
    const auto boxes = c_.boxes.subspan(view.row().box_begin, std::size_t{2} * view.ndim() * view.chunk_count());
    for (std::size_t i = 0; i < boxes.size(); i += std::size_t{2} * view.ndim()) {
      check(boxes.subspan(i, view.ndim()), boxes.subspan(i + view.ndim(), view.ndim()));
    }
  } else {
    // A grid lies inside the tensor when its outermost cells do: two rows speak for all where none is empty.
    const bool is_grid = view.row().chunk_layout != ChunkLayout::Whole;
    const std::uint32_t step = is_grid && has_empty_cells(view) ? 1 : std::max(view.chunk_count() - 1, 1U);
    for (std::uint32_t row = 0; row < view.chunk_count(); row += step) {
      const ChunkStorageMetadata box = view.chunk_by_row(row)->to_value();
      check(box.offsets, box.sizes);
    }
  }
  if (!c_.has_storage_data) return;
  const auto files = c_.chunk_files.subspan(view.row().chunk_begin, view.chunk_count());
  const auto unstored = std::count(files.begin(), files.end(), kNoFile);
  if (unstored > 0) {
    report_.finding(finding_kind::kNoStorage, "FQN '{}': {} of {} chunks have no storage information",
                    shown(view.fqn()), unstored, files.size());
  }
}

}  // namespace flatpoint::read
