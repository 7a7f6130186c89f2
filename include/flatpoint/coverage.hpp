// flatpoint/coverage.hpp - do the chunks of a tensor tile it: no hole, no overlap, nothing outside?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"
#include "flatpoint/verify.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint {

enum class CoverageProblem : std::uint8_t {
  Outside,      // a chunk has elements outside the tensor, or a negative number; an empty one may lie anywhere
  Overlap,      // two chunks hold the same elements
  Hole,         // no chunk holds these elements
  EmptyInside,  // an empty chunk lies strictly inside another: no element is held twice, but torch calls it an overlap
};

/// One problem. Chunks are numbered as TensorView::chunk_by_row does, or as the caller listed them.
struct CoverageFinding {
  CoverageProblem kind;
  std::uint32_t chunk = 0;   // Outside, Overlap, EmptyInside
  std::uint32_t other = 0;   // Overlap, EmptyInside
  ChunkStorageMetadata box;  // the chunk outside; the elements shared; a part of the hole; the empty chunk
};

/// "chunk 3 at [8, 0] with sizes [4, 4] reaches outside".
std::string to_string(const CoverageFinding& finding);

struct Coverage {
  /// Every element lies in exactly one chunk, and no chunk reaches outside.
  bool tiles = true;
  /// Some of what is wrong, at most CoverageOptions::max_findings; at least one where `tiles` is false.
  std::vector<CoverageFinding> findings;
};

struct CoverageOptions {
  std::uint32_t max_findings = 10;  // per tensor; 0 counts as 1
};

/// Whether boxes tile a tensor of that size: O(count * ndim), and O(count * ndim^2 * log count) more for each finding.
/// `boxes`: per chunk `size.size()` offsets, then as many sizes. REQUIRES: that many values for `count` chunks, at most
/// 255 dimensions.
///
/// A tiling is told from anything else by weighing it. Every coordinate of a dimension gets a random number modulo
/// 2^61 - 1, and a box weighs the product over its dimensions of number(end) - number(begin). Chunks that tile weigh
/// together what the tensor weighs; others do so with a chance of at most ndim / 2^60. The numbers are drawn anew for
/// each call, so that nobody can make chunks to fit them.
///
/// torch's _validate_global_plan (with more than one plan) accepts what tiles and has no finding EmptyInside, which is
/// looked for in the first 65 536 empty chunks. It passes over tensors without dimensions; here they must have one
/// chunk.
Coverage check_coverage(std::span<const std::int64_t> size, std::uint32_t count, std::span<const std::int64_t> boxes,
                        const CoverageOptions& options = {});

/// The same for a tensor of a file. No chunk of a grid is looked at: O(ndim) where it is even, else O(split points).
Coverage check_coverage(const TensorView& tensor, const CoverageOptions& options = {});

struct CoverageReport {
  std::uint64_t tensors = 0;      // that were judged
  std::uint64_t not_judged = 0;   // FQNs of a foreign class: what they hold, and whether it is whole, nobody knows
  std::uint64_t not_tiled = 0;    // of these
  std::vector<Finding> findings;  // "chunk_outside", "chunk_overlap", "chunk_hole", "empty_chunk_inside",
                                  // "not_judged"; at most max_findings of each
  std::uint64_t suppressed = 0;   // findings beyond those maxima
};

/// All tensors of a file. Explicit chunks that tensors share are weighed once. Errors: Corrupt.
[[nodiscard]] Result<CoverageReport> check_coverage(const MetadataView& metadata, const CoverageOptions& options = {});

}  // namespace flatpoint
