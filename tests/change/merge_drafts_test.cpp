// Merging what an import or another writer may have made: orders that are stated, storage without a chunk, opaque
// records.
#include <map>

#include "change/fragments.hpp"
#include "flatpoint/records.hpp"
#include "write/draft.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// A fragment of rows that an import could have made: a tensor "t" of size [4] with two chunks, bytes "b", and more.
write::Draft imported(std::int32_t rank) {
  write::Draft draft;
  draft.fragment_rank = rank;
  draft.source = SourceRecord{1, 2, 3, true, "tag"};
  draft.has_storage_data = true;
  draft.files = {"f"};
  write::DraftEntry entry;
  entry.fqn = "t";
  entry.ndim = 1;
  entry.chunk_count = 2;
  draft.entries.push_back(entry);
  draft.sizes = {4};
  draft.boxes = {0, 2, 2, 2};
  draft.rows.files = {0, 0};
  draft.rows.byte_offsets = {10, 20};
  draft.rows.lengths = {1, 2};
  draft.storage_order = {1, 0};
  return draft;
}

void add_bytes(write::Draft& draft, std::string_view fqn, std::uint32_t file, std::uint64_t offset) {
  write::DraftEntry entry;
  entry.fqn = fqn;
  entry.type = StorageType::Bytes;
  entry.chunk_begin = draft.rows.files.size();
  entry.chunk_count = 1;
  draft.entries.push_back(entry);
  if (file != kNoFile) draft.storage_order.push_back(static_cast<std::uint32_t>(draft.rows.files.size()));
  draft.rows.files.push_back(file);
  draft.rows.byte_offsets.push_back(offset);
  draft.rows.lengths.push_back(1);
}

/// Storage information of a key; comes behind all rows of entries.
void add_loose(write::Draft& draft, std::string_view fqn, std::optional<std::vector<std::int64_t>> offset,
               std::uint64_t byte_offset, std::uint32_t file = 0) {
  draft.loose_storage.push_back(
      {fqn, offset.has_value(), static_cast<std::uint8_t>(offset ? offset->size() : 0), draft.sizes.size()});
  if (offset) draft.sizes.insert(draft.sizes.end(), offset->begin(), offset->end());
  draft.storage_order.push_back(static_cast<std::uint32_t>(draft.rows.files.size()));
  draft.rows.files.push_back(file);
  draft.rows.byte_offsets.push_back(byte_offset);
  draft.rows.lengths.push_back(1);
}

MetadataFile merged(std::vector<write::Draft> drafts) {
  Fragments fragments;
  for (write::Draft& draft : drafts) fragments.add(expect(finish(std::move(draft))));
  return expect(MetadataFile::from_buffer(expect(fragments.merge()).bytes));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(merge_drafts)

BOOST_AUTO_TEST_CASE(storage_without_a_chunk_is_lent_to_the_chunk_that_it_names) {
  write::Draft a = imported(0);
  a.rows.files[1] = kNoFile;
  a.storage_order = {0};
  add_bytes(a, "b", kNoFile, 0);
  write::Draft b;
  b.fragment_rank = 1;
  b.has_storage_data = true;
  b.files = {"g"};
  b.source = a.source;
  add_loose(b, "b", std::vector<std::int64_t>{0}, 1);     // bytes have no offset
  add_loose(b, "b", std::nullopt, 2);                     // lent
  add_loose(b, "t", std::nullopt, 3);                     // a tensor's chunks have one
  add_loose(b, "t", std::vector<std::int64_t>{2}, 4);     // lent
  add_loose(b, "t", std::vector<std::int64_t>{0}, 5);     // that chunk has storage of its own
  add_loose(b, "t", std::vector<std::int64_t>{2, 2}, 6);  // another number of dimensions, though equal to a box
  const auto file = merged({a, b});
  check_sound(file);
  BOOST_TEST(file.view().find("b")->bytes_storage()->byte_offset() == 2U);
  BOOST_TEST(file.view().find("t")->tensor()->chunk(0)->storage()->byte_offset() == 10U);
  BOOST_TEST(file.view().find("t")->tensor()->chunk(1)->storage()->byte_offset() == 4U);
  std::vector<std::uint64_t> left;
  for (std::size_t i = 0; i < file.view().columns().loose_storage.size(); ++i)
    left.push_back(loose_storage(file.view(), i)->storage.byte_offset());
  BOOST_TEST((left == std::vector<std::uint64_t>{1, 3, 6}));
}

BOOST_AUTO_TEST_CASE(storage_without_a_chunk_keeps_its_transforms) {
  write::Draft a = imported(0);
  a.transform_lists.push_back({.descriptors = {"gzip"}});
  a.rows.transforms = {1, 1};
  write::Draft b;
  b.fragment_rank = 1;
  b.has_storage_data = true;
  b.files = {"g"};
  b.source = a.source;
  b.transform_lists.push_back({.descriptors = {"zstd"}});
  add_loose(b, "gone", std::nullopt, 1);
  b.rows.transforms = {1};
  const auto file = merged({a, b});
  const auto left = loose_storage(file.view(), 0)->storage;
  BOOST_TEST(left.transform_count().value_or(0) == 1U);
  BOOST_TEST(left.transform_descriptor(0) == "zstd");
}

BOOST_AUTO_TEST_CASE(orders_that_fragments_state_outlive_their_replicas) {
  write::Draft a = imported(0);
  write::Draft b = imported(1);
  b.boxes = {0, 2, 2, 1};  // the first is a replica
  b.sizes = {4};
  b.files = {"g"};
  b.entries[0].chunk_count = 3;
  b.boxes.insert(b.boxes.end(), {3, 1});
  a.boxes = {0, 2};  // and covers half
  a.entries[0].chunk_count = 1;
  a.rows.files = {0}, a.rows.byte_offsets = {10}, a.rows.lengths = {1}, a.storage_order = {0};
  b.rows.files = {0, 0, 0}, b.rows.byte_offsets = {1, 2, 3}, b.rows.lengths = {1, 1, 1};
  b.storage_order = {2, 0, 1};
  const auto file = merged({a, b});
  check_sound(file);
  std::vector<std::uint64_t> offsets;
  for (const std::uint32_t row : file.view().columns().storage_order)
    offsets.push_back(file.view().columns().chunk_byte_offsets[row]);
  BOOST_TEST((offsets == std::vector<std::uint64_t>{10, 3, 2}));
}

BOOST_AUTO_TEST_CASE(a_replica_outside_its_tensor_is_the_lowest_ranks) {
  Fragments fragments;
  for (const std::uint32_t rank : {1U, 0U}) {
    auto builder = MetadataBuilder::create_fragment(rank, Checks::Preserve);
    expect(builder.add_chunk(expect(builder.add_tensor("w", {}, Size{4})), Size{3}, Size{2}));
    fragments.add(expect(std::move(builder).finish()));
  }
  const Merged done = expect(fragments.merge());
  BOOST_REQUIRE_EQUAL(done.findings.size(), 2);
  BOOST_TEST(done.findings[0].message ==
             "FQN 'w': rank 0 has a chunk with offsets [3] sizes [2] in a tensor of size [4]");
  BOOST_TEST(done.findings[1].message == "FQN 'w': its chunks hold 1 of the 4 elements of a tensor of size [4]");
}

BOOST_AUTO_TEST_CASE(files_go_by_the_lowest_rank_that_writes_into_them) {
  const auto fragment = [](std::int32_t rank, const char* fqn, const char* file) {
    write::Draft draft;  // as a builder's, without orders
    draft.fragment_rank = rank;
    draft.has_storage_data = true;
    draft.files = {file};
    add_bytes(draft, fqn, 0, 1);
    draft.storage_order.clear();
    return draft;
  };
  write::Draft loose = fragment(0, "c", "h");
  add_loose(loose, "l", std::nullopt, 1, 1);
  loose.files.emplace_back("k");
  loose.storage_order.clear();
  const auto file = merged({fragment(3, "a", "f"), fragment(2, "b", "g"), fragment(1, "d", "f"), loose});
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < file.view().file_count(); ++i) names.emplace_back(*file.view().file_name(i));
  BOOST_TEST((names == std::vector<std::string>{"h", "k", "f", "g"}));
}

BOOST_AUTO_TEST_CASE(planner_paths_are_those_of_the_lowest_rank) {
  const auto fragment = [](std::uint32_t rank, std::vector<PlannerKey> path) {
    auto builder = MetadataBuilder::create_fragment(rank);
    expect(builder.add_bytes("a.b", {.file = builder.add_file("f")}));
    if (!path.empty()) expect(builder.set_planner_path("a.b", path));
    return expect(std::move(builder).finish());
  };
  Fragments fragments;
  fragments.add(fragment(2, {}));
  fragments.add(fragment(1, {std::string_view("a"), std::string_view("b")}));
  fragments.add(fragment(0, {std::string_view("a.b")}));
  const auto file = expect(MetadataFile::from_buffer(expect(fragments.merge()).bytes));
  auto path = *planner_path(file.view(), *file.view().find("a.b"));
  BOOST_TEST(path.next()->text == "a.b");
}

BOOST_AUTO_TEST_CASE(opaque_items_stand_behind_what_columns_hold) {
  write::Draft a = imported(0);
  write::Draft b = imported(1);
  b.entries[0].fqn = "u";
  for (write::Draft* draft : {&a, &b}) {
    const std::string_view name = draft == &a ? "x" : "y";
    for (const OpaqueKind kind : {OpaqueKind::StateDictItem, OpaqueKind::StorageItem})
      draft->opaque.push_back({kind, 0, name, draft == &a ? "p" : "q"});
  }
  const auto file = merged({a, b});
  check_sound(file);
  std::vector<std::uint32_t> positions;
  for (std::size_t i = 0; i < 4; ++i) positions.push_back(opaque_record(file.view(), i)->position);
  BOOST_TEST((positions == std::vector<std::uint32_t>{2, 3, 4, 5}));  // two FQNs, four items of storage data
}

BOOST_AUTO_TEST_CASE(classes_that_differ) {
  write::Draft a = imported(0);
  write::Draft b = imported(1);
  b.storage_info_class = "olmo_core Info";
  Fragments fragments;
  fragments.add(expect(finish(write::Draft(a))));
  fragments.add(expect(finish(write::Draft(b))));
  check_conflict(fragments.merge(),
                 "the class of the storage information differs: none in rank 0, 'olmo_core Info' in rank 1");
  b.storage_info_class.reset();
  b.metadata_class = "megatron Meta";
  Fragments others;
  others.add(expect(finish(std::move(a))));
  others.add(expect(finish(std::move(b))));
  check_conflict(others.merge(), "the class of the metadata differs: none in rank 0, 'megatron Meta' in rank 1");
}

BOOST_AUTO_TEST_CASE(an_order_that_names_a_row_twice) {
  const auto file = expect(MetadataFile::from_buffer(expect(finish(imported(0)))));
  Columns columns = file.view().columns();
  const std::uint32_t twice[] = {1, 1};
  columns.storage_order = twice;
  const Fragment fragment{&columns, 0, "f"};
  const auto result = merge({&fragment, 1});
  BOOST_REQUIRE(!result.has_value());
  BOOST_TEST(to_string(result.error().code) == "corrupt");
}

BOOST_AUTO_TEST_CASE(two_gib_are_refused_before_they_are_copied) {
  const auto file = expect(MetadataFile::from_buffer(build_fragment({}, 0)));
  const ByteColumn huge(reinterpret_cast<const std::uint8_t*>(std::uintptr_t{64}), std::size_t{1} << 31);  // never read
  Columns columns = file.view().columns();
  const OpaqueRecordRow record{OpaqueKind::Attribute, {}, 0, 0, 0, 0, static_cast<std::uint32_t>(huge.size())};
  columns.opaque = {&record, 1};
  columns.opaque_pickles = huge;
  const Fragment fragment{&columns, 0, "f"};
  const auto result = merge({&fragment, 1});
  BOOST_REQUIRE(!result.has_value());
  BOOST_TEST(to_string(result.error().code) == "too_large");
  BOOST_TEST(result.error().message.find("2 GiB") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
