// model/sharding.cpp - DTensor's cuts as arithmetic on positions.
//
// torch cuts a dimension from left to right in the mesh, each cut keeping some elements of the list that the one before
// left. A Shard keeps one run. A StridedShard first cuts the list into `split_factor` pieces and keeps its run of each,
// so a Shard is a StridedShard of one piece. Where an element of the last list lies in the tensor is found by walking
// the cuts back, and since every cut keeps the order, a list is one run exactly where its ends are as far apart as it
// is long.
#include "flatpoint/sharding.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint {
namespace {

using base::even_point;
using detail::MeshDim;
using detail::ShardingAxis;

constexpr std::int64_t kMaxRanks = std::numeric_limits<std::int32_t>::max();

// What a rank holds of one dimension: `count` elements, the first and the last of them.
struct Held {
  std::int64_t first;
  std::int64_t last;
  std::int64_t count;
  [[nodiscard]] bool is_run() const noexcept { return count == 0 || last - first == count - 1; }
};

struct Run {
  std::int64_t begin;
  std::int64_t length;
};

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) noexcept { return a / b + (a % b != 0 ? 1 : 0); }

// Part i of `parts`, as torch.chunk cuts.
Run part(std::int64_t length, std::int64_t parts, std::int64_t i) noexcept {
  const std::int64_t step = ceil_divide(length, parts);
  const std::int64_t begin = even_point(i, step, length);
  return {begin, even_point(i + 1, step, length) - begin};
}

// The elements that a cut keeps of a list: `run` of each of the `pieces` equal pieces, `tail` of a last, shorter one.
class Selection {
 public:
  Selection(std::int64_t length, const MeshDim& cut, std::uint32_t coordinate) noexcept
      : piece_(ceil_divide(length, cut.split_factor)),
        pieces_(piece_ == 0 ? 0 : length / piece_),
        run_(part(piece_, cut.parts, coordinate)),
        tail_(part(length - pieces_ * piece_, cut.parts, coordinate)) {}

  [[nodiscard]] std::int64_t count() const noexcept { return pieces_ * run_.length + tail_.length; }

  // Where the i-th element kept was in the list. REQUIRES: i < count().
  [[nodiscard]] std::int64_t source(std::int64_t i) const noexcept {
    const std::int64_t in_pieces = pieces_ * run_.length;
    if (i < in_pieces) return i / run_.length * piece_ + run_.begin + i % run_.length;
    return pieces_ * piece_ + tail_.begin + (i - in_pieces);
  }

 private:
  std::int64_t piece_;
  std::int64_t pieces_;
  Run run_;
  Run tail_;
};

std::uint32_t coordinate(std::uint32_t rank, const MeshDim& dim) noexcept { return rank / dim.stride % dim.parts; }

Held held(std::int64_t length, std::span<const MeshDim> cuts, std::uint32_t rank, std::vector<Selection>& scratch) {
  if (cuts.empty()) return {0, length - 1, length};
  scratch.clear();
  std::int64_t count = length;
  for (const MeshDim& cut : cuts) {
    scratch.emplace_back(count, cut, coordinate(rank, cut));
    count = scratch.back().count();
  }
  if (count == 0) return {length, length, 0};
  std::int64_t first = 0;
  std::int64_t last = count - 1;
  for (auto selection = scratch.rbegin(); selection != scratch.rend(); ++selection) {
    first = selection->source(first);
    last = selection->source(last);
  }
  return {first, last, count};
}

struct Plan {
  std::vector<std::vector<MeshDim>> cuts;  // per dimension of the tensor
  std::vector<MeshDim> replicas;           // mesh dimensions that cut nothing
  std::uint32_t ranks = 1;
};

Result<std::uint32_t> count_ranks(std::span<const std::int64_t> mesh_shape) {
  std::int64_t ranks = 1;
  for (const std::int64_t parts : mesh_shape) {
    if (parts < 1) return fail(ErrorCode::InvalidArgument, fmt::format("a mesh dimension of size {}", parts));
    if (parts > kMaxRanks / ranks) {
      return fail(ErrorCode::TooLarge, fmt::format("a mesh of more than {} ranks", kMaxRanks));
    }
    ranks *= parts;
  }
  return static_cast<std::uint32_t>(ranks);
}

// Where a placement cuts: the tensor's dimension and the split factor; no dimension where it does not cut.
struct Where {
  std::optional<std::int64_t> dim;
  std::int64_t split_factor = 1;
};

Where where(const Placement& placement) noexcept {
  if (const auto* shard = std::get_if<Shard>(&placement)) return {shard->dim, 1};
  if (const auto* strided = std::get_if<StridedShard>(&placement)) return {strided->dim, strided->split_factor};
  return {};
}

Result<Plan> make_plan(std::span<const std::int64_t> size, std::span<const std::int64_t> mesh_shape,
                       std::span<const Placement> placements) {
  if (const auto negative = std::ranges::find_if(size, [](std::int64_t n) { return n < 0; }); negative != size.end()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("dimension {} has the negative size {}", negative - size.begin(), *negative));
  }
  if (placements.size() != mesh_shape.size()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} placements for a mesh of {} dimensions", placements.size(), mesh_shape.size()));
  }
  const auto ranks = count_ranks(mesh_shape);
  RETURN_IF_ERROR(ranks);

  Plan plan{std::vector<std::vector<MeshDim>>(size.size()), {}, *ranks};
  std::uint32_t stride = *ranks;
  for (std::size_t i = 0; i < placements.size(); ++i) {
    const auto parts = static_cast<std::uint32_t>(mesh_shape[i]);
    stride /= parts;
    const auto [dim, split_factor] = where(placements[i]);
    if (!dim) {
      plan.replicas.push_back({stride, parts});
      continue;
    }
    const auto dimensions = static_cast<std::int64_t>(size.size());
    const std::int64_t dimension = *dim < 0 ? *dim + dimensions : *dim;
    if (dimension < 0 || dimension >= dimensions) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("placement {} shards a tensor of {} dimensions", to_string(placements[i]), dimensions));
    }
    if (split_factor < 1) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("placement {} has a split factor below 1", to_string(placements[i])));
    }
    plan.cuts[static_cast<std::size_t>(dimension)].push_back({stride, parts, split_factor});
  }
  return plan;
}

tl::unexpected<Error> outside_mesh(std::int64_t rank, std::uint32_t ranks) {
  return fail(ErrorCode::InvalidArgument, fmt::format("rank {} of a mesh of {} ranks", rank, ranks));
}

tl::unexpected<Error> not_a_box(std::uint32_t rank, std::size_t dimension, const Held& elements) {
  return fail(
      ErrorCode::InvalidArgument,
      fmt::format("rank {} holds {} elements of dimension {} that are not one run, the first at {}, the last at "
                  "{}: no box describes them",
                  rank, elements.count, dimension, elements.first, elements.last));
}

Result<void> refuse_partial(std::span<const Placement> placements) {
  if (std::ranges::none_of(placements, [](const Placement& p) { return std::holds_alternative<Partial>(p); }))
    return {};
  return fail(ErrorCode::InvalidArgument,
              "Any checkpointing related operations are not supported for DTensor with partial placements!");
}

enum class Runs { Any, One };

Result<ChunkStorageMetadata> box_of_rank(std::span<const std::int64_t> size, std::span<const std::int64_t> mesh_shape,
                                         std::span<const Placement> placements, std::int64_t rank, Runs runs) {
  const auto plan = make_plan(size, mesh_shape, placements);
  RETURN_IF_ERROR(plan);
  if (rank < 0 || rank >= plan->ranks) return outside_mesh(rank, plan->ranks);
  ChunkStorageMetadata box{Size(size.size()), Size(size.size())};
  std::vector<Selection> scratch;
  for (std::size_t i = 0; i < size.size(); ++i) {
    const Held elements = held(size[i], plan->cuts[i], static_cast<std::uint32_t>(rank), scratch);
    if (runs == Runs::One && !elements.is_run()) return not_a_box(static_cast<std::uint32_t>(rank), i, elements);
    box.offsets[i] = elements.first;
    box.sizes[i] = elements.count;
  }
  return box;
}

std::uint32_t position_of(std::span<const MeshDim> cuts, std::uint32_t rank) noexcept {
  std::uint32_t position = 0;
  for (const MeshDim& cut : cuts) position = position * cut.parts + coordinate(rank, cut);
  return position;
}

// The lowest rank at a position: every other coordinate is 0.
std::uint32_t rank_at(std::span<const MeshDim> cuts, std::uint32_t position) noexcept {
  std::uint32_t rank = 0;
  for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
    rank += position % cut->parts * cut->stride;
    position /= cut->parts;
  }
  return rank;
}

Result<ShardingAxis> make_axis(std::size_t dimension, std::int64_t length, std::vector<MeshDim> cuts) {
  std::size_t positions = 1;
  for (const MeshDim& cut : cuts) positions *= cut.parts;
  std::vector<std::int64_t> begins(positions);
  std::vector<Selection> scratch;
  for (std::uint32_t i = 0; i < positions; ++i) {
    const std::uint32_t rank = rank_at(cuts, i);
    const Held elements = held(length, cuts, rank, scratch);
    if (!elements.is_run()) return not_a_box(rank, dimension, elements);
    begins[i] = elements.first;
  }

  // Runs that begin at one place are one cell: elements have one owner, and all empty runs lie at the end.
  std::vector<std::uint32_t> by_begin(positions);
  std::iota(by_begin.begin(), by_begin.end(), 0);
  if (!std::ranges::is_sorted(begins))
    std::ranges::stable_sort(by_begin, {}, [&](std::uint32_t i) { return begins[i]; });
  ShardingAxis axis{std::move(cuts), {}, std::vector<std::uint32_t>(positions), {}};
  for (const std::uint32_t i : by_begin) {
    if (axis.points.empty() || axis.points.back() != begins[i]) {
      axis.points.push_back(begins[i]);
      axis.lowest.push_back(i);
    }
    axis.cells[i] = static_cast<std::uint32_t>(axis.lowest.size() - 1);
  }
  axis.points.push_back(length);
  return axis;
}

}  // namespace

Result<ChunkStorageMetadata> compute_local_shape_and_global_offset(std::span<const std::int64_t> global_shape,
                                                                   std::span<const std::int64_t> mesh_shape,
                                                                   std::span<const Placement> placements,
                                                                   std::int64_t rank) {
  return box_of_rank(global_shape, mesh_shape, placements, rank, Runs::Any);
}

Result<ChunkStorageMetadata> local_box(std::span<const std::int64_t> size, std::span<const std::int64_t> mesh_shape,
                                       std::span<const Placement> placements, std::int64_t rank) {
  return refuse_partial(placements).and_then([&] {
    return box_of_rank(size, mesh_shape, placements, rank, Runs::One);
  });
}

Result<Sharding> Sharding::create(std::span<const std::int64_t> size, std::span<const std::int64_t> mesh_shape,
                                  std::span<const Placement> placements) {
  RETURN_IF_ERROR(refuse_partial(placements));
  auto plan = make_plan(size, mesh_shape, placements);
  RETURN_IF_ERROR(plan);
  Sharding sharding;
  sharding.size_.assign(size.begin(), size.end());
  sharding.rank_count_ = plan->ranks;
  sharding.replicas_ = std::move(plan->replicas);
  for (std::size_t i = 0; i < size.size(); ++i) {
    auto axis = make_axis(i, size[i], std::move(plan->cuts[i]));
    RETURN_IF_ERROR(axis);
    sharding.axes_.push_back(std::move(*axis));
  }
  return sharding;
}

void Sharding::local_box(std::uint32_t rank, std::span<std::int64_t> offsets,
                         std::span<std::int64_t> sizes) const noexcept {
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    const ShardingAxis& axis = axes_[i];
    const std::uint32_t cell = axis.cells[position_of(axis.cuts, rank)];
    offsets[i] = axis.points[cell];
    sizes[i] = axis.points[cell + 1] - axis.points[cell];
  }
}

ChunkStorageMetadata Sharding::local_box(std::uint32_t rank) const {
  ChunkStorageMetadata box{Size(axes_.size()), Size(axes_.size())};
  local_box(rank, box.offsets, box.sizes);
  return box;
}

std::optional<std::int64_t> Sharding::even_step(std::size_t dimension) const noexcept {
  const auto points = split_points(dimension);
  const std::int64_t step = points[1];
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i] != even_point(static_cast<std::int64_t>(i), step, size_[dimension])) return std::nullopt;
  }
  return step;
}

std::uint32_t Sharding::cell(std::uint32_t rank) const noexcept {
  std::uint32_t cell = 0;
  for (const ShardingAxis& axis : axes_) {
    cell = cell * static_cast<std::uint32_t>(axis.lowest.size()) + axis.cells[position_of(axis.cuts, rank)];
  }
  return cell;
}

std::uint32_t Sharding::cell_count() const noexcept {
  std::uint32_t count = 1;
  for (const ShardingAxis& axis : axes_) count *= static_cast<std::uint32_t>(axis.lowest.size());
  return count;
}

std::vector<std::uint32_t> Sharding::chunk_ranks() const {
  const auto is_lowest = [this](std::uint32_t rank) {
    return std::ranges::all_of(replicas_, [&](const MeshDim& dim) { return coordinate(rank, dim) == 0; }) &&
           std::ranges::all_of(axes_, [&](const ShardingAxis& axis) {
             const std::uint32_t position = position_of(axis.cuts, rank);
             return axis.lowest[axis.cells[position]] == position;
           });
  };
  std::vector<std::uint32_t> ranks;
  ranks.reserve(cell_count());
  for (std::uint32_t rank = 0; rank < rank_count_; ++rank) {
    if (is_lowest(rank)) ranks.push_back(rank);
  }
  return ranks;
}

std::vector<ChunkStorageMetadata> Sharding::chunks() const {
  std::vector<ChunkStorageMetadata> chunks;
  chunks.reserve(cell_count());
  for (const std::uint32_t rank : chunk_ranks()) chunks.push_back(local_box(rank));
  return chunks;
}

Result<TensorStorageMetadata> create_tensor_storage_metadata(const TensorDescriptor& local, const Sharding& sharding,
                                                             std::uint32_t rank) {
  if (rank >= sharding.rank_count()) return outside_mesh(rank, sharding.rank_count());
  auto properties = TensorProperties::create_from_tensor(local);
  RETURN_IF_ERROR(properties);
  auto box = sharding.local_box(rank);
  if (!std::ranges::equal(local.size, box.sizes)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a local tensor of size [{}], where rank {} holds a box of size [{}]",
                            fmt::join(local.size, ", "), rank, fmt::join(box.sizes, ", ")));
  }
  TensorStorageMetadata metadata{std::move(*properties), Size(sharding.size().begin(), sharding.size().end()), {}};
  metadata.chunks.push_back(std::move(box));
  return metadata;
}

}  // namespace flatpoint
