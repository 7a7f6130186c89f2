#include "plan/tiling.hpp"

#include <algorithm>
#include <numeric>

#include "columns/boxes.hpp"
#include "flatpoint/overlap.hpp"

namespace flatpoint::plan {
namespace {

/// Empty chunks that are looked for inside others: each may cost as much as there are chunks.
constexpr std::uint32_t kMaxEmptyChunks = 65'536;

ChunkStorageMetadata as_box(std::span<const std::int64_t> begin, std::span<const std::int64_t> end) {
  ChunkStorageMetadata box{Size(begin.begin(), begin.end()), Size(begin.size())};
  for (std::size_t d = 0; d < begin.size(); ++d) box.sizes[d] = base::wrapping_subtract(end[d], begin[d]);
  return box;
}

}  // namespace

Tiling::Tiling(std::span<const std::int64_t> size, std::uint32_t count, std::span<const std::int64_t> boxes)
    : size_(size), count_(count), boxes_(boxes), ndim_(size.size()), weigher_(ndim_) {}

/// Boxes may lie in a mapping that changes underneath; nothing here is indexed by what they say.
Tiling::Interval Tiling::interval(std::uint32_t box, std::size_t d) const noexcept {
  const std::int64_t* at = boxes_.data() + 2 * ndim_ * box + d;
  return {at[0], columns::end_of(at[0], at[ndim_])};
}

ChunkStorageMetadata Tiling::stated(std::uint32_t box) const {
  const auto values = boxes_.subspan(2 * ndim_ * box, 2 * ndim_);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(ndim_);
  return {Size(values.begin(), middle), Size(middle, values.end())};
}

void Tiling::find_outside(std::size_t most, std::vector<CoverageFinding>& findings) const {
  for (std::uint32_t box = 0; box < count_ && findings.size() < most; ++box) {
    const std::int64_t* at = boxes_.data() + 2 * ndim_ * box;
    if (!columns::reaches_outside(size_, at, at + ndim_)) continue;
    findings.push_back({CoverageProblem::Outside, box, 0, stated(box)});
  }
}

Tiling::Interval Tiling::clipped(std::uint32_t box, std::size_t d, const Region& region) const noexcept {
  const auto [begin, end] = interval(box, d);
  return {std::max(begin, region.begin[d]), std::min(end, region.end[d])};
}

bool Tiling::reaches_into(std::uint32_t box, const Region& region) const noexcept {
  for (std::size_t d = 0; d < ndim_; ++d) {
    const auto [begin, end] = clipped(box, d, region);
    if (begin >= end) return false;
  }
  return true;
}

bool Tiling::is_tiled(const Region& region) {
  columns::Weight whole{1};
  for (std::size_t d = 0; d < ndim_; ++d) whole = whole * weigher_.interval(d, region.begin[d], region.end[d]);
  columns::Weight all{0};
  for (const std::uint32_t box : region.boxes) {
    columns::Weight weight{1};
    for (std::size_t d = 0; d < ndim_; ++d) {
      const auto [begin, end] = clipped(box, d, region);
      weight = weight * weigher_.interval(d, begin, end);
    }
    all = all + weight;
  }
  return all == whole;
}

/// The dimension in which most boxes begin or end inside the region, and the median of these places. False where every
/// box fills the region.
bool Tiling::find_cut(const Region& region, Cut& cut) const {
  const auto for_each_edge = [&](std::size_t d, auto&& visit) {
    for (const std::uint32_t box : region.boxes) {
      const auto [begin, end] = interval(box, d);
      for (const std::int64_t edge : {begin, end}) {
        if (edge > region.begin[d] && edge < region.end[d]) visit(edge);
      }
    }
  };
  std::size_t most = 0;
  for (std::size_t d = 0; d < ndim_; ++d) {
    std::size_t edges = 0;
    for_each_edge(d, [&](std::int64_t) { ++edges; });
    if (edges <= most) continue;
    most = edges;
    cut.dimension = d;
  }
  if (most == 0) return false;
  std::vector<std::int64_t> edges;
  edges.reserve(most);
  for_each_edge(cut.dimension, [&](std::int64_t edge) { edges.push_back(edge); });
  if (edges.empty()) return false;
  const auto median = edges.begin() + static_cast<std::ptrdiff_t>(edges.size() / 2);
  std::nth_element(edges.begin(), median, edges.end());
  cut.at = *median;
  return true;
}

Tiling::Region Tiling::half(const Region& region, const Cut& cut, bool upper) const {
  Region half{region.begin, region.end, {}};
  (upper ? half.begin : half.end)[cut.dimension] = cut.at;
  for (const std::uint32_t box : region.boxes) {
    if (reaches_into(box, half)) half.boxes.push_back(box);
  }
  return half;
}

/// Halves the tensor where boxes begin or end, and follows the halves that are not tiled: a half without boxes is a
/// hole, one that several boxes fill is an overlap. Each of them ends in a finding, so no more than are wanted are
/// kept.
void Tiling::find_defects(std::size_t most, std::vector<CoverageFinding>& findings) {
  std::vector<Region> open(1);
  open[0] = {Size(ndim_, 0), Size(size_.begin(), size_.end()), {}};
  for (std::uint32_t box = 0; box < count_; ++box) {
    if (reaches_into(box, open[0])) open[0].boxes.push_back(box);
  }
  while (!open.empty() && findings.size() < most) {
    const Region region = std::move(open.back());
    open.pop_back();
    Cut cut{};
    if (region.boxes.empty()) {
      findings.push_back({CoverageProblem::Hole, 0, 0, as_box(region.begin, region.end)});
    } else if (!find_cut(region, cut)) {
      if (region.boxes.size() < 2) continue;  // only where the boxes change meanwhile
      findings.push_back(
          {CoverageProblem::Overlap, region.boxes[0], region.boxes[1], as_box(region.begin, region.end)});
    } else {
      for (const bool upper : {true, false}) {
        if (Region part = half(region, cut, upper); open.size() + findings.size() < most && !is_tiled(part)) {
          open.push_back(std::move(part));
        }
      }
    }
  }
}

/// An empty chunk at an edge of the tensor lies inside nothing.
bool Tiling::may_lie_inside(std::uint32_t box) const noexcept {
  bool empty = false;
  for (std::size_t d = 0; d < ndim_; ++d) {
    const auto [begin, end] = interval(box, d);
    if (begin != end) continue;
    empty = true;
    if (begin <= 0 || begin >= size_[d]) return false;
  }
  return empty;
}

void Tiling::find_empty_inside(std::size_t most, std::vector<CoverageFinding>& findings) const {
  std::vector<std::uint32_t> empty;
  for (std::uint32_t box = 0; box < count_ && empty.size() < kMaxEmptyChunks; ++box) {
    if (may_lie_inside(box)) empty.push_back(box);
  }
  if (empty.empty()) return;
  const OverlapIndex index(static_cast<std::uint8_t>(ndim_), count_, boxes_);
  for (const std::uint32_t box : empty) {
    if (findings.size() >= most) return;
    const ChunkStorageMetadata chunk = stated(box);
    const Overlaps hit(index, chunk.offsets, chunk.sizes);
    if (!hit.done()) findings.push_back({CoverageProblem::EmptyInside, box, hit.chunk(), chunk});
  }
}

}  // namespace flatpoint::plan
