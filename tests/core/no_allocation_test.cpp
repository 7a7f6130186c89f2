// Look-ups allocate nothing. A program of its own: it counts every allocation that is made through operator new.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <new>

#include "support/model.hpp"

namespace {
std::atomic<std::size_t> allocations;
}

// Not inlined: where one of them is and the other is not, GCC warns of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(no_allocation)

template <class Call>
std::size_t allocations_of(Call call) {
  const std::size_t before = allocations;
  call();
  return allocations - before;
}

Model small() {
  Model model;
  model.entries = {bytes("bytes"), tensor("even", {8, 6}, even_grid({8, 6}, {3, 2})),
                   tensor("grid", {8, 6}, grid({{0, 3, 8}, {0, 6}})),
                   tensor("explicit", {8}, {{{1}, {2}}, {{0}, {4}}})};
  store_all(model);
  ModelItem loose;
  loose.fqn = "loose";
  loose.offset = {1, 2, 3};
  loose.info = {"file", 1, 2, std::vector<std::string>{"a", "b"}};
  model.storage_data->push_back(loose);
  model.storage_meta.emplace();
  model.version = "1.0.0";
  return model;
}

/// Every call that promises not to allocate.
std::size_t ask(const MetadataView& view, const MetadataIndex& index, std::string_view fqn) {
  std::size_t found = 0;
  found += view.find(index).found();
  found += view.prefix(fqn.substr(0, 1)).found();
  found += view.file_name(0).found() + view.storage_meta().has_value() + view.version().has_value();
  for (std::uint32_t i = 0; i < view.size(); ++i) {
    const auto entry = view.entry_in_dcp_order(i);
    found += view.find(entry->fqn()).found() + view.entry(i)->bytes_storage().found();
    const auto tensor = entry->tensor();
    if (!tensor) continue;
    found += tensor->size().size() + tensor->dtype_name().size() + tensor->layout_name().size();
    for (std::uint32_t c = 0; c < tensor->chunk_count(); ++c) {
      const auto chunk = tensor->chunk(c);
      std::int64_t offset[2] = {};
      for (std::uint8_t d = 0; d < chunk->ndim(); ++d) offset[d] = chunk->offset(d) + 0 * chunk->size(d);
      const std::span<const std::int64_t> at(offset, chunk->ndim());
      found += tensor->find_chunk(at).found() + view.find_storage(entry->fqn(), at).found();
      const auto storage = chunk->storage();
      if (storage) found += storage->relative_path().size() + storage->transform_count().value_or(0);
    }
  }
  return found;
}

BOOST_AUTO_TEST_CASE(look_ups) {
  const MetadataFile file = opened(small());
  const MetadataView view = file.view();
  const MetadataIndex hit{"loose", Size{1, 2, 3}, 5};
  const MetadataIndex miss{"nothing", std::nullopt, std::nullopt};
  std::size_t found = 0;
  BOOST_TEST(allocations_of([&] { found += ask(view, hit, "grid") + ask(view, miss, "nothing"); }) == 0U);
  BOOST_TEST(found > 100U);
}

BOOST_AUTO_TEST_CASE(the_counter_counts) {
  const MetadataFile file = opened(small());
  BOOST_TEST(allocations_of([&] { (void)file.view().find("grid")->tensor()->chunk(0)->to_value(); }) > 0U);
}

BOOST_AUTO_TEST_CASE(opening_costs_the_same_at_any_size) {
  const auto cost = [](std::int64_t chunks) {
    Model model;
    model.entries = {tensor("t", {chunks}, even_grid({chunks}, {chunks}))};
    const Buffer bytes = encoded(model);
    return allocations_of([&] { BOOST_TEST_REQUIRE(MetadataFile::from_bytes(bytes.bytes()).has_value()); });
  };
  (void)cost(1);  // Boost.Test's own first allocations
  BOOST_TEST(cost(10) == cost(10'000));
}

BOOST_AUTO_TEST_SUITE_END()
