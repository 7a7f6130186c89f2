// Many threads plan over one file: each with a planner of its own, all with one index and one plan. For
// ThreadSanitizer, and every answer is that of a single thread.
#include <array>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "flatpoint/coverage.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"
#include "metadata_json.hpp"

using namespace flatpoint;
using nlohmann::json;

namespace {

constexpr std::int64_t kRows = 60;

/// Tensors in bands of rows, some of them cut once more at a column of their own.
MetadataFile bands(int tensors) {
  json entries = json::array();
  for (int t = 0; t < tensors; ++t) {
    json chunks = json::array();
    for (std::int64_t row = 0; row < kRows; row += 5) {
      const std::int64_t cut = t % 2 == 0 ? 8 : 1 + (row + t) % 7;
      chunks.push_back({{row, 0}, {5, cut}});
      if (cut < 8) chunks.push_back({{row, cut}, {5, 8 - cut}});
    }
    entries.push_back({{"fqn", "w" + std::to_string(t)}, {"size", {kRows, 8}}, {"chunks", chunks}});
  }
  return tests::file_from({{"entries", entries}});
}

using Items = std::vector<ReadItem>;

Items items_of(const LoadPlan& plan) {
  Items items;
  for (std::uint32_t i = 0; i < plan.size(); ++i) items.push_back(plan.item(i).to_value());
  return items;
}

/// What every thread shares.
struct Shared {
  MetadataFile file = bands(20);
  TensorView tensor = tests::tensor_at(file, 1);  // no grid
  OverlapIndex index{tensor};
  Size size = {kRows, 8};
  Size box = {7, 1, 40, 5};
  Wanted wanted{.fqn = tensor.fqn(), .size = size, .box_count = 1, .boxes = box, .dtype = {}};
  LoadPlan plan = plan_load(file.view(), {&wanted, 1}).value();
};

struct Answers {
  std::vector<Items> plans;
  std::vector<std::array<std::int64_t, 3>> overlaps;  // chunk, and where the shared region begins
  std::uint64_t read_items = 0;
  std::uint64_t not_tiled = 0;
  bool operator==(const Answers&) const = default;
};

Answers ask(const Shared& shared) {
  Answers answers;
  const MetadataView metadata = shared.file.view();
  answers.plans = {items_of(shared.plan), items_of(plan_load(metadata, {&shared.wanted, 1}).value())};
  const std::int64_t mesh[] = {3, 2};
  const Placement placements[] = {Shard{0}, Shard{1}};
  auto planner = MeshPlanner::create(metadata, mesh, placements).value();
  for (std::uint32_t rank = 0; rank < planner.rank_count(); ++rank) {
    answers.plans.push_back(items_of(planner.plan(rank).value()));
  }
  const auto offsets = std::span(shared.box).first(2);
  const auto sizes = std::span(shared.box).last(2);
  for (Overlaps hit(shared.tensor, offsets, sizes, &shared.index); !hit.done(); hit.next()) {
    answers.overlaps.push_back({hit.chunk(), hit.begin(0), hit.begin(1)});
  }
  answers.read_items = planner.balance().value().total.items;
  answers.not_tiled = check_coverage(metadata).value().not_tiled;
  return answers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(many_threads_plan_over_one_file) {
  const Shared shared;
  std::vector<Answers> answers(6);
  {
    std::vector<std::jthread> threads;
    for (Answers& mine : answers) threads.emplace_back([&] { mine = ask(shared); });
  }
  const Answers alone = ask(shared);
  BOOST_TEST(alone.overlaps.size() > 4U);
  BOOST_TEST(alone.read_items > 100U);
  for (const Answers& mine : answers) BOOST_TEST((mine == alone));
}

BOOST_AUTO_TEST_SUITE_END()
