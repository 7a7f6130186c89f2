// plan/mesh_targets.hpp - a checkpoint's FQNs in the order of their files, and the few geometries that they share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "columns/seed.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/sharding.hpp"
#include "plan/id_table.hpp"
#include "plan/plan_writer.hpp"

namespace flatpoint::plan {

/// Tensors of one geometry, all sharded alike.
struct TensorClass {
  Geometry geometry;
  TensorView tensor;  // the first; its size and boxes speak for all
  std::vector<Placement> placements;
  std::optional<Sharding> sharding = {};  // every rank's box, made once that pays
  OverlapIndex index = {};                // built once it pays
  std::uint32_t queries = 0;
  std::uint32_t members = 0;
  bool shares_files = false;              // every member's chunk i lies in files[i]
  std::vector<std::uint32_t> files = {};  // empty until looked for

  /// The index, where the chunks are many and this was not the first time.
  const OverlapIndex* index_for_query();

  /// Offsets, then sizes, of what a rank holds. Errors: as local_box.
  [[nodiscard]] Result<void> local_box(std::span<const std::int64_t> mesh_shape, std::uint32_t rank, Size& box) const;
};

/// Target::pattern is 1 + the tensor's class; bytes keep kBytesPattern and come first, as DCP's writers lay them.
struct MeshTargets {
  /// Errors: Corrupt; as local_box of rank 0, with the FQN.
  [[nodiscard]] static Result<MeshTargets> create(const MetadataView& metadata,
                                                  std::span<const std::int64_t> mesh_shape,
                                                  const PlacementsOf& placements_of);

  /// What costs about as much as a plan, and speeds up every further one.
  void prepare_for_all_ranks(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape);

  std::vector<Target> targets;
  std::vector<TensorClass> classes;
  std::vector<LoadIssue> issues;

 private:
  [[nodiscard]] Result<void> add(const EntryView& entry, std::span<const std::int64_t> mesh_shape,
                                 std::span<const Placement> placements);
  [[nodiscard]] Result<void> add_tensor(const TensorView& tensor, std::span<const std::int64_t> mesh_shape,
                                        std::span<const Placement> placements);
  /// Finds the classes whose tensors are spread over files alike, as they are where every rank wrote its own file.
  void find_shared_files(const MetadataView& metadata);

  std::uint64_t seed_ = columns::next_seed();
  IdTable ids_;
};

}  // namespace flatpoint::plan
