// What a loader writes by hand: look-ups that follow each other, ranges, and a list of what it wants.
#include "flatpoint/wanted_list.hpp"

#include <boost/test/unit_test.hpp>
#include <iterator>

#include "flatpoint/builder.hpp"
#include "flatpoint/metadata_file.hpp"

BOOST_AUTO_TEST_SUITE(wanted_list)

namespace {

using namespace flatpoint;

MetadataFile small_file() {
  auto builder = MetadataBuilder::create();
  const std::uint32_t file = builder.add_file("__0_0.distcp");
  TensorProperties properties;
  properties.dtype = ScalarType::Float32;
  const auto tensor = builder.add_tensor("w", properties, Size{8, 4});
  for (std::int64_t row = 0; row < 8; row += 4) {
    const StoredAt at{.file = file, .byte_offset = static_cast<std::uint64_t>(row) * 16, .length = 64};
    BOOST_REQUIRE(builder.add_chunk(*tensor, Size{row, 0}, Size{4, 4}, at).has_value());
  }
  BOOST_REQUIRE(builder.add_bytes("step", {.file = file, .byte_offset = 128, .length = 8}).has_value());
  auto bytes = std::move(builder).finish();
  BOOST_REQUIRE(bytes.has_value());
  auto opened = MetadataFile::from_buffer(std::move(*bytes));
  BOOST_REQUIRE(opened.has_value());
  return std::move(*opened);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_plan_of_what_was_added) {
  const MetadataFile file = small_file();
  WantedList list;
  BOOST_REQUIRE(list.add_tensor("w", {8, 4}, {{{2, 0}, {4, 4}}}, ScalarType::Float32).has_value());
  list.add_bytes("step");
  WantedList moved = std::move(list);  // what is borrowed stays where it is
  BOOST_TEST(moved.wanted().size() == 2U);
  const auto plan = plan_load(file.view(), moved.wanted());
  BOOST_REQUIRE(plan.has_value());
  BOOST_TEST(plan->loadable());
  BOOST_TEST(plan->needed_bytes() == 4U * 4 * 4 + 8);
  std::size_t items = 0;
  for (const auto item : plan->items()) items += item.type() == LoadItemType::Tensor ? 1 : 10;
  BOOST_TEST(items == 12U);
}

BOOST_AUTO_TEST_CASE(a_box_of_another_number_of_dimensions) {
  WantedList list;
  const auto added = list.add_tensor("w", {8, 4}, {{{0, 0}, {4, 4}}, {{0}, {4, 4}}});
  BOOST_REQUIRE(!added.has_value());
  BOOST_TEST(to_string(added.error()) == "FQN 'w': a box with 1 offsets and 2 sizes of a tensor of 2 dimensions");
  BOOST_TEST(list.wanted().empty());
}

BOOST_AUTO_TEST_CASE(issues_are_printed) {
  const MetadataFile file = small_file();
  WantedList list;
  list.add_bytes("none");
  const auto plan = plan_load(file.view(), list.wanted());
  BOOST_REQUIRE(plan.has_value());
  BOOST_REQUIRE(plan->issues().size() == 1U);
  BOOST_TEST(to_string(plan->issues().front()).starts_with("error missing: FQN 'none'"));
}

BOOST_AUTO_TEST_CASE(ranges) {
  const MetadataFile file = small_file();
  static_assert(std::random_access_iterator<decltype(file.view().entries().begin())>);
  std::vector<std::string_view> names;
  std::size_t chunks = 0;
  for (const auto entry : file.view().entries()) {
    BOOST_REQUIRE(entry.found());
    names.push_back(entry->fqn());
    const auto tensor = entry->tensor();
    if (!tensor) continue;
    for (const auto chunk : tensor->chunks()) chunks += chunk.found() ? 1 : 0;
  }
  const std::vector<std::string_view> expected{"step", "w"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  BOOST_TEST(chunks == 2U);
  const auto entries = file.view().entries();
  BOOST_TEST(entries.size() == 2U);
  BOOST_TEST((entries.end() - entries.begin() == 2));
  BOOST_TEST(entries.begin()[1]->fqn() == "w");
}

BOOST_AUTO_TEST_CASE(lookups_that_follow_each_other) {
  const MetadataFile file = small_file();
  const MetadataView view = file.view();
  const auto chunk_of = [&](std::string_view fqn) {
    return view.find(fqn).and_then(&EntryView::tensor).and_then([](const TensorView& tensor) {
      return tensor.chunk(1);
    });
  };
  BOOST_TEST(chunk_of("w")->offset(0) == 4);
  BOOST_TEST(chunk_of("step").absent());
  BOOST_TEST(chunk_of("none").absent());
  BOOST_TEST(view.prefix("x").value_or(EntryRange{}).size() == 0U);
  BOOST_TEST(view.prefix("").value_or(EntryRange{}).size() == 2U);

  BOOST_TEST(chunk_of("w").to_result("FQN 'w'").has_value());
  const auto absent = chunk_of("none").to_result("FQN 'none'");
  BOOST_TEST(int(absent.error().code) == int(ErrorCode::NotFound));
  BOOST_TEST(absent.error().message == "FQN 'none': absent");
  const Lookup<EntryView> broken = LookupStatus::Corrupt;
  BOOST_TEST(int(broken.to_result("FQN 'w'").error().code) == int(ErrorCode::Corrupt));
  BOOST_TEST(broken.and_then(&EntryView::tensor).corrupt());
}

BOOST_AUTO_TEST_SUITE_END()
