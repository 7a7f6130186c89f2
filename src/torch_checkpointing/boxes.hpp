// torch_checkpointing/boxes.hpp - what a rank holds of a tensor, by its mesh and placements.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flatpoint/sharding.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::torch_checkpointing {

struct Run {
  std::int64_t begin;
  std::int64_t count;
  bool operator==(const Run&) const = default;
};
/// Positions of one dimension, ascending in the order in which a rank's local tensor has them.
using Runs = std::vector<Run>;

/// What the rank at `position` (row-major in the mesh) holds of each dimension: one run, none where its shard is empty,
/// several where a StridedShard leaves some that do not follow each other. (torch, and the library, take the first and
/// the number of all for a box.) `work` counts the pieces that were looked at and stops it beyond `max_work`: false.
/// REQUIRES: a placement per mesh dimension, none Partial; dims of the shape; split factors of 1 or more.
[[nodiscard]] bool local_runs(std::span<const std::int64_t> shape, std::span<const std::int64_t> mesh_shape,
                              std::span<const Placement> placements, std::uint64_t position, std::uint64_t max_work,
                              std::uint64_t& work, std::vector<Runs>& runs);

}  // namespace flatpoint::torch_checkpointing
