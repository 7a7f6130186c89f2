// What planning allocates. A program of its own: it counts every allocation that is made through operator new.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <new>

#include "flatpoint/overlap.hpp"
#include "metadata_json.hpp"

using namespace flatpoint;
using nlohmann::json;

namespace {

std::size_t allocations = 0;

}  // namespace

// Not inlined: where one of them is and the other is not, GCC warns of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  ++allocations;
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

namespace {

MetadataFile one(const Size& size, const json& boxes) {
  return tests::file_from({{"entries", {{{"fqn", "w"}, {"size", size}, {"chunks", boxes}}}}});
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

BOOST_AUTO_TEST_SUITE_END()
