// What planning allocates. A program of its own: it counts every allocation that is made through operator new.
#include <malloc.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <new>

#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"
#include "metadata_json.hpp"

using namespace flatpoint;
using nlohmann::json;

namespace {

std::size_t allocations = 0;
std::size_t live = 0;  // bytes
std::size_t peak = 0;

}  // namespace

// Not inlined: where one of them is and the other is not, GCC warns of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size,
                                     const std::nothrow_t&) noexcept {  // std::inplace_merge asks for it
  void* block = std::malloc(size);
  if (block == nullptr) return nullptr;
  ++allocations;
  live += malloc_usable_size(block);
  peak = std::max(peak, live);
  return block;
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* block = operator new(size, std::nothrow)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
  live -= malloc_usable_size(block);
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
[[gnu::noinline]] void operator delete(void* block, const std::nothrow_t&) noexcept { operator delete(block); }

namespace {

MetadataFile one(const Size& size, const json& boxes) {
  return tests::file_from({{"entries", {{{"fqn", "w"}, {"size", size}, {"chunks", boxes}}}}});
}

/// Tensors of three shapes, each cut into 16 along dimension 0, their chunks spread over 16 files in another order.
MetadataFile model(std::uint32_t tensors) {
  json files = json::array(), entries = json::array();
  for (int i = 0; i < 16; ++i) files.push_back("__" + std::to_string(i) + "_0.distcp");
  for (std::uint32_t t = 0; t < tensors; ++t) {
    const std::int64_t rows = 5 + t % 3;
    json chunks = json::array(), storage = json::array();
    for (int i = 0; i < 16; ++i) {
      chunks.push_back({{i * rows, 0}, {rows, 4}});
      storage.push_back({i, 16 * rows * ((t * 7) % tensors), 16 * rows});
    }
    entries.push_back({{"fqn", "layers." + std::to_string(t) + ".weight"},
                       {"size", {16 * rows, 4}},
                       {"chunks", chunks},
                       {"storage", storage}});
  }
  return tests::file_from({{"files", files}, {"entries", entries}});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(a_query_allocates_nothing) {
  const auto grid = one({8, 10}, {{{0, 0}, {3, 10}}, {{3, 0}, {5, 10}}});
  const auto tee = one({8, 10}, {{{0, 0}, {8, 5}}, {{0, 5}, {3, 5}}, {{3, 5}, {5, 5}}});
  const OverlapIndex index(tests::tensor_at(tee, 0));
  const TensorView of_grid = tests::tensor_at(grid, 0);
  const TensorView of_tee = tests::tensor_at(tee, 0);
  const Size offsets = {0, 0}, sizes = {8, 10};
  const std::size_t before = allocations;
  std::int64_t elements = 0;
  for (Overlaps hit(of_grid, offsets, sizes); !hit.done(); hit.next()) elements += hit.length(0) * hit.length(1);
  for (Overlaps hit(of_tee, offsets, sizes); !hit.done(); hit.next()) elements += hit.length(0) * hit.length(1);
  for (Overlaps hit(of_tee, offsets, sizes, &index); !hit.done(); hit.next()) elements += hit.length(0) * hit.length(1);
  BOOST_TEST(allocations == before);
  BOOST_TEST(elements == 240);
}

/// What all ranks' plans take at most, planner, working memory and plan together, against the largest plan alone.
BOOST_AUTO_TEST_CASE(all_ranks_take_at_most_twice_the_memory_of_one_plan) {
  const auto file = model(2000);
  const std::vector<Placement> placements = {Shard{0}};
  for (const std::int64_t ranks : {1, 3, 12, 16, 48}) {
    const std::vector<std::int64_t> mesh = {ranks};
    std::size_t largest = 0;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      auto planner = MeshPlanner::create(file.view(), mesh, placements).value();
      const std::size_t before = live;
      const LoadPlan plan = planner.plan(rank).value();
      largest = std::max(largest, live - before);
    }
    const std::size_t before = peak = live;
    {
      auto planner = MeshPlanner::create(file.view(), mesh, placements).value();
      LoadPlan plan;
      for (std::uint32_t rank = 0; rank < planner.rank_count(); ++rank) {
        BOOST_REQUIRE(planner.plan(rank, plan).has_value());
      }
    }
    BOOST_TEST_MESSAGE(ranks << " ranks: " << peak - before << " bytes, one plan " << largest);
    BOOST_TEST(live == before);
    BOOST_TEST(peak - before <= 2 * largest);
    peak = live;
    BOOST_REQUIRE(MeshPlanner::create(file.view(), mesh, placements).value().balance().has_value());
    BOOST_TEST(peak - before <= 2 * largest);
  }
}

BOOST_AUTO_TEST_SUITE_END()
