// Each kind of difference is seen, named, and can be left out; what is the same is not.
#include "flatpoint/diff.hpp"

#include "change/expand.hpp"
#include "flatpoint/edit.hpp"
#include "write/checkpoints.hpp"
#include "write/draft.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

MetadataFile open(Buffer bytes) { return expect(MetadataFile::from_buffer(std::move(bytes))); }
MetadataFile open(const Facts& facts) { return open(build_whole(facts)); }

/// Aspects of the only entry that changed.
Aspects changed(const MetadataFile& a, const MetadataFile& b, Aspects wanted = kAllAspects) {
  const Diff result = expect(diff(a.view(), b.view(), wanted));
  BOOST_TEST(result.added.empty());
  BOOST_TEST(result.removed.empty());
  BOOST_TEST(result.changed.size() <= 1);
  return result.changed.empty() ? 0 : result.changed[0].aspects;
}

EntryFact tensor() {
  EntryFact fact;
  fact.fqn = "w";
  fact.size = {4, 6};
  fact.properties.strides = Size{6, 1};
  for (std::uint32_t i = 0; i < 4; ++i)
    fact.chunks.push_back({{{i, 0}, {1, 6}}, {"f" + std::to_string(i / 2), i * 100, 24, i}});
  return fact;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(diffs)

BOOST_AUTO_TEST_CASE(a_file_is_as_itself) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    const auto file = open(random_facts(random, random() % 10, 5));
    BOOST_TEST(expect(diff(file.view(), file.view())).same());
  }
}

BOOST_AUTO_TEST_CASE(added_and_removed) {
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    const Facts facts = random_facts(random, random() % 20, 5);
    Facts a, b;
    std::set<std::string> only_a, only_b;
    for (const EntryFact& fact : facts) {
      const auto where = random() % 3;
      if (where != 0) a.push_back(fact);
      if (where != 1) b.push_back(fact);
      if (where == 1) only_a.insert(fact.fqn);
      if (where == 0) only_b.insert(fact.fqn);
    }
    const auto file_a = open(a);
    const auto file_b = open(b);
    const Diff result = expect(diff(file_a.view(), file_b.view(), static_cast<Aspects>(Aspect::Shape)));
    std::set<std::string> removed, added;
    for (const auto i : result.removed) removed.emplace(file_a.view().entry(i)->fqn());
    for (const auto i : result.added) added.emplace(file_b.view().entry(i)->fqn());
    BOOST_TEST(removed == only_a);
    BOOST_TEST(added == only_b);
    BOOST_TEST(result.changed.empty());
  }
}

BOOST_AUTO_TEST_CASE(each_aspect_alone) {
  const EntryFact before = tensor();
  const auto a = open(Facts{before});
  const auto check = [&](const EntryFact& after, Aspects expected) {
    const auto b = open(Facts{after});
    BOOST_TEST(changed(a, b) == expected);
    BOOST_TEST(changed(b, a) == expected);
    BOOST_TEST(changed(a, b, kAllAspects & ~expected) == 0);
  };
  check(before, 0);
  EntryFact after = before;
  after.properties.dtype = ScalarType::Bfloat16;
  check(after, static_cast<Aspects>(Aspect::Dtype));
  after = before;
  after.properties.requires_grad = true;
  check(after, static_cast<Aspects>(Aspect::Properties));
  after = before;
  after.properties.pin_memory = true;
  check(after, static_cast<Aspects>(Aspect::Properties));
  after = before;
  after.properties.layout = Layout::Sparse_coo;
  check(after, static_cast<Aspects>(Aspect::Properties));
  after = before;
  after.properties.strides.reset();
  check(after, static_cast<Aspects>(Aspect::Properties));
  after = before;
  after.properties.strides = Size{1, 6};
  check(after, static_cast<Aspects>(Aspect::Properties));
  after = before;
  after.chunks[1].stored.byte_offset = 7;
  check(after, static_cast<Aspects>(Aspect::Location));
  after = before;
  after.chunks[1].stored.length = 7;
  check(after, static_cast<Aspects>(Aspect::Location));
  after = before;
  after.chunks[3].stored.file = "g";
  check(after, static_cast<Aspects>(Aspect::Location));
  after = before;
  std::swap(after.chunks[2].stored.rank, after.chunks[3].stored.rank);
  check(after, static_cast<Aspects>(Aspect::Order));
  after = before;
  after.chunks.pop_back();
  check(after, static_cast<Aspects>(Aspect::Sharding));
  after = before;
  after.chunks[0].box.sizes = {1, 3};
  check(after, static_cast<Aspects>(Aspect::Sharding));  // its strides are written out now, but the same
  check({"w", true, {}, {}, {{{}, {"f0", 0, 1, 0}}}}, static_cast<Aspects>(Aspect::Type));
}

BOOST_AUTO_TEST_CASE(names_of_types) {
  EntryFact a = tensor();
  EntryFact b = a;
  a.properties.dtype = b.properties.dtype = ScalarType::Other;
  a.properties.dtype_name = "float6";
  b.properties.dtype_name = "float7";
  BOOST_TEST(changed(open(Facts{a}), open(Facts{b})) == static_cast<Aspects>(Aspect::Dtype));
  a.properties.dtype_name = "float7";
  a.properties.layout = b.properties.layout = Layout::Other;
  a.properties.layout_name = "one";
  b.properties.layout_name = "two";
  BOOST_TEST(changed(open(Facts{a}), open(Facts{b})) == static_cast<Aspects>(Aspect::Properties));
}

BOOST_AUTO_TEST_CASE(transforms_are_compared_by_what_they_say) {
  const auto make = [](std::optional<std::string_view> first, std::optional<std::string_view> second) {
    auto builder = MetadataBuilder::create();
    for (const auto& [fqn, name] : {std::pair("a", first), std::pair("b", second)}) {
      const std::uint16_t list = name ? expect(builder.add_transforms({&*name, 1})) : std::uint16_t{0};
      expect(builder.add_bytes(fqn, {.file = builder.add_file("f"), .transforms = list}));
    }
    return open(expect(std::move(builder).finish()));
  };
  const auto locations = static_cast<Aspects>(Aspect::Location);
  BOOST_TEST(changed(make("x", "y"), make("x", "x")) == locations);
  BOOST_TEST(changed(make("x", "y"), make("x", std::nullopt)) == locations);
  BOOST_TEST(changed(make("x", std::nullopt), make("x", "y")) == locations);
  BOOST_TEST(changed(make(std::nullopt, "x"), make("y", "x")) == locations);  // its number is another, its text not
  BOOST_TEST(changed(make("x", "y"), make("x", "y")) == 0U);
}

BOOST_AUTO_TEST_CASE(the_order_of_storage_data_counts_where_all_rows_are_there) {
  // Where boxes differ or rows are missing, rows have other numbers, and an order says nothing.
  const EntryFact a = tensor();
  EntryFact changed_box = a;
  changed_box.chunks[0].box = {{0, 0}, {1, 3}};
  for (ChunkFact& chunk : changed_box.chunks) chunk.stored.file = chunk.stored.file == "f0" ? "f1" : "f0";
  const auto without_order = [](const MetadataFile& x, const MetadataFile& y) {
    return expect(diff(x.view(), y.view())).file.empty();
  };
  BOOST_TEST(without_order(open(Facts{a}), open(Facts{changed_box})));
}

BOOST_AUTO_TEST_CASE(a_larger_tensor_with_the_same_grid_has_other_boxes) {
  EntryFact a{"w", false, {}, {4}, {{{{0}, {2}}, {"f", 0, 1, 0}}, {{{2}, {2}}, {"f", 1, 1, 0}}}};
  EntryFact b{"w", false, {}, {3}, {{{{0}, {2}}, {"f", 0, 1, 0}}, {{{2}, {1}}, {"f", 1, 1, 0}}}};
  BOOST_TEST(changed(open(Facts{a}), open(Facts{b})) == (Aspect::Shape | Aspect::Sharding));
  b.size = {5};
  b.chunks[1].box.sizes = {2};
  BOOST_TEST(changed(open(Facts{a}), open(Facts{b})) == static_cast<Aspects>(Aspect::Shape));
}

BOOST_AUTO_TEST_CASE(files_are_compared_by_name) {
  Facts a{{"a", true, {}, {}, {{{}, {"x", 0, 1, 0}}}}, {"b", true, {}, {}, {{{}, {"y", 0, 1, 1}}}}};
  Facts b = a;
  b[0].chunks[0].stored.rank = 2;  // the same files, numbered the other way round
  const auto file_a = open(a);
  const auto file_b = open(b);
  const Diff result = expect(diff(file_a.view(), file_b.view()));
  BOOST_TEST(result.changed.empty());
  BOOST_REQUIRE_EQUAL(result.file.size(), 1);
  BOOST_TEST(result.file[0].what == "order of storage_data");
  BOOST_TEST(expect(diff(file_a.view(), file_b.view(), kAllAspects & ~static_cast<Aspects>(Aspect::Order))).same());
}

BOOST_AUTO_TEST_CASE(what_belongs_to_no_fqn) {
  const auto make = [](auto&& change) {
    write::Draft draft;
    for (const char* fqn : {"a", "b", "c"}) {
      write::DraftEntry entry;
      entry.fqn = fqn;
      entry.type = StorageType::Bytes;
      entry.chunk_begin = draft.rows.files.size();
      entry.chunk_count = 1;
      entry.path = 0;
      draft.entries.push_back(entry);
      draft.rows.files.push_back(0);
      draft.rows.byte_offsets.push_back(draft.rows.files.size());
      draft.rows.lengths.push_back(1);
    }
    draft.files = {"f"};
    draft.paths = {{{1, 0, 0}}};
    draft.has_storage_data = true;
    draft.has_planner_data = true;
    draft.version = "1";
    draft.storage_meta.emplace();
    draft.loose_storage.push_back({"l", false, 0, 0});
    draft.rows.files.push_back(0);
    draft.rows.byte_offsets.push_back(50);
    draft.rows.lengths.push_back(2);
    change(draft);
    return open(expect(finish(std::move(draft))));
  };
  const auto a = make([](write::Draft&) {});
  const auto check = [&](auto&& change, const std::string& what, const std::string& in_a, const std::string& in_b) {
    const auto b = make(change);
    const Diff result = expect(diff(a.view(), b.view()));
    BOOST_TEST(result.changed.empty());
    BOOST_REQUIRE_EQUAL(result.file.size(), 1);
    BOOST_TEST(result.file[0].what == what);
    BOOST_TEST(result.file[0].a == in_a);
    BOOST_TEST(result.file[0].b == in_b);
  };
  using write::Draft;
  check([](Draft& d) { d.version = "2"; }, "version", "'1'", "'2'");
  check([](Draft& d) { d.version.reset(); }, "version", "'1'", "None");
  check([](Draft& d) { d.storage_meta->save_id = "x"; }, "storage_meta.save_id", "None", "'x'");
  check([](Draft& d) { d.storage_meta.reset(); }, "storage_meta", "there", "None");
  check([](Draft& d) { d.metadata_class = "m c"; }, "class of the metadata", "None", "'m c'");
  check([](Draft& d) { d.opaque.push_back({OpaqueKind::Attribute, 0, "x", "p"}); }, "opaque records", "0", "1");
  check([](Draft& d) { d.rows.byte_offsets[3] = 51; }, "storage information without a chunk", "1 items", "1 items");
  check([](Draft& d) { d.loose_storage[0].has_offset = true; }, "storage information without a chunk", "1 items",
        "1 items");
  check([](Draft& d) { d.storage_meta->checkpoint_id_type = PathType::Str; }, "type of storage_meta.checkpoint_id", "",
        "");
  check([](Draft& d) { d.storage_meta->has_modules = true; }, "storage_meta.modules", "", "");
  check([](Draft& d) { d.planner_order = {2, 1, 0}; }, "order of planner_data", "", "");
  check([](Draft& d) { d.storage_order = {3, 0, 1, 2}; }, "order of storage_data", "", "");
  const auto b = make([](Draft& d) { std::swap(d.entries[0], d.entries[1]); });
  const Diff result = expect(diff(a.view(), b.view()));
  BOOST_REQUIRE_EQUAL(result.file.size(), 2);
  BOOST_TEST(result.file[0].what == "order of state_dict_metadata");
  BOOST_TEST(result.file[1].what == "order of planner_data");
  const auto c = make([](Draft& d) {
    d.paths = {{{1, 0, 0}}, {{1, 1, 0}}}, d.entries[1].path = 1, d.entries[1].fqn = "b";
  });
  BOOST_TEST(changed(a, c) == static_cast<Aspects>(Aspect::Planner));
  // A key that only one planner_data has is no other order of those that both have.
  const auto backwards = make([](Draft& d) { d.planner_order = {2, 1, 0}; });
  const auto one_less = make([](Draft& d) { d.planner_order = {2, 0}, d.entries[1].path = write::kNoPath; });
  for (const auto& [x, y] : {std::pair(&backwards, &one_less), std::pair(&one_less, &backwards)}) {
    BOOST_TEST(changed(*x, *y) == static_cast<Aspects>(Aspect::Planner));
    BOOST_TEST(expect(diff(x->view(), y->view())).file.empty());
  }
  const auto attribute_at = [&](std::uint32_t position) {
    return make([&](Draft& d) { d.opaque.push_back({OpaqueKind::Attribute, position, "x", "p"}); });
  };
  const auto first = attribute_at(0);
  const auto second = attribute_at(1);
  BOOST_TEST(expect(diff(first.view(), first.view())).same());
  BOOST_TEST(!expect(diff(first.view(), second.view())).same());
}

BOOST_AUTO_TEST_CASE(broken_files_give_answers_or_errors) {
  std::mt19937 random(3);
  const Facts facts = random_facts(random, 14, 4);
  const Buffer good = build_whole(facts);
  const auto file = expect(MetadataFile::from_bytes(good.bytes()));
  int seen = 0;
  for (int round = 0; round < 3000; ++round) {
    Buffer broken(good.size());
    std::ranges::copy(good.bytes(), broken.mutable_bytes().begin());
    broken.mutable_bytes()[random() % broken.size()] ^= static_cast<std::byte>(1 + random() % 255);
    const auto other = MetadataFile::from_buffer(std::move(broken));
    if (!other) continue;
    const auto result = diff(file.view(), other->view());
    seen += !result || !result->same();
    static_cast<void>(diff(other->view(), file.view()));
  }
  BOOST_TEST(seen > 100);
}

BOOST_AUTO_TEST_SUITE_END()
