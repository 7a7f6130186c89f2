#include "write/chunk_check.hpp"

#include <algorithm>

#include "columns/boxes.hpp"
#include "columns/grid.hpp"
#include "columns/weigher.hpp"

namespace flatpoint::write {
namespace {

/// Whether a grid, whose cells ascend, reaches over the whole tensor.
bool grid_covers(const ChunkLayoutFinder& layout, std::span<const std::int64_t> size) noexcept {
  columns::GridAxes axes(layout.values(), 0, size.size(), layout.layout() == ChunkLayout::EvenGrid, size);
  return std::ranges::all_of(size, [&](std::int64_t n) {
    const columns::GridAxis axis = axes.next();
    return axis.point(0) <= 0 && axis.point(static_cast<std::uint64_t>(axis.count)) >= n;
  });
}

}  // namespace

ChunkFaults check_chunks(const ChunkLayoutFinder& layout, std::span<const std::int64_t> size, std::uint32_t chunk_count,
                         columns::OverlapFinder& overlaps) {
  const bool negative = std::ranges::any_of(size, [](std::int64_t n) { return n < 0; });  // nothing tiles such a tensor
  if (chunk_count == 0) return {.has_hole = negative || !columns::is_empty(size)};
  if (size.empty() && chunk_count > 1) return {.conflict = std::pair(0U, 1U)};
  switch (layout.layout()) {
    case ChunkLayout::Whole: return {.has_hole = negative};
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid:
      return {.has_hole = negative || (!columns::is_empty(size) && !grid_covers(layout, size))};
    case ChunkLayout::Explicit: break;
  }
  bool tiles = false;
  if (!negative) {
    columns::Weigher weigher(size.size());
    const columns::TilingVerdict verdict = columns::weigh(weigher, size, layout.values(), chunk_count);
    if (verdict.inside && verdict.tiles) return {};
    tiles = verdict.tiles;
  }
  if (const auto overlap = overlaps.find(layout.values(), size.size())) return {.conflict = overlap};
  return {.has_hole = !tiles};
}

}  // namespace flatpoint::write
