#include "columns/entry_rules.hpp"

namespace flatpoint::columns {
namespace {

/// How many values of `boxes` a grid takes; unset where its cells are not exactly the tensor's chunks.
std::optional<std::uint64_t> grid_values(const Columns& columns, const EntryRow& entry) noexcept {
  if (!base::in_range(entry.box_begin, entry.ndim, columns.boxes.size())) return std::nullopt;
  const std::span counts = columns.boxes.subspan(entry.box_begin, entry.ndim);
  std::uint64_t cells = 1;
  std::uint64_t values = std::uint64_t{2} * entry.ndim;
  for (std::size_t d = 0; d < counts.size(); ++d) {
    const std::int64_t count = base::read_once(counts, d);
    if (count < 1 || !base::multiply(cells, static_cast<std::uint64_t>(count), cells)) return std::nullopt;
    if (cells > entry.chunk_count) return std::nullopt;
    if (entry.chunk_layout == ChunkLayout::Grid) values += static_cast<std::uint64_t>(count);
  }
  return cells == entry.chunk_count ? std::optional(values) : std::nullopt;
}

}  // namespace

std::optional<std::span<const std::int64_t>> box_values(const Columns& columns, const EntryRow& entry) noexcept {
  std::optional<std::uint64_t> count;
  switch (entry.chunk_layout) {
    case ChunkLayout::Whole: return entry.chunk_count == 1 ? std::optional(columns.boxes.first(0)) : std::nullopt;
    case ChunkLayout::Explicit: count = std::uint64_t{2} * entry.ndim * entry.chunk_count; break;
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: count = grid_values(columns, entry); break;
  }
  if (!count || !base::in_range(entry.box_begin, *count, columns.boxes.size())) return std::nullopt;
  return columns.boxes.subspan(entry.box_begin, *count);
}

std::string_view broken_tensor_rule(const Columns& columns, const EntryRow& entry) noexcept {
  const std::uint64_t dimensions =
      std::uint64_t{entry.ndim} * (entry.properties.strides == StridesKind::Explicit ? 2 : 1);
  if (!base::in_range(entry.size_begin, dimensions, columns.sizes.size())) return "E2";
  if (!box_values(columns, entry)) return "E3";
  if (entry.reordered != 0 && !base::in_range(entry.order_begin, entry.chunk_count, columns.chunk_order.size()))
    return "E5";
  return {};
}

}  // namespace flatpoint::columns
