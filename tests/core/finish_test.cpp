// What finishing a draft stores, shares and leaves out.
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "format/decode.hpp"
#include "support/model.hpp"
#include "write/pool.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(finish)

/// A finished model's columns, with the bytes that they borrow from.
struct Finished {
  explicit Finished(const Model& model) : file(opened(model)), c(file.view().columns()) {}
  MetadataFile file;
  const Columns& c;
};

BOOST_AUTO_TEST_CASE(equal_ranges_are_stored_once) {
  Model model;
  for (const char* name : {"a", "b", "c", "d"})
    model.entries.push_back(tensor(name, {8, 6}, grid({{0, 3, 8}, {0, 6}})));
  std::swap(model.entries[2].chunks[0], model.entries[2].chunks[1]);
  std::swap(model.entries[3].chunks[0], model.entries[3].chunks[1]);
  store_all(model);
  const Finished f(model);
  BOOST_TEST(f.c.sizes.size() == 2U);
  BOOST_TEST(f.c.boxes.size() == 7U);
  BOOST_TEST(f.c.chunk_order.size() == 2U);
  BOOST_TEST(f.c.entries[0].box_begin == f.c.entries[3].box_begin);
  BOOST_TEST(f.c.entries[2].order_begin == f.c.entries[3].order_begin);
}

BOOST_AUTO_TEST_CASE(a_length_that_all_chunks_share_is_stored_once) {
  Model model;
  model.entries = {tensor("same", {8}, even_grid({8}, {4})), tensor("differ", {8}, even_grid({8}, {4}))};
  store_all(model);
  for (std::size_t i = 0; i < 8; ++i) (*model.storage_data)[i].info.length = i < 4 ? 32 : 32 + i;
  const Finished f(model);
  BOOST_TEST(f.c.chunk_lengths.size() == 5U);
  BOOST_TEST(f.c.entries[0].lengths_differ == 1);  // "differ" sorts first
  BOOST_TEST(f.c.entries[1].lengths_differ == 0);
  BOOST_TEST(differences(f.file, model).empty());
}

BOOST_AUTO_TEST_CASE(orders_that_say_nothing_are_left_out) {
  Model model;
  for (const char* name : {"a", "b", "c"}) model.entries.push_back(tensor(name, {8}, even_grid({8}, {4})));
  for (ModelEntry& entry : model.entries) entry.path.emplace({PathElementRow{1, 0, 0}});
  model.planner_data = {0, 1, 2};
  store_all(model);
  {
    const Finished f(model);
    BOOST_TEST(f.c.fqn_order.empty());
    BOOST_TEST(f.c.storage_order.empty());
    BOOST_TEST(f.c.planner_order.empty());
    BOOST_TEST(f.c.chunk_order.empty());
    BOOST_TEST(f.c.index_hints.empty());
    BOOST_TEST(f.c.chunk_transforms.empty());
    BOOST_TEST(f.c.loose_storage.empty());
  }
  std::swap((*model.storage_data)[0], (*model.storage_data)[1]);
  model.planner_data = {2, 0, 1};
  {
    const Finished f(model);
    BOOST_TEST(f.c.storage_order.size() == 12U);
    BOOST_TEST(f.c.planner_order.size() == 3U);
  }
  std::swap(model.entries[0], model.entries[2]);
  model.planner_data = {0, 1, 2};  // the order of state_dict_metadata, which is not the sorted one
  const Finished f(model);
  BOOST_TEST(f.c.fqn_order.size() == 3U);
  BOOST_TEST(f.c.planner_order.empty());
}

BOOST_AUTO_TEST_CASE(empty_chunks_with_one_key_do_not_keep_an_order) {
  Model model;
  model.entries = {tensor("tiny", {3}, even_grid({3}, {8}))};  // five empty chunks start at 3
  store_all(model);
  BOOST_TEST(model.storage_data->size() == 4U);
  const Finished f(model);
  BOOST_TEST(f.c.storage_order.empty());
  BOOST_TEST(f.c.boxes.size() == 2U);
  BOOST_TEST(f.c.chunk_files.size() == 8U);
  BOOST_TEST(differences(f.file, model).empty());
}

BOOST_AUTO_TEST_CASE(strides) {
  const auto kind = [](const ModelEntry& entry) {
    Model model;
    model.entries = {entry};
    return Finished(model).c.entries[0].properties.strides;
  };
  ModelEntry entry = tensor("t", {8, 6}, even_grid({8, 6}, {2, 1}));
  BOOST_TEST((kind(entry) == StridesKind::Absent));
  entry.properties.strides = {6, 1};
  BOOST_TEST((kind(entry) == StridesKind::Contiguous));
  entry.properties.strides = {1, 8};
  BOOST_TEST((kind(entry) == StridesKind::Explicit));
  entry.chunks = even_grid({8, 6}, {1, 2});  // strides are those of the first chunk
  entry.properties.strides = {6, 1};
  BOOST_TEST((kind(entry) == StridesKind::Explicit));
  entry.properties.strides = {3, 1};
  BOOST_TEST((kind(entry) == StridesKind::Contiguous));
  entry.chunks.clear();
  BOOST_TEST((kind(entry) == StridesKind::Explicit));
  entry.properties.strides = {6, 1};
  BOOST_TEST((kind(entry) == StridesKind::Contiguous));
  entry = whole("t", {});
  entry.properties.strides = Size();
  BOOST_TEST((kind(entry) == StridesKind::Contiguous));
}

BOOST_AUTO_TEST_CASE(files_are_numbered_by_first_use) {
  Model model;
  model.entries = {whole("a", {1}), whole("b", {1}), whole("c", {1})};
  store_all(model, 1);
  std::swap((*model.storage_data)[0], (*model.storage_data)[2]);
  const Finished f(model);
  BOOST_TEST(*f.file.view().file_name(0) == "__2_0.distcp");
  BOOST_TEST(f.c.storage_order.empty());  // by the files' numbers it is the usual order
}

BOOST_AUTO_TEST_CASE(an_fqn_twice_is_a_conflict) {
  Model model;
  model.entries = {whole("a", {1}), whole("b", {1}), bytes("a")};
  const auto file = write::finish(to_draft(model));
  BOOST_TEST_REQUIRE(!file.has_value());
  BOOST_TEST((file.error().code == ErrorCode::Conflict));
  BOOST_TEST(file.error().message == "FQN 'a' is declared twice");
}

BOOST_AUTO_TEST_CASE(a_loose_key_twice_is_a_conflict) {
  for (const std::optional<Size>& offset : {std::optional<Size>(), std::optional<Size>(Size{3})}) {
    Model model;
    ModelItem item;
    item.fqn = "x";
    item.offset = offset;
    model.storage_data = {item, item};
    const auto file = write::finish(to_draft(model));
    BOOST_TEST_REQUIRE(!file.has_value());
    BOOST_TEST((file.error().code == ErrorCode::Conflict));
  }
}

BOOST_AUTO_TEST_CASE(names_and_records_beyond_the_limit_take_no_memory) {
  const std::string_view huge(reinterpret_cast<const char*>(std::uintptr_t{64}), std::size_t{1} << 31);  // never read
  write::Draft names;
  names.entries.emplace_back().fqn = huge;
  BOOST_TEST((write::finish(std::move(names)).error().code == ErrorCode::TooLarge));
  write::Draft records;
  records.opaque.push_back({OpaqueKind::Attribute, 0, "name", huge});
  BOOST_TEST((write::finish(std::move(records)).error().code == ErrorCode::TooLarge));
}

BOOST_AUTO_TEST_CASE(shapes_of_paths_have_a_limit) {
  const auto finished = [](std::size_t shapes) {
    write::Draft draft;
    draft.has_planner_data = true;
    std::vector<std::string> names(shapes);
    for (std::size_t i = 0; i < shapes; ++i) {
      names[i] = std::string(i, '.');
      draft.paths.push_back({{static_cast<std::uint16_t>(i + 1), 0, 0}});
      auto& entry = draft.entries.emplace_back();
      entry.type = StorageType::Bytes;
      entry.path = static_cast<std::uint32_t>(i);
      entry.fqn = names[i];
    }
    return write::finish(std::move(draft));
  };
  BOOST_TEST(finished(300).has_value());
  write::Draft draft;
  draft.has_planner_data = true;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < 0x10000; ++i) names.push_back(std::to_string(i));
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    draft.paths.push_back({{static_cast<std::uint16_t>(i), 0, 0}});
    auto& entry = draft.entries.emplace_back();
    entry.type = StorageType::Bytes;
    entry.fqn = names[i];
    entry.path = i;
  }
  const auto file = write::finish(std::move(draft));
  BOOST_TEST_REQUIRE(!file.has_value());
  BOOST_TEST((file.error().code == ErrorCode::TooLarge));
}

BOOST_AUTO_TEST_CASE(a_pool_stays_right_where_ranges_collide) {
  write::Pool<std::int64_t> pool;
  std::vector<std::vector<std::int64_t>> ranges;
  std::vector<std::uint32_t> begins;
  for (std::int64_t i = 0; i < 5000; ++i) {
    ranges.push_back(std::vector<std::int64_t>(static_cast<std::size_t>(1 + i % 3), i / 2));
    begins.push_back(pool.add(ranges.back()));
  }
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto at = pool.values().begin() + begins[i];
    BOOST_TEST_REQUIRE(std::equal(ranges[i].begin(), ranges[i].end(), at));
    BOOST_TEST(pool.add(ranges[i]) == begins[i]);
  }
  BOOST_TEST(pool.add({}) == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
