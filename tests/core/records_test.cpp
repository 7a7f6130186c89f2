// Opaque records, loose storage, planner paths and index hints of a file that has them, and of one that has none.
#include "flatpoint/records.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "support/rich_model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(records)

static_assert(noexcept(opaque_record(std::declval<const MetadataView&>(), 0)));
static_assert(noexcept(loose_storage(std::declval<const MetadataView&>(), 0)));
static_assert(noexcept(first_loose_storage(std::declval<const MetadataView&>(), "")));
static_assert(noexcept(planner_path(std::declval<const MetadataView&>(), std::declval<const EntryView&>())));
static_assert(noexcept(std::declval<PlannerPathView&>().next()));
static_assert(noexcept(index_hint(std::declval<const MetadataView&>(), 0, std::nullopt)));

BOOST_AUTO_TEST_CASE(opaque_records) {
  const MetadataFile file = opened(rich_model());
  const MetadataView view = file.view();
  std::string seen;
  for (std::size_t i = 0; const auto record = opaque_record(view, i); ++i) {
    const std::string pickle(reinterpret_cast<const char*>(record->pickle.data()), record->pickle.size());
    seen += std::to_string(static_cast<int>(record->kind)) + " " + std::to_string(record->position) + " " +
            std::string(record->name) + " " +
            std::to_string(pickle == (record->kind == OpaqueKind::PlannerItem ? "\x80\x04]." : "\x80\x04N.")) + "\n";
  }
  BOOST_TEST(seen == "0 0 all_local_plans 1\n2 8 object 1\n4 2  1\n");  // by kind, position, name
  BOOST_TEST(opaque_record(view, 3).absent());
  BOOST_TEST(opaque_record(view, ~std::size_t{0}).absent());
}

BOOST_AUTO_TEST_CASE(storage_without_a_chunk) {
  const MetadataFile file = opened(rich_model());
  const MetadataView view = file.view();
  const auto first = loose_storage(view, 0);
  const auto second = loose_storage(view, 1);
  BOOST_TEST_REQUIRE((first.found() && second.found()));
  BOOST_TEST(first->fqn == "loose");
  BOOST_TEST(first->has_offset);
  BOOST_TEST((first->offset.size() == 2 && first->offset[0] == 7 && first->offset[1] == 8));
  BOOST_TEST(first->row == view.columns().chunk_rows());
  BOOST_TEST(first->storage.relative_path() == "loose_file");
  BOOST_TEST((first->storage.byte_offset() == 11 && first->storage.length() == 12));
  BOOST_TEST(second->fqn == "plain");
  BOOST_TEST(!second->has_offset);
  BOOST_TEST(second->offset.empty());
  BOOST_TEST(loose_storage(view, 2).absent());
}

BOOST_AUTO_TEST_CASE(where_storage_without_a_chunk_begins) {
  Model model;
  model.entries = {whole("t", {1})};
  store_all(model);
  for (const char* name : {"b", "b", "d", ""}) {
    ModelItem item;
    item.fqn = name;
    item.offset = Size{static_cast<std::int64_t>(model.storage_data->size())};
    item.info.relative_path = "f";
    model.storage_data->push_back(item);
  }
  const MetadataFile file = opened(model);
  const auto first = [&](std::string_view fqn) { return *first_loose_storage(file.view(), fqn); };
  BOOST_TEST(first("") == 0U);
  BOOST_TEST(first("a") == 1U);
  BOOST_TEST(first("b") == 1U);
  BOOST_TEST(first("c") == 3U);
  BOOST_TEST(first("d") == 3U);
  BOOST_TEST(first("e") == 4U);
  BOOST_TEST(loose_storage(file.view(), 1)->offset[0] == 1);
  BOOST_TEST(loose_storage(file.view(), 2)->offset[0] == 2);
  const MetadataFile empty = opened(Model());
  BOOST_TEST(*first_loose_storage(empty.view(), "x") == 0U);
}

/// A path as text: str in quotes, int bare.
std::string path_of(const std::string& fqn, std::vector<PathElementRow> elements) {
  Model model;
  model.entries = {bytes(fqn)};
  model.entries[0].path = std::move(elements);
  model.planner_data = {0};
  const MetadataFile file = opened(model);
  auto path = planner_path(file.view(), *file.view().entry(0));
  BOOST_TEST_REQUIRE(path.found());
  PlannerPathView rest = *path;
  std::string text;
  auto element = rest.next();
  for (; element; element = rest.next())
    text += element->is_index ? std::string(element->text) + "," : "'" + std::string(element->text) + "',";
  return text + (element.absent() ? "" : "corrupt");
}

BOOST_AUTO_TEST_CASE(planner_paths) {
  BOOST_TEST(path_of("optimizer.state.model.layers.0.weight.exp_avg", {{1, 0, 0}, {1, 0, 0}, {4, 0, 0}, {1, 0, 0}}) ==
             "'optimizer','state','model.layers.0.weight','exp_avg',");
  BOOST_TEST(path_of("groups.0.lr", {{1, 0, 0}, {1, 1, 0}, {1, 0, 0}}) == "'groups',0,'lr',");
  BOOST_TEST(path_of("a.", {{1, 0, 0}, {1, 0, 0}}) == "'a','',");
  BOOST_TEST(path_of("", {{1, 0, 0}}) == "'',");
  BOOST_TEST(path_of("", {}) == "");
  BOOST_TEST(path_of("a.b", {{2, 0, 0}}) == "'a.b',");
  BOOST_TEST(path_of("a.b", {{1, 0, 0}}) == "'a',corrupt");  // V10: verify names them
  BOOST_TEST(path_of("a.b", {{1, 0, 0}, {2, 0, 0}}) == "'a',corrupt");
  BOOST_TEST(path_of("a.", {{1, 0, 0}}) == "'a',corrupt");
  BOOST_TEST(path_of("a", {{1, 0, 0}, {1, 0, 0}}) == "'a',corrupt");
  BOOST_TEST(path_of("a", {{0, 0, 0}}) == "corrupt");
}

BOOST_AUTO_TEST_CASE(an_fqn_without_a_path) {
  const MetadataFile file = opened(rich_model());
  BOOST_TEST(planner_path(file.view(), *file.view().find("grid")).absent());
  BOOST_TEST(planner_path(file.view(), *file.view().find("plain")).found());
  Model model;
  model.entries = {whole("t", {1})};
  const MetadataFile without = opened(model);
  BOOST_TEST(planner_path(without.view(), *without.view().find("t")).absent());
}

BOOST_AUTO_TEST_CASE(index_hints) {
  Model model;
  model.entries = {tensor("t", {8}, even_grid({8}, {8}))};
  store_all(model);
  auto& items = *model.storage_data;
  items[1].index = 100;
  items[4].index.reset();
  items[7].index = -1;
  const MetadataFile file = opened(model);
  for (std::uint32_t row = 0; row < 8; ++row) BOOST_TEST((index_hint(file.view(), row, row) == items[row].index));
  BOOST_TEST((index_hint(file.view(), 8, std::nullopt) == std::nullopt));
  BOOST_TEST((index_hint(file.view(), 4, 4) == std::nullopt));
  const MetadataFile empty = opened(Model());
  BOOST_TEST((index_hint(empty.view(), 4, 4) == 4));
}

BOOST_AUTO_TEST_SUITE_END()
