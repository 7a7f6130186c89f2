// write/chunk_check.hpp - what is wrong with the chunks of a tensor that was just laid out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "columns/disjoint.hpp"
#include "write/chunk_layout.hpp"

namespace flatpoint::write {

struct ChunkFaults {
  /// Two rows that share elements. (Empty chunks share none, also where they begin at one offset with another.)
  std::optional<std::pair<std::uint32_t, std::uint32_t>> conflict = {};
  bool has_hole = false;  // an element of the tensor lies in no chunk; looked for where there is no conflict
};

/// `layout` holds the tensor's chunks. Chunks may reach outside the tensor, or make no sense: what lies outside covers
/// nothing, but conflicts as anything else.
ChunkFaults check_chunks(const ChunkLayoutFinder& layout, std::span<const std::int64_t> size, std::uint32_t chunk_count,
                         columns::OverlapFinder& overlaps);

}  // namespace flatpoint::write
