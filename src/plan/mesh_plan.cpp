#include "flatpoint/mesh_plan.hpp"

#include <utility>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "plan/balance.hpp"
#include "plan/mesh_targets.hpp"

namespace flatpoint {

using plan::Pattern;
using plan::Target;
using plan::TensorClass;

struct MeshPlanner::State {
  MetadataView metadata;
  std::vector<std::int64_t> mesh_shape;
  std::uint32_t rank_count;
  LoadOptions options;
  plan::MeshTargets targets;
  std::uint32_t plans = 0;  // made so far
  Size box;                 // of the tensors at hand

  Result<void> write(std::uint32_t rank, LoadPlan& plan);
  Result<void> add_pattern(std::uint32_t rank, TensorClass& tensors, PlanWriter& writer);
  void report_uncovered(PlanWriter& writer) const;
};

Result<MeshPlanner> MeshPlanner::create(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape,
                                        std::span<const Placement> placements, const LoadOptions& options) {
  // A scalar tells whether the mesh is one, whatever the checkpoint holds.
  const std::vector<Placement> replicated(placements.size(), Placement(Replicate{}));
  RETURN_IF_ERROR(Sharding::create({}, mesh_shape, replicated));
  return create(
      metadata, mesh_shape, [&](std::string_view) { return std::optional(placements); }, options);
}

Result<MeshPlanner> MeshPlanner::create(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape,
                                        const PlacementsOf& placements_of, const LoadOptions& options) {
  const std::vector<Placement> replicated(mesh_shape.size(), Placement(Replicate{}));
  const auto ranks = Sharding::create({}, mesh_shape, replicated);
  RETURN_IF_ERROR(ranks);
  auto targets = plan::MeshTargets::create(metadata, mesh_shape, placements_of);
  RETURN_IF_ERROR(targets);
  return MeshPlanner(std::make_unique<State>(State{
      metadata, {mesh_shape.begin(), mesh_shape.end()}, ranks->rank_count(), options, std::move(*targets), 0, {}}));
}

std::uint32_t MeshPlanner::rank_count() const noexcept { return state_->rank_count; }

Result<LoadPlan> MeshPlanner::plan(std::uint32_t rank) {
  LoadPlan made;
  RETURN_IF_ERROR(plan(rank, made));
  return made;
}

Result<void> MeshPlanner::plan(std::uint32_t rank, LoadPlan& plan) {
  auto done = state_->write(rank, plan);
  if (!done) plan = LoadPlan();
  return done;
}

Result<void> MeshPlanner::State::write(std::uint32_t rank, LoadPlan& plan) {
  if (rank >= rank_count) {
    return fail(ErrorCode::InvalidArgument, fmt::format("rank {} of a mesh of {} ranks", rank, rank_count));
  }
  if (++plans == 2) targets.prepare_for_all_ranks(metadata, mesh_shape);
  PlanWriter writer(metadata, plan);
  for (TensorClass& tensors : targets.classes) {
    RETURN_IF_ERROR(add_pattern(rank, tensors, writer));
  }
  for (const LoadIssue& issue : targets.issues) writer.add_issue(issue.kind, issue.fatal, issue.fqn, issue.message);
  report_uncovered(writer);
  return writer.write(targets.targets, options);
}

Result<void> MeshPlanner::State::add_pattern(std::uint32_t rank, TensorClass& tensors, PlanWriter& writer) {
  const TensorView& tensor = tensors.tensor;
  const auto named = [&](ErrorCode code, std::string_view what) {
    return fail(code, fmt::format("FQN '{}' of size {}: {}", tensor.fqn(), columns::to_string(tensor.size()), what));
  };
  if (const auto done = tensors.local_box(mesh_shape, rank, box); !done)
    return named(done.error().code, done.error().message);
  const std::uint32_t pattern = writer.add_pattern(tensor, 1, box, tensors.index_for_query());
  switch (writer.pattern(pattern).fault) {
    case Pattern::Fault::None:
      if (tensors.shares_files) writer.share_files(pattern, tensors.members, tensors.files);
      return {};
    case Pattern::Fault::Overflow:
      return named(ErrorCode::TooLarge, fmt::format("the elements of rank {} leave 64 bits", rank));
    default: return named(ErrorCode::Corrupt, "the checkpoint states chunks of negative size");
  }
}

void MeshPlanner::State::report_uncovered(PlanWriter& writer) const {
  std::vector<bool> uncovered(targets.classes.size() + 1, false);
  bool any = false;
  for (std::uint32_t i = 1; i < uncovered.size(); ++i) {
    uncovered[i] = writer.pattern(i).found_elements < writer.pattern(i).wanted_elements;
    any |= uncovered[i];
  }
  if (!any) return;
  for (const Target& target : targets.targets) {
    if (!uncovered[target.pattern]) continue;
    const Pattern& pattern = writer.pattern(target.pattern);
    const auto entry = metadata.entry(target.wanted);
    writer.add_issue(LoadIssueKind::Uncovered, false, entry->fqn(),
                     fmt::format("FQN '{}': saved chunks hold {} of the {} elements wanted", entry->fqn(),
                                 pattern.found_elements, pattern.wanted_elements));
  }
}

Result<LoadBalance> MeshPlanner::balance() {
  return plan::Balancer(state_->metadata, state_->mesh_shape, state_->rank_count).run(state_->targets);
}

MeshPlanner::MeshPlanner(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
MeshPlanner::MeshPlanner(MeshPlanner&&) noexcept = default;
MeshPlanner& MeshPlanner::operator=(MeshPlanner&&) noexcept = default;
MeshPlanner::~MeshPlanner() = default;

}  // namespace flatpoint
