// flatpoint/mesh_plan.hpp - a whole checkpoint loaded by all ranks of a mesh: each rank's plan, and how the load
// spreads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/sharding.hpp"

namespace flatpoint {

/// What one rank reads.
struct RankLoad {
  std::uint64_t items = 0;
  std::uint64_t needed_bytes = 0;  // as LoadPlan::needed_bytes
  std::uint64_t stored_bytes =
      0;  // stored chunks, each counted once; LoadPlan::stored_bytes where chunks share no bytes
  std::uint32_t files = 0;
};

/// What is read of one file by all ranks together.
struct FileLoad {
  std::uint64_t bytes = 0;  // stored chunks, counted once for each rank
  std::uint32_t ranks = 0;
};

struct LoadBalance {
  std::vector<RankLoad> ranks;
  std::vector<FileLoad> files;         // by number, MetadataView::file_name
  RankLoad total;                      // over ranks; files: that are read at all
  std::uint32_t most_loaded_rank = 0;  // the first with the most stored bytes
  std::uint32_t most_loaded_file = 0;  // the first with the most bytes
  std::uint64_t chunks_unstored = 0;   // needed, but without storage information: counted once for each rank, not read
  /// What does not fit in the plan of some rank, once for each FQN and kind.
  std::vector<LoadIssue> issues;

  /// Whether every rank's plan is.
  [[nodiscard]] bool loadable() const noexcept {
    return std::ranges::none_of(issues, [](const LoadIssue& issue) { return issue.fatal; });
  }
  /// Stored bytes that are read for each byte that is needed; 0 where none is.
  [[nodiscard]] double read_amplification() const noexcept {
    return total.needed_bytes == 0 ? 0
                                   : static_cast<double>(total.stored_bytes) / static_cast<double>(total.needed_bytes);
  }
};

/// How the ranks of a mesh hold an FQN: a placement per dimension of the mesh. Unset: they do not load it.
using PlacementsOf = std::function<std::optional<std::span<const Placement>>(std::string_view fqn)>;

/// Plans for a mesh whose ranks load the FQNs of a checkpoint, each rank its part by the placements. A placement that
/// shards a dimension which a tensor does not have replicates that tensor. Bytes are read by every rank.
///
/// What all ranks share is done once, in `create`; besides one plan, which the caller may use again for the next rank,
/// the planner takes less memory than that plan. Borrows the metadata file. Move-only; not safe to use from two threads
/// at once.
class MeshPlanner {
 public:
  /// Errors: Corrupt; InvalidArgument and TooLarge as Sharding::create, with the FQN.
  [[nodiscard]] static Result<MeshPlanner> create(const MetadataView& metadata,
                                                  std::span<const std::int64_t> mesh_shape,
                                                  std::span<const Placement> placements,
                                                  const LoadOptions& options = {});
  /// The same where placements differ, or some FQNs are not loaded. What `placements_of` gives must live until the
  /// planner is made. Errors also: InvalidArgument for as many placements as the mesh does not have.
  [[nodiscard]] static Result<MeshPlanner> create(const MetadataView& metadata,
                                                  std::span<const std::int64_t> mesh_shape,
                                                  const PlacementsOf& placements_of, const LoadOptions& options = {});

  [[nodiscard]] std::uint32_t rank_count() const noexcept;

  /// The plan of a rank; ReadItemView::wanted is the entry's position. Errors: as plan_load; InvalidArgument for a rank
  /// outside the mesh or one whose elements are no box.
  [[nodiscard]] Result<LoadPlan> plan(std::uint32_t rank);
  /// The same into a plan whose memory is used again. After an error the plan is empty.
  [[nodiscard]] Result<void> plan(std::uint32_t rank, LoadPlan& plan);

  /// All ranks at once, chunk by chunk, without writing a plan. Errors: as `plan` for any rank; TooLarge where ranks
  /// times files pass 2^33.
  [[nodiscard]] Result<LoadBalance> balance();

  MeshPlanner(MeshPlanner&&) noexcept;
  MeshPlanner& operator=(MeshPlanner&&) noexcept;
  ~MeshPlanner();

 private:
  struct State;
  explicit MeshPlanner(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace flatpoint
