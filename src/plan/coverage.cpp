#include "flatpoint/coverage.hpp"

#include <algorithm>
#include <map>

#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "columns/grid.hpp"
#include "plan/tiling.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
namespace {

using plan::Tiling;

std::size_t most_of(const CoverageOptions& options) noexcept { return std::max(options.max_findings, 1U); }

bool has_elements(std::span<const std::int64_t> size) noexcept {
  return std::ranges::none_of(size, [](std::int64_t n) { return n == 0; });
}

/// A tensor of negative size has nothing that could tile it.
bool is_negative(std::span<const std::int64_t> size, Coverage& coverage) {
  if (std::ranges::none_of(size, [](std::int64_t n) { return n < 0; })) return false;
  coverage.tiles = false;
  coverage.findings.push_back({CoverageProblem::Hole, 0, 0, {Size(size.size(), 0), Size(size.begin(), size.end())}});
  return true;
}

ChunkStorageMetadata whole(std::span<const std::int64_t> size) {
  return {Size(size.size(), 0), Size(size.begin(), size.end())};
}

/// Where the cells of a grid begin and end along a dimension, and whether its split points ascend.
struct Extent {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool ascends = true;
};

Extent extent_of(const columns::GridAxis& axis, std::uint32_t chunk_count) noexcept {
  const auto count = static_cast<std::uint64_t>(std::clamp<std::int64_t>(axis.count, 0, chunk_count));
  if (axis.is_even) return {0, axis.point(count), axis.step >= 0};
  Extent extent{axis.point(0), axis.point(0), true};
  for (std::uint64_t i = 1; i <= count; ++i) {
    const std::int64_t point = axis.point(i);
    extent.ascends &= point >= extent.end;
    extent.end = point;
  }
  return extent;
}

/// A grid tiles what its outermost split points enclose; so it is enough to look at these.
Coverage check_grid(const TensorView& tensor, const CoverageOptions& options) {
  Coverage coverage;
  const auto size = tensor.size();
  if (is_negative(size, coverage)) return coverage;
  const auto report = [&](const CoverageFinding& finding) {
    coverage.tiles = false;
    if (coverage.findings.size() < most_of(options)) coverage.findings.push_back(finding);
  };
  bool may_reach_outside = false;
  columns::GridAxes axes = columns::grid_axes(*ViewAccess::columns_of(tensor), tensor.row());
  for (std::size_t d = 0; d < size.size(); ++d) {
    const auto [begin, end, ascends] = extent_of(axes.next(), tensor.chunk_count());
    may_reach_outside |= begin < 0 || !ascends || end > size[d];
    if (!has_elements(size)) continue;
    CoverageFinding hole{CoverageProblem::Hole, 0, 0, whole(size)};
    if (begin > 0) {
      hole.box.sizes[d] = std::min(begin, size[d]);
      report(hole);
    }
    if (end < size[d]) {
      hole.box.offsets[d] = std::max<std::int64_t>(end, 0);
      hole.box.sizes[d] = size[d] - hole.box.offsets[d];
      report(hole);
    }
  }
  for (std::uint32_t row = 0; may_reach_outside && row < tensor.chunk_count(); ++row) {
    const ChunkStorageMetadata box = tensor.chunk_by_row(row)->to_value();
    if (!columns::reaches_outside(size, box.offsets.data(), box.sizes.data())) continue;
    report({CoverageProblem::Outside, row, 0, box});
    break;  // the others lie behind it
  }
  return coverage;
}

std::string_view kind_name(CoverageProblem problem) noexcept {
  switch (problem) {
    case CoverageProblem::Outside: return finding_kind::kChunkOutside;
    case CoverageProblem::Overlap: return finding_kind::kChunkOverlap;
    case CoverageProblem::Hole: return finding_kind::kChunkHole;
    case CoverageProblem::EmptyInside: return finding_kind::kEmptyChunkInside;
  }
  return "unknown";
}

/// Checks the tensors of a file one after the other.
class FileChecker {
 public:
  FileChecker(const MetadataView& metadata, const CoverageOptions& options) : metadata_(metadata), options_(options) {}

  Result<CoverageReport> run() {
    for (std::uint32_t i = 0; i < metadata_.size(); ++i) {
      const auto entry = metadata_.entry(i);
      if (!entry) return fail(ErrorCode::Corrupt, fmt::format("entry {} lies outside its columns", i));
      // No two entries of a sound file share rows; a hostile one could let a million tensors share a million.
      rows_ += entry->row().chunk_count;
      if (rows_ > metadata_.columns().chunk_rows()) {
        return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': its rows belong to other FQNs as well", entry->fqn()));
      }
      if (entry->type() > StorageType::Bytes) {
        ++report_.not_judged;
        report(finding_kind::kNotJudged,
               fmt::format("FQN '{}': an object of a foreign class, which may hold a tensor", entry->fqn()));
      }
      if (entry->type() != StorageType::Tensor) continue;
      const auto tensor = entry->tensor();
      if (!tensor)
        return fail(ErrorCode::Corrupt,
                    fmt::format("FQN '{}': its size or boxes lie outside their columns", entry->fqn()));
      check(*tensor);
    }
    return std::move(report_);
  }

 private:
  void check(const TensorView& tensor) {
    ++report_.tensors;
    if (tensor.row().chunk_layout != ChunkLayout::Explicit) return add(tensor, check_coverage(tensor, options_));
    const EntryRow& row = tensor.row();
    const auto [at, is_new] =
        explicit_.try_emplace(std::tuple(row.size_begin, row.box_begin, row.chunk_count, row.ndim));
    if (is_new) at->second = check_coverage(tensor, options_);
    add(tensor, at->second);
  }

  void add(const TensorView& tensor, const Coverage& coverage) {
    report_.not_tiled += !coverage.tiles;
    for (const CoverageFinding& finding : coverage.findings) {
      report(kind_name(finding.kind), fmt::format("FQN '{}' of size {}: {}", tensor.fqn(),
                                                  columns::to_string(tensor.size()), to_string(finding)));
    }
  }

  void report(std::string_view kind, std::string message) {
    if (seen_[kind]++ >= most_of(options_)) {
      ++report_.suppressed;
    } else {
      report_.findings.push_back({std::string(kind), std::move(message)});
    }
  }

  MetadataView metadata_;
  CoverageOptions options_;
  CoverageReport report_;
  std::uint64_t rows_ = 0;
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint8_t>, Coverage> explicit_;
  std::map<std::string_view, std::uint64_t> seen_;  // per kind
};

}  // namespace

std::string to_string(const CoverageFinding& finding) {
  const auto& [offsets, sizes] = finding.box;
  const std::string where = fmt::format("at {} with sizes {}", columns::to_string(offsets), columns::to_string(sizes));
  switch (finding.kind) {
    case CoverageProblem::Outside: return fmt::format("chunk {} {} reaches outside", finding.chunk, where);
    case CoverageProblem::Overlap:
      return fmt::format("chunks {} and {} share the region {}", finding.chunk, finding.other, where);
    case CoverageProblem::Hole: return fmt::format("no chunk holds the region {}", where);
    case CoverageProblem::EmptyInside:
      return fmt::format("the empty chunk {} {} lies inside chunk {}", finding.chunk, where, finding.other);
  }
  return where;
}

Coverage check_coverage(std::span<const std::int64_t> size, std::uint32_t count, std::span<const std::int64_t> boxes,
                        const CoverageOptions& options) {
  Coverage coverage;
  if (is_negative(size, coverage)) return coverage;
  Tiling tiling(size, count, boxes);
  const std::size_t most = most_of(options);
  const auto [inside, tiles, any_empty] = tiling.weigh();
  coverage.tiles = inside && tiles;
  if (!inside) tiling.find_outside(most, coverage.findings);
  if (!tiles) tiling.find_defects(most, coverage.findings);
  if (coverage.tiles && any_empty) tiling.find_empty_inside(most, coverage.findings);
  return coverage;
}

Coverage check_coverage(const TensorView& tensor, const CoverageOptions& options) {
  const EntryRow& row = tensor.row();
  switch (row.chunk_layout) {
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: return check_grid(tensor, options);
    case ChunkLayout::Explicit: {
      const auto boxes =
          ViewAccess::columns_of(tensor)->boxes.subspan(row.box_begin, std::size_t{2} * row.ndim * row.chunk_count);
      return check_coverage(tensor.size(), row.chunk_count, boxes, options);
    }
    default: break;
  }
  Coverage coverage;
  is_negative(tensor.size(), coverage);
  return coverage;
}

Result<CoverageReport> check_coverage(const MetadataView& metadata, const CoverageOptions& options) {
  return FileChecker(metadata, options).run();
}

}  // namespace flatpoint
