// flatpoint/sharding.hpp - device mesh and placements to the box that every rank holds, as torch's DTensor cuts.
//
// A rank here is a position in the mesh, row-major: on a mesh of {8, 4}, rank 5 is at (1, 1). Arithmetic only: no
// tensor, no index list, whatever the sizes are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/tensor_properties.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint {

/// torch's placements, one per mesh dimension. A negative `dim` counts from the tensor's last dimension.
struct Shard {
  std::int64_t dim;
  bool operator==(const Shard&) const = default;
};
/// torch's _StridedShard: what FSDP states when it shards a dimension that is cut further right in the mesh already.
struct StridedShard {
  std::int64_t dim;
  std::int64_t split_factor;
  bool operator==(const StridedShard&) const = default;
};
struct Replicate {
  bool operator==(const Replicate&) const = default;
};
struct Partial {
  bool operator==(const Partial&) const = default;
};
using Placement = std::variant<Shard, StridedShard, Replicate, Partial>;

/// As torch prints it: "S(0)", "_S(0, 2)", "R", "P".
std::string to_string(const Placement& placement);

/// Reads placements as a person writes them, "S0,R" or "SS0/2,S0", and as torch prints them: "S(0)", "_S(0, 2)",
/// "P(sum)", "Shard(dim=0)", "_StridedShard(dim=0, sf=2)", "Replicate()", with or without the tuple's parentheses.
/// Errors: InvalidArgument, naming the placement that cannot be read.
[[nodiscard]] Result<std::vector<Placement>> parse_placements(std::string_view text);

/// torch.distributed.tensor._utils.compute_local_shape_and_global_offset, value for value. An empty shard lies at the
/// end of its dimension. As torch, replicates what is Partial; and where a StridedShard leaves elements that are not
/// one run, gives the box that begins at the first of them, which holds others. `local_box` refuses both. Errors:
/// InvalidArgument for a rank outside the mesh, placements that do not fit mesh or tensor, negative sizes; TooLarge for
/// a mesh above 2^31 - 1 ranks.
[[nodiscard]] Result<ChunkStorageMetadata> compute_local_shape_and_global_offset(
    std::span<const std::int64_t> global_shape, std::span<const std::int64_t> mesh_shape,
    std::span<const Placement> placements, std::int64_t rank);

/// The box that a rank holds. Errors: as above, and InvalidArgument where DCP cannot describe what the rank holds.
[[nodiscard]] Result<ChunkStorageMetadata> local_box(std::span<const std::int64_t> size,
                                                     std::span<const std::int64_t> mesh_shape,
                                                     std::span<const Placement> placements, std::int64_t rank);

namespace detail {

/// One dimension of the mesh: a rank's coordinate is rank / stride % parts.
struct MeshDim {
  std::uint32_t stride;
  std::uint32_t parts;
  std::int64_t split_factor = 1;  // of the placement there
};

/// How the mesh cuts one dimension of a tensor. A position numbers the coordinates in `cuts`, row-major.
struct ShardingAxis {
  std::vector<MeshDim> cuts;          // the mesh dimensions that shard it, left to right
  std::vector<std::int64_t> points;   // split points, one more than cells
  std::vector<std::uint32_t> cells;   // per position: its cell
  std::vector<std::uint32_t> lowest;  // per cell: its lowest position
};

}  // namespace detail

/// All ranks' boxes of one tensor. They always form a grid: each dimension is cut into cells by the mesh dimensions
/// that shard it, and a rank holds one cell of each. Immutable; safe to read from any number of threads.
class Sharding {
 public:
  /// O(ranks). Errors: as local_box for any of the ranks.
  [[nodiscard]] static Result<Sharding> create(std::span<const std::int64_t> size,
                                               std::span<const std::int64_t> mesh_shape,
                                               std::span<const Placement> placements);

  [[nodiscard]] std::span<const std::int64_t> size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t rank_count() const noexcept { return rank_count_; }

  /// The box of a rank. Allocates nothing. REQUIRES: rank < rank_count(), and both spans have a value per dimension.
  void local_box(std::uint32_t rank, std::span<std::int64_t> offsets, std::span<std::int64_t> sizes) const noexcept;
  [[nodiscard]] ChunkStorageMetadata local_box(std::uint32_t rank) const;

  /// Split points of a dimension, one more than it has cells: cell i is [points[i], points[i + 1]). The last cell may
  /// be empty. REQUIRES: dimension < size().size().
  [[nodiscard]] std::span<const std::int64_t> split_points(std::size_t dimension) const noexcept {
    return axes_[dimension].points;
  }
  /// The length of a dimension's first cell where every cell i is [min(i * step, n), min((i + 1) * step, n)).
  [[nodiscard]] std::optional<std::int64_t> even_step(std::size_t dimension) const noexcept;
  /// Row-major number of the cell that a rank holds. REQUIRES: rank < rank_count().
  [[nodiscard]] std::uint32_t cell(std::uint32_t rank) const noexcept;
  /// Cells of the grid: the number of distinct chunks.
  [[nodiscard]] std::uint32_t cell_count() const noexcept;

  /// The lowest rank that holds each distinct chunk, ascending: the chunks of DCP's metadata in rank order. O(ranks).
  [[nodiscard]] std::vector<std::uint32_t> chunk_ranks() const;
  /// Those chunks. O(ranks).
  [[nodiscard]] std::vector<ChunkStorageMetadata> chunks() const;

 private:
  Size size_;
  std::vector<detail::ShardingAxis> axes_;  // one per dimension
  std::vector<detail::MeshDim> replicas_;   // mesh dimensions along which ranks hold the same
  std::uint32_t rank_count_ = 1;
};

/// What the rank that holds `local` writes: its properties, the whole tensor's size, and its one chunk. Errors: as
/// create_from_tensor, and InvalidArgument where `rank` is outside or `local` has another size than the rank's box.
[[nodiscard]] Result<TensorStorageMetadata> create_tensor_storage_metadata(const TensorDescriptor& local,
                                                                           const Sharding& sharding,
                                                                           std::uint32_t rank);
template <TensorLike Tensor>
[[nodiscard]] Result<TensorStorageMetadata> create_tensor_storage_metadata(const Tensor& local,
                                                                           const Sharding& sharding,
                                                                           std::uint32_t rank) {
  return TensorTraits<Tensor>::describe(local).and_then(
      [&](const TensorDescriptor& descriptor) { return create_tensor_storage_metadata(descriptor, sharding, rank); });
}

}  // namespace flatpoint
