// What a builder was told is what its file says, whatever the order and the size of the calls.
#include "flatpoint/builder.hpp"

#include <functional>
#include <numeric>

#include "flatpoint/sharding.hpp"
#include "write/checkpoints.hpp"
#include "write/draft.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// Every fact can be found in the file, and nothing else is there.
void check_says(const MetadataFile& file, const Facts& facts) {
  const MetadataView view = file.view();
  BOOST_REQUIRE_EQUAL(view.size(), facts.size());
  for (const EntryFact& fact : facts) {
    const auto entry = view.find(fact.fqn);
    BOOST_REQUIRE_MESSAGE(entry.found(), fact.fqn);
    if (fact.is_bytes) {
      BOOST_REQUIRE(entry->type() == StorageType::Bytes);
      BOOST_TEST(std::string(entry->bytes_storage()->relative_path()) == fact.chunks[0].stored.file);
      continue;
    }
    const auto tensor = entry->tensor();
    BOOST_REQUIRE(tensor.found());
    BOOST_TEST(std::ranges::equal(tensor->size(), fact.size));
    BOOST_TEST((tensor->properties() == fact.properties), fact.fqn);
    BOOST_REQUIRE_EQUAL(tensor->chunk_count(), fact.chunks.size());
    for (const ChunkFact& chunk : fact.chunks) {
      const auto found = tensor->find_chunk(chunk.box.offsets);
      BOOST_REQUIRE(found.found());
      BOOST_TEST((found->to_value() == chunk.box));
      const auto storage = found->storage();
      BOOST_REQUIRE(storage.found());
      BOOST_TEST(std::string(storage->relative_path()) == chunk.stored.file);
      BOOST_TEST(storage->byte_offset() == chunk.stored.byte_offset);
      BOOST_TEST(storage->length() == chunk.stored.length);
    }
    for (std::uint32_t i = 1; i < tensor->chunk_count(); ++i) {
      const auto rank_of = [&](const ChunkView& of) {
        return std::ranges::find_if(fact.chunks, [&](const ChunkFact& c) { return c.box == of.to_value(); })
            ->stored.rank;
      };
      BOOST_TEST(rank_of(*tensor->chunk(i - 1)) <= rank_of(*tensor->chunk(i)));
    }
  }
}

/// Tells a builder of tensors whose chunks are stored, as one call for many tensors.
void add_at_once(MetadataBuilder& builder, const Facts& facts) {
  std::vector<std::string_view> fqns;
  std::vector<TensorProperties> properties;
  std::vector<std::uint8_t> dimensions;
  std::vector<std::int64_t> tensor_sizes, offsets, sizes;
  std::vector<std::uint32_t> counts, files, ranks;
  std::vector<std::uint64_t> byte_offsets, lengths;
  for (const EntryFact& fact : facts) {
    if (fact.is_bytes) {
      add(builder, fact);
      continue;
    }
    fqns.push_back(fact.fqn);
    properties.push_back(fact.properties);
    dimensions.push_back(static_cast<std::uint8_t>(fact.size.size()));
    tensor_sizes.insert(tensor_sizes.end(), fact.size.begin(), fact.size.end());
    counts.push_back(static_cast<std::uint32_t>(fact.chunks.size()));
    for (const ChunkFact& chunk : fact.chunks) {
      offsets.insert(offsets.end(), chunk.box.offsets.begin(), chunk.box.offsets.end());
      sizes.insert(sizes.end(), chunk.box.sizes.begin(), chunk.box.sizes.end());
      files.push_back(builder.add_file(chunk.stored.file));
      byte_offsets.push_back(chunk.stored.byte_offset);
      lengths.push_back(chunk.stored.length);
      ranks.push_back(chunk.stored.rank);
    }
  }
  expect(builder.add_tensors({fqns,
                              properties,
                              dimensions,
                              tensor_sizes,
                              counts,
                              {files.size(), offsets, sizes, {files, byte_offsets, lengths}, ranks}}));
}

/// The same facts, told in a random order: entries, chunks and calls.
Buffer build_shuffled(Facts facts, std::mt19937& random) {
  auto builder = MetadataBuilder::create();
  std::shuffle(facts.begin(), facts.end(), random);
  std::vector<std::pair<TensorId, ChunkFact>> chunks;
  for (const EntryFact& fact : facts) {
    if (fact.is_bytes) {
      add(builder, fact);
      continue;
    }
    const TensorId id = expect(builder.add_tensor(fact.fqn, fact.properties, fact.size));
    for (const ChunkFact& chunk : fact.chunks) chunks.emplace_back(id, chunk);
  }
  std::shuffle(chunks.begin(), chunks.end(), random);
  for (const auto& [id, chunk] : chunks) {
    expect(builder.add_chunk(id, chunk.box.offsets, chunk.box.sizes, place(builder, chunk.stored)));
  }
  return expect(std::move(builder).finish());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(builder)

BOOST_AUTO_TEST_CASE(says_what_it_was_told) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const Facts facts = random_facts(random, random() % 12, 1 + random() % 12);
    const auto file = expect(MetadataFile::from_buffer(build_whole(facts)));
    check_sound(file);
    check_says(file, facts);
  }
}

BOOST_AUTO_TEST_CASE(order_and_size_of_calls_never_matter) {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    const Facts facts = random_facts(random, random() % 12, 1 + random() % 12);
    const Buffer one_by_one = build_whole(facts);
    BOOST_TEST(equal(one_by_one, build_shuffled(facts, random)));
    auto builder = MetadataBuilder::create();
    add_at_once(builder, facts);
    BOOST_TEST(equal(one_by_one, expect(std::move(builder).finish())));
  }
}

BOOST_AUTO_TEST_CASE(other_facts_give_other_bytes) {
  std::mt19937 random(3);
  Facts facts = random_facts(random, 6, 4);
  const Buffer before = build_whole(facts);
  for (EntryFact& fact : facts) {
    for (ChunkFact& chunk : fact.chunks) {
      ++chunk.stored.length;
      BOOST_TEST(!equal(before, build_whole(facts)));
      --chunk.stored.length;
    }
  }
  BOOST_TEST(equal(before, build_whole(facts)));
}

BOOST_AUTO_TEST_CASE(files_go_by_lowest_rank_then_name) {
  auto builder = MetadataBuilder::create();
  const auto id = expect(builder.add_tensor("t", {}, std::vector<std::int64_t>{4}));
  const std::int64_t one[] = {1};
  const char* names[] = {"b", "a", "__10_0.distcp", "__2_0.distcp"};
  const std::uint32_t ranks[] = {0, 0, 10, 2};
  builder.add_file("never used");
  for (std::int64_t i = 0; i < 4; ++i) {
    expect(builder.add_chunk(id, {&i, 1}, one, {.file = builder.add_file(names[i]), .rank = ranks[i]}));
  }
  const auto file = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
  BOOST_REQUIRE_EQUAL(file.view().file_count(), 4);
  const char* expected[] = {"a", "b", "__2_0.distcp", "__10_0.distcp"};
  for (std::uint32_t i = 0; i < 4; ++i) BOOST_TEST(*file.view().file_name(i) == expected[i]);
}

BOOST_AUTO_TEST_CASE(chunks_without_a_file_go_by_rank_too) {
  for (const bool two_write_one_file : {false, true}) {
    auto builder = MetadataBuilder::create();
    const auto id = expect(builder.add_tensor("t", {}, Size{4}));
    const StoredAt in_file{.file = builder.add_file("f"), .rank = 2};
    expect(builder.add_chunk(id, Size{0}, Size{1}, in_file));
    expect(builder.add_chunk(id, Size{1}, Size{1}, {.rank = 1}));
    expect(builder.add_chunk(id, Size{2}, Size{1}));
    if (two_write_one_file) expect(builder.add_chunk(id, Size{3}, Size{1}, {.file = in_file.file, .rank = 0}));
    const auto file = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
    std::vector<std::int64_t> order;
    const auto tensor = file.view().find("t")->tensor();
    for (std::uint32_t i = 0; i < tensor->chunk_count(); ++i) order.push_back(tensor->chunk(i)->offset(0));
    BOOST_TEST((order == (two_write_one_file ? Size{2, 3, 1, 0} : Size{2, 1, 0})));
  }
}

BOOST_AUTO_TEST_CASE(a_sharding_is_added_at_once) {
  std::mt19937 random(4);
  for (int round = 0; round < 100; ++round) {
    const Size size{static_cast<std::int64_t>(random() % 30), static_cast<std::int64_t>(1 + random() % 30)};
    const Size mesh{static_cast<std::int64_t>(1 + random() % 3), static_cast<std::int64_t>(1 + random() % 4)};
    std::vector<Placement> placements;
    for (int i = 0; i < 2; ++i)
      placements.push_back(random() % 3 == 0 ? Placement(Replicate{})
                                             : Placement(Shard{static_cast<std::int64_t>(random() % 2)}));
    const Sharding sharding = expect(Sharding::create(size, mesh, placements));
    auto at_once = MetadataBuilder::create();
    auto one_by_one = MetadataBuilder::create();
    std::vector<std::uint32_t> files;
    std::vector<std::uint64_t> byte_offsets;
    const auto ranks = sharding.chunk_ranks();
    const auto id = expect(one_by_one.add_tensor("t", {}, size));
    for (const std::uint32_t rank : ranks) {
      const std::string name = "__" + std::to_string(rank) + "_0.distcp";
      files.push_back(at_once.add_file(name));
      byte_offsets.push_back(random() % 1000);
      const auto box = sharding.local_box(rank);
      expect(one_by_one.add_chunk(id, box.offsets, box.sizes,
                                  {one_by_one.add_file(name), byte_offsets.back(), 99, 0, rank}));
    }
    const std::uint64_t length = 99;
    expect(at_once.add_sharded(expect(at_once.add_tensor("t", {}, size)), sharding,
                               {files, byte_offsets, {&length, 1}, {}}));
    const Buffer bytes = expect(std::move(at_once).finish());
    BOOST_TEST(equal(bytes, expect(std::move(one_by_one).finish())));
    const auto file = expect(MetadataFile::from_bytes(bytes.bytes()));
    const auto layout = file.view().entry(0)->row().chunk_layout;
    BOOST_TEST((layout != ChunkLayout::Explicit || ranks.size() == 1));
  }
}

BOOST_AUTO_TEST_CASE(tensors_come_with_their_metadata) {
  const Size size{6, 4};
  const TensorDescriptor tensor{.size = size, .dtype = ScalarType::Bfloat16};
  auto builder = MetadataBuilder::create_fragment(7);
  const StoredAt at{.file = builder.add_file("f"), .byte_offset = 8, .length = 48};
  expect(builder.add_tensor("whole", expect(create_tensor_storage_metadata(tensor)), {&at, 1}));
  expect(builder.add_tensor("planned", expect(create_tensor_storage_metadata(tensor))));
  const auto file = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
  BOOST_TEST(file.view().columns().fragment_rank == 7);
  BOOST_TEST(file.view().find("whole")->tensor()->chunk(0)->storage()->length() == 48);
  BOOST_TEST(file.view().find("planned")->tensor()->chunk(0)->storage().absent());
  BOOST_TEST((file.view().find("planned")->tensor()->properties().strides == Size{4, 1}));
}

BOOST_AUTO_TEST_CASE(planner_paths_meta_version_transforms) {
  StorageMeta meta;
  meta.checkpoint_id = "/x";
  meta.checkpoint_id_type = PathType::Str;
  meta.save_id = "id";
  const auto make = [&meta](bool backwards) {
    auto builder = MetadataBuilder::create();
    std::vector<std::function<void()>> calls;
    const std::string_view zstd[] = {"stream.zstd/1"};
    const std::string_view other[] = {"a", "b"};
    const PlannerKey path_a[] = {std::string_view("optimizer"), std::string_view("a.weight"), std::int64_t{0}};
    const PlannerKey path_b[] = {std::string_view("b")};
    calls.emplace_back([&] { expect(builder.set_planner_path("optimizer.a.weight.0", path_a)); });
    calls.emplace_back([&] { expect(builder.set_planner_path("b", path_b)); });
    calls.emplace_back([&] {
      expect(
          builder.add_bytes("b", {.file = builder.add_file("f"), .transforms = expect(builder.add_transforms(zstd))}));
    });
    calls.emplace_back([&] {
      expect(builder.add_bytes("c", {.file = builder.add_file("g"),
                                     .transforms = expect(builder.add_transforms(other, SequenceType::Tuple))}));
    });
    calls.emplace_back([&] { expect(builder.add_bytes("optimizer.a.weight.0")); });
    calls.emplace_back([&] { expect(builder.set_version("1.0.0")); });
    calls.emplace_back([&] { expect(builder.set_storage_meta(meta)); });
    if (backwards) std::reverse(calls.begin(), calls.end());
    for (const auto& call : calls) call();
    return expect(std::move(builder).finish());
  };
  const Buffer bytes = make(false);
  BOOST_TEST(equal(bytes, make(true)));
  const auto file = expect(MetadataFile::from_bytes(bytes.bytes()));
  check_sound(file);
  BOOST_TEST(*file.view().version() == "1.0.0");
  BOOST_TEST((file.view().storage_meta()->to_value() == meta));
  BOOST_TEST(file.view().find("c")->bytes_storage()->transform_descriptor(1) == "b");
  const Columns& columns = file.view().columns();
  BOOST_REQUIRE_EQUAL(columns.fqn_paths.size(), 3);
  BOOST_TEST(columns.fqn_paths[1] == 0);
  BOOST_TEST(columns.path_ends.size() == 2);
}

BOOST_AUTO_TEST_CASE(nothing_is_a_checkpoint_too) {
  const auto file = expect(MetadataFile::from_buffer(build_whole({})));
  check_sound(file);
  BOOST_TEST(file.view().size() == 0);
  BOOST_TEST(!file.view().columns().has_storage_data);
}

BOOST_AUTO_TEST_CASE(preserving_keeps_what_is_odd) {
  const Facts facts{{"t",
                     false,
                     {},
                     {4},
                     {{{{0}, {3}}, {"f", 0, 1, 0}}, {{{2}, {9}}, {"f", 1, 1, 0}}, {{{-1}, {1}}, {"f", 2, 1, 0}}}}};
  const auto file = expect(MetadataFile::from_buffer(build_whole(facts, Checks::Preserve)));
  check_sound(file);
  check_says(file, facts);
}

BOOST_AUTO_TEST_CASE(preserving_keeps_what_is_odd_in_many_tensors_too) {
  auto builder = MetadataBuilder::create(Checks::Preserve);
  const std::string_view fqns[] = {"a", "b"};
  const TensorProperties properties;
  const std::uint8_t dimensions = 1;
  const std::uint32_t count = 1;
  const std::int64_t sizes[] = {4, -2}, offsets[] = {0, 3}, chunk_sizes[] = {4, 5};
  expect(
      builder.add_tensors({fqns, {&properties, 1}, {&dimensions, 1}, sizes, {&count, 1}, {2, offsets, chunk_sizes}}));
  const auto file = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
  BOOST_TEST(file.view().find("b")->tensor()->size()[0] == -2);
  BOOST_TEST(file.view().find("b")->tensor()->chunk(0)->size(0) == 5);
}

/// Rows that are equal but for where they lie: their order is that of what they say, not of the calls or the numbers.
BOOST_AUTO_TEST_CASE(equal_boxes_come_in_one_order) {
  const auto make = [](bool backwards) {
    auto builder = MetadataBuilder::create(Checks::Preserve);
    const auto id = expect(builder.add_tensor("t", {}, Size{4}));
    const std::string_view one[] = {"one"}, two[] = {"two"};
    std::vector<std::function<StoredAt()>> places{
        [&] { return StoredAt{.file = builder.add_file("a"), .byte_offset = 1}; },
        [&] { return StoredAt{.file = builder.add_file("b"), .byte_offset = 1}; },
        [&] { return StoredAt{.file = builder.add_file("b"), .byte_offset = 2}; },
        [&] { return StoredAt{.file = builder.add_file("b"), .byte_offset = 2, .length = 1}; },
        [&] { return StoredAt{.file = builder.add_file("c"), .transforms = expect(builder.add_transforms(one))}; },
        [&] { return StoredAt{.file = builder.add_file("c"), .transforms = expect(builder.add_transforms(two))}; }};
    if (backwards) std::ranges::reverse(places);
    // The first row of an offset speaks for all in the file: let each of them be first once.
    for (std::size_t first = 0; first < places.size(); ++first) {
      const auto other =
          expect(builder.add_tensor("t" + std::to_string(backwards ? places.size() - first : first + 1), {}, Size{4}));
      for (const std::size_t i : {first, (first + 1) % places.size()})
        expect(builder.add_chunk(other, Size{0}, Size{4}, places[i]()));
    }
    for (const auto& place : places) expect(builder.add_chunk(id, Size{0}, Size{4}, place()));
    return builder;
  };
  auto forwards = make(false);
  auto backwards = make(true);
  const auto a = expect(MetadataFile::from_buffer(expect(std::move(forwards).finish())));
  const auto b = expect(MetadataFile::from_buffer(expect(std::move(backwards).finish())));
  BOOST_TEST(a.view().find("t")->tensor()->chunk(0)->storage()->relative_path() == "a");
  BOOST_TEST(a.view().find("t2")->tensor()->chunk(0)->storage()->byte_offset() == 1);
  BOOST_TEST(a.view().find("t3")->tensor()->chunk(0)->storage()->length() == 0);
  BOOST_TEST(a.view().find("t5")->tensor()->chunk(0)->storage()->transform_descriptor(0) == "one");
  BOOST_TEST(b.view().find("t")->tensor()->chunk(0)->storage()->relative_path() == "a");
  for (const EntryRow& row : b.view().columns().entries) BOOST_TEST(row.chunk_count >= 2U);
  BOOST_TEST(b.view().find("t2")->tensor()->chunk(0)->storage()->transform_descriptor(0) == "one");
}

BOOST_AUTO_TEST_CASE(transforms_go_with_their_chunks) {
  for (const bool in_one_call : {true, false}) {
    auto builder = MetadataBuilder::create();
    const std::uint32_t file = builder.add_file("f");
    const auto id = expect(builder.add_tensor("t", {}, Size{3}));
    std::vector<std::uint16_t> lists;
    for (const std::string_view name : {"x", "y"}) lists.push_back(expect(builder.add_transforms({&name, 1})));
    const std::int64_t offsets[] = {2, 0, 1}, sizes[] = {1, 1, 1};
    const std::uint64_t zero[] = {0};
    const std::uint16_t transforms[] = {lists[1], 0, lists[0]};
    if (in_one_call) {
      expect(builder.add_chunks(id, {3, offsets, sizes, {{&file, 1}, zero, zero, transforms}}));
    } else {
      for (int i = 0; i < 3; ++i)
        expect(builder.add_chunk(id, {offsets + i, 1}, {sizes + i, 1}, {.file = file, .transforms = transforms[i]}));
    }
    const auto out = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
    const auto tensor = out.view().find("t")->tensor();
    BOOST_TEST(!tensor->chunk(0)->storage()->transform_count().has_value());
    BOOST_TEST(tensor->chunk(1)->storage()->transform_descriptor(0) == "x");
    BOOST_TEST(tensor->chunk(2)->storage()->transform_descriptor(0) == "y");
  }
}

BOOST_AUTO_TEST_CASE(in_a_fragment_the_rank_is_the_fragments) {
  const auto make = [](std::uint32_t first, std::uint32_t second) {
    auto builder = MetadataBuilder::create_fragment(7);
    const auto id = expect(builder.add_tensor("t", {}, Size{2}));
    const std::uint32_t file = builder.add_file("f");
    expect(builder.add_chunk(id, Size{0}, Size{1}, {.file = file, .rank = first}));
    expect(builder.add_chunk(id, Size{1}, Size{1}, {.file = file, .rank = second}));
    return expect(std::move(builder).finish());
  };
  BOOST_TEST(equal(make(9, 3), make(0, 0)));
}

BOOST_AUTO_TEST_CASE(a_builder_and_a_draft_of_the_same_facts_agree) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    Facts facts = random_facts(random, 5, 1);
    std::ranges::sort(facts, {}, &EntryFact::fqn);
    write::Draft draft;
    draft.files = {"__0_0.distcp", "__0_1.distcp", "all.distcp"};
    draft.has_storage_data = !facts.empty();
    for (const EntryFact& fact : facts) {
      write::DraftEntry entry;
      entry.fqn = fact.fqn;
      entry.type = fact.is_bytes ? StorageType::Bytes : StorageType::Tensor;
      entry.ndim = static_cast<std::uint8_t>(fact.size.size());
      entry.properties.dtype = fact.is_bytes ? ScalarType{} : fact.properties.dtype;
      if (fact.properties.dtype == ScalarType::Other) {
        entry.properties.dtype_name = static_cast<std::uint16_t>(draft.type_names.size());
        draft.type_names.push_back(fact.properties.dtype_name);
      }
      entry.size_begin = draft.sizes.size();
      draft.sizes.insert(draft.sizes.end(), fact.size.begin(), fact.size.end());
      if (fact.properties.strides) {
        entry.properties.strides = StridesKind::Explicit;
        entry.strides_begin = draft.sizes.size();
        draft.sizes.insert(draft.sizes.end(), fact.properties.strides->begin(), fact.properties.strides->end());
      }
      entry.box_begin = draft.boxes.size();
      entry.chunk_begin = draft.rows.files.size();
      entry.chunk_count = static_cast<std::uint32_t>(fact.chunks.size());
      for (const ChunkFact& chunk :
           fact.chunks) {  // made in the order of their offsets, as a draft of one rank has them
        draft.boxes.insert(draft.boxes.end(), chunk.box.offsets.begin(), chunk.box.offsets.end());
        draft.boxes.insert(draft.boxes.end(), chunk.box.sizes.begin(), chunk.box.sizes.end());
        draft.rows.files.push_back(
            static_cast<std::uint32_t>(std::ranges::find(draft.files, chunk.stored.file) - draft.files.begin()));
        draft.rows.byte_offsets.push_back(chunk.stored.byte_offset);
        draft.rows.lengths.push_back(chunk.stored.length);
      }
      draft.entries.push_back(entry);
    }
    BOOST_TEST(equal(build_whole(facts), expect(finish(std::move(draft)))));
  }
}

BOOST_AUTO_TEST_CASE(what_says_nothing_takes_no_place) {
  const auto make = [](std::uint64_t of_nothing) {
    write::Draft draft;
    draft.has_storage_data = true;
    draft.has_planner_data = true;  // {}
    draft.files = {"f"};
    for (const auto& [fqn, type, file] :
         {std::tuple("a", StorageType::Bytes, kNoFile), std::tuple("b", StorageType::Opaque, kNoFile),
          std::tuple("c", StorageType::Bytes, 0U)}) {
      write::DraftEntry entry;
      entry.fqn = fqn;
      entry.type = type;
      entry.chunk_begin = draft.rows.files.size();
      entry.chunk_count = 1;
      draft.entries.push_back(entry);
      draft.rows.files.push_back(file);
    }
    draft.rows.byte_offsets = {of_nothing, of_nothing, 5};
    draft.rows.lengths = {of_nothing, of_nothing, 5};
    draft.rows.transforms = {0, 0, 0};
    draft.opaque.push_back({OpaqueKind::StateDictValue, 0, "b", "pickle"});
    return expect(finish(std::move(draft)));
  };
  const Buffer bytes = make(0);
  BOOST_TEST(equal(bytes, make(7)));
  const auto file = expect(MetadataFile::from_bytes(bytes.bytes()));
  check_sound(file);
  const Columns& columns = file.view().columns();
  BOOST_TEST(columns.chunk_rows() == 1U);
  BOOST_TEST(columns.has_planner_data);
  BOOST_TEST(columns.fqn_paths.empty());
  BOOST_TEST(columns.chunk_transforms.empty());
}

BOOST_AUTO_TEST_SUITE_END()
