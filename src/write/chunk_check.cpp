#include "write/chunk_check.hpp"

#include <algorithm>

#include "columns/boxes.hpp"
#include "columns/weigher.hpp"

namespace flatpoint::write {
namespace {

/// Whether a grid, whose cells ascend, reaches over the whole tensor.
bool grid_covers(const ChunkLayoutFinder& layout, std::span<const std::int64_t> size) noexcept {
  const auto values = layout.values();
  std::size_t splits = size.size();
  for (std::size_t d = 0; d < size.size(); ++d) {
    std::int64_t end = 0;
    if (layout.layout() == ChunkLayout::EvenGrid) {
      if (__builtin_mul_overflow(values[d], values[size.size() + d], &end)) end = size[d];
    } else {
      if (values[splits] > 0) return false;
      splits += static_cast<std::size_t>(values[d]) + 1;
      end = values[splits - 1];
    }
    if (end < size[d]) return false;
  }
  return true;
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
