// The order of a plan's items, whatever the order of what was wanted and of the files; errors with FQN and numbers.
#include "flatpoint/load_plan.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <random>
#include <tuple>

#include "flatpoint/mesh_plan.hpp"
#include "metadata_json.hpp"

using namespace flatpoint;
using nlohmann::json;

namespace {

std::string fqn_of(std::size_t i) { return "w" + std::to_string(i); }

/// Tensors of two chunks in two files; tensor i lies at places[i] in both.
MetadataFile tensors_at(const std::vector<std::uint64_t>& places) {
  json entries = json::array();
  for (std::size_t i = 0; i < places.size(); ++i) {
    entries.push_back({{"fqn", fqn_of(i)},
                       {"size", {4}},
                       {"chunks", {{{0}, {2}}, {{2}, {2}}}},
                       {"storage", {{0, places[i], 8}, {1, places[i], 8}}}});
  }
  return tests::file_from({{"files", {"a", "b"}}, {"entries", entries}});
}

/// All of every tensor, as two boxes that each overlap both chunks.
LoadPlan plan_all(const MetadataView& metadata, std::size_t tensors) {
  static const Size size = {4};
  static const Size boxes = {0, 3, 1, 3};
  std::deque<std::string> names;
  std::vector<Wanted> wanted;
  for (std::size_t i = 0; i < tensors; ++i) {
    wanted.push_back({.fqn = names.emplace_back(fqn_of(i)), .size = size, .box_count = 2, .boxes = boxes, .dtype = {}});
  }
  return plan_load(metadata, wanted).value();
}

auto key(const LoadPlan& plan, std::uint32_t i) {
  const auto item = plan.item(i);
  return std::tuple(item.file(), item.byte_offset(), item.wanted(), item.box(), item.chunk());
}

std::string error(const MetadataView& metadata, const Size& size) {
  const Wanted one{.fqn = "w0", .size = size, .box_count = 0, .boxes = {}, .dtype = {}};
  const auto plan = plan_load(metadata, {&one, 1}).value();
  return plan.issues().empty() ? "" : plan.issues()[0].message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(load_plan)

/// Files of one sorted run, of some, of many, and of none; and many tensors at one place.
BOOST_AUTO_TEST_CASE(items_are_sorted_whatever_the_files_are) {
  constexpr std::size_t kTensors = 240;
  std::mt19937 random(3);  // NOLINT: the same every time
  for (const std::size_t runs : {1U, 2U, 3U, 4U, 5U, 20U, 240U}) {
    std::vector<std::uint64_t> places(kTensors);
    std::iota(places.begin(), places.end(), 0U);
    std::shuffle(places.begin(), places.end(), random);
    for (std::size_t run = 0; run < runs; ++run) {
      std::sort(places.begin() + static_cast<std::ptrdiff_t>(run * kTensors / runs),
                places.begin() + static_cast<std::ptrdiff_t>((run + 1) * kTensors / runs));
    }
    for (const std::uint64_t bytes : {100U, 0U}) {
      for (std::uint64_t& place : places) place *= bytes;
      const auto file = tensors_at(places);
      const LoadPlan plan = plan_all(file.view(), kTensors);
      BOOST_TEST(plan.size() == 4 * kTensors);
      for (std::uint32_t i = 1; i < plan.size(); ++i) BOOST_REQUIRE((key(plan, i - 1) < key(plan, i)));
      BOOST_TEST(plan.reads().size() == (bytes == 0 ? 2U : 2 * kTensors));
      BOOST_TEST(plan.stored_bytes() == (bytes == 0 ? 16U : 16 * kTensors));
    }
  }
}

BOOST_AUTO_TEST_CASE(at_one_place_boxes_come_before_chunks) {
  const auto file = tests::file_from(
      {{"entries",
        {{{"fqn", "w0"}, {"size", {4}}, {"chunks", {{{0}, {2}}, {{2}, {2}}}}, {"storage", {{0, 7, 8}, {0, 7, 8}}}}}}});
  const LoadPlan plan = plan_all(file.view(), 1);
  BOOST_REQUIRE(plan.size() == 4U);
  for (std::uint32_t i = 0; i < 4; ++i) {
    BOOST_TEST(plan.item(i).box() == i / 2);
    BOOST_TEST(plan.item(i).chunk() == i % 2);
  }
}

BOOST_AUTO_TEST_CASE(bytes_that_chunks_share_are_stored_once) {
  const auto file = tensors_at({0, 4});
  const LoadPlan plan = plan_all(file.view(), 2);
  BOOST_TEST(plan.reads().size() == 2U);
  BOOST_TEST(plan.stored_bytes() == 24U);
  BOOST_TEST(plan.read_bytes() == 24U);
}

/// The second plan of a planner may take another way than the first; a plan's memory is used again.
BOOST_AUTO_TEST_CASE(a_planner_repeats_itself) {
  const auto file = tensors_at({0, 100, 50, 150, 20, 300});
  const std::vector<std::int64_t> mesh = {3};
  const std::vector<Placement> placements = {Shard{0}};
  auto planner = MeshPlanner::create(file.view(), mesh, placements).value();
  LoadPlan reused;
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      const LoadPlan fresh = MeshPlanner::create(file.view(), mesh, placements).value().plan(rank).value();
      BOOST_REQUIRE(planner.plan(rank, reused).has_value());
      BOOST_REQUIRE(reused.size() == fresh.size());
      BOOST_TEST(reused.needed_bytes() == fresh.needed_bytes());
      BOOST_TEST(reused.read_bytes() == fresh.read_bytes());
      BOOST_TEST(reused.file_count() == fresh.file_count());
      for (std::uint32_t i = 0; i < fresh.size(); ++i) {
        BOOST_TEST((reused.item(i).to_value() == fresh.item(i).to_value()));
        BOOST_TEST((key(reused, i) == key(fresh, i)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(ranges_join_up_to_the_stated_gap) {
  const auto file = tensors_at({0, 8, 20, 29});
  const std::vector<std::int64_t> mesh = {1};
  const std::vector<Placement> placements = {Replicate{}};
  const auto reads = [&](std::uint64_t gap) {
    auto planner = MeshPlanner::create(file.view(), mesh, placements, {.strict = true, .max_gap = gap}).value();
    return planner.plan(0).value().reads().size();
  };
  BOOST_TEST(reads(0) == 6U);
  BOOST_TEST(reads(1) == 4U);
  BOOST_TEST(reads(3) == 4U);
  BOOST_TEST(reads(4) == 2U);
}

BOOST_AUTO_TEST_CASE(another_number_of_dimensions_is_another_size) {
  const auto file = tensors_at({0});
  BOOST_TEST(error(file.view(), {4}).empty());
  BOOST_TEST(error(file.view(), {4, 1}) == "FQN 'w0': size [4, 1] is wanted, the checkpoint holds [4]");
  BOOST_TEST(error(file.view(), {}) == "FQN 'w0': size [] is wanted, the checkpoint holds [4]");
}

BOOST_AUTO_TEST_SUITE_END()
