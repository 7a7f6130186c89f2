#include "columns/entry_rules.hpp"

namespace flatpoint::columns {
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

}  // namespace

std::string_view broken_tensor_rule(const Columns& columns, const EntryRow& entry) noexcept {
  const std::uint64_t dimensions =
      std::uint64_t{entry.ndim} * (entry.properties.strides == StridesKind::Explicit ? 2 : 1);
  if (!base::in_range(entry.size_begin, dimensions, columns.sizes.size())) return "E2";
  if (!boxes_fit(columns, entry)) return "E3";
  if (entry.reordered != 0 && !base::in_range(entry.order_begin, entry.chunk_count, columns.chunk_order.size()))
    return "E5";
  return {};
}

}  // namespace flatpoint::columns
