// Fragments, merged in any order, give the bytes of a build in one piece; what contradicts itself is named.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "change/fragments.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

Fragments fragments_of(const Facts& facts, std::uint32_t ranks) {
  Fragments out;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) out.add(build_fragment(facts, rank));
  return out;
}

ChunkFact chunk(Size offsets, Size sizes, std::uint32_t rank, std::uint64_t byte_offset = 0) {
  return {{std::move(offsets), std::move(sizes)}, {"__" + std::to_string(rank) + "_0.distcp", byte_offset, 8, rank}};
}

/// Merges fragments of one tensor `w` of size [4, 6], each with its own declaration.
Result<Merged> merge_tensors(const std::vector<EntryFact>& per_rank, const MergeOptions& options = {.complete = false},
                             Checks checks = Checks::Strict) {
  Fragments fragments;
  for (std::uint32_t rank = 0; rank < per_rank.size(); ++rank) {
    auto builder = MetadataBuilder::create_fragment(rank, checks);
    add(builder, per_rank[rank]);
    fragments.add(expect(std::move(builder).finish()));
  }
  return fragments.merge(options);
}

EntryFact tensor(std::vector<ChunkFact> chunks) {
  EntryFact fact;
  fact.fqn = "w";
  fact.size = {4, 6};
  fact.chunks = std::move(chunks);
  return fact;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(merge_fragments)

BOOST_AUTO_TEST_CASE(gives_the_bytes_of_a_build_in_one_piece) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::uint32_t ranks = 1 + static_cast<std::uint32_t>(random() % 12);
    const Facts facts = random_facts(random, random() % 14, ranks);
    Fragments fragments = fragments_of(facts, ranks);
    std::shuffle(fragments.fragments.begin(), fragments.fragments.end(), random);
    const Merged merged = expect(fragments.merge());
    BOOST_TEST(equal(merged.bytes, build_whole(facts)));
    BOOST_TEST(merged.findings.empty());
    BOOST_TEST(merged.replicas == 0);
  }
}

// A process may have 65 530 mappings; without any left it could not even allocate.
BOOST_AUTO_TEST_CASE(more_fragments_than_a_process_may_map) {
  constexpr std::uint32_t kCount = 66'000;
  const auto path = std::filesystem::temp_directory_path() / ("flatpoint_merge_" + std::to_string(::getpid()));
  auto builder = MetadataBuilder::create_fragment(0, Checks::Strict);
  add(builder, tensor({chunk({0, 0}, {4, 6}, 0)}));
  const Buffer bytes = expect(std::move(builder).finish());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.bytes().data()), static_cast<std::streamsize>(bytes.size()));
  Fragments fragments;
  for (std::uint32_t rank = 0; rank < kCount; ++rank) {
    auto file = MetadataFile::open(path, OpenMode::Map);
    BOOST_REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message));
    fragments.files.push_back(std::move(*file));
    fragments.fragments.push_back({&fragments.files.back().view().columns(), rank, std::to_string(rank)});
  }
  std::filesystem::remove(path);
  const Merged merged = expect(fragments.merge({.complete = true}));
  BOOST_TEST(merged.replicas == kCount - 1);
  const MetadataFile file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
  BOOST_TEST(file.view().find("w").found());
}

BOOST_AUTO_TEST_CASE(of_replicas_the_lowest_rank_is_kept) {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    const std::uint32_t ranks = 2 + static_cast<std::uint32_t>(random() % 8);
    const Facts facts = random_facts(random, 1 + random() % 6, ranks);
    std::vector<Facts> held(ranks, facts);
    std::uint64_t replicas = 0;
    for (std::size_t e = 0; e < facts.size(); ++e) {
      for (std::uint32_t rank = 0; rank < ranks; ++rank) held[rank][e].chunks.clear();
      for (const ChunkFact& kept : facts[e].chunks) {
        held[kept.stored.rank][e].chunks.push_back(kept);
        for (std::uint32_t rank = kept.stored.rank + 1; rank < ranks; ++rank) {
          if (random() % 3 != 0) continue;
          ChunkFact replica = kept;
          replica.stored = {"__" + std::to_string(rank) + "_r.distcp", random() % 100, 5, rank};
          held[rank][e].chunks.push_back(replica);
          ++replicas;
        }
      }
    }
    Fragments fragments;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) fragments.add(build_fragment(held[rank], rank));
    std::shuffle(fragments.fragments.begin(), fragments.fragments.end(), random);
    const Merged merged = expect(fragments.merge());
    BOOST_TEST(equal(merged.bytes, build_whole(facts)));
    BOOST_TEST(merged.replicas == replicas);
  }
}

BOOST_AUTO_TEST_CASE(four_thousand_fragments) {
  constexpr std::uint32_t kRanks = 4096;
  Facts facts;
  for (int i = 0; i < 3; ++i) {
    EntryFact fact;
    fact.fqn = "layers." + std::to_string(i);
    fact.size = {kRanks * 2, 8};
    for (std::uint32_t rank = 0; rank < kRanks; ++rank)
      fact.chunks.push_back(chunk({rank * 2, 0}, {2, 8}, rank, static_cast<std::uint64_t>(i) * 128));
    facts.push_back(fact);
  }
  Fragments fragments = fragments_of(facts, kRanks);
  std::shuffle(fragments.fragments.begin(), fragments.fragments.end(), std::mt19937(3));
  const Merged merged = expect(fragments.merge());
  BOOST_TEST(equal(merged.bytes, build_whole(facts)));
  check_sound(expect(MetadataFile::from_bytes(merged.bytes.bytes())));
}

BOOST_AUTO_TEST_CASE(every_rank_with_its_own_tensors) {
  Facts facts;
  for (std::uint32_t rank = 0; rank < 40; ++rank) {
    for (int i = 0; i < 20; ++i) {
      EntryFact fact;
      fact.fqn = "stage." + std::to_string((rank * 7 + static_cast<std::uint32_t>(i) * 13) % 50) + "." +
                 std::to_string(rank) + "." + std::to_string(i);
      fact.size = {8};
      fact.chunks = {chunk({0}, {8}, rank)};
      facts.push_back(fact);
    }
  }
  BOOST_TEST(equal(expect(fragments_of(facts, 40).merge()).bytes, build_whole(facts)));
}

BOOST_AUTO_TEST_CASE(a_replica_lends_its_storage_to_one_without) {
  EntryFact planned = tensor({chunk({0, 0}, {4, 6}, 0)});
  Fragments fragments;
  auto first = MetadataBuilder::create_fragment(0);
  const auto id = expect(first.add_tensor("w", planned.properties, planned.size));
  expect(first.add_chunk(id, Size{0, 0}, Size{4, 6}));
  fragments.add(expect(std::move(first).finish()));
  fragments.add(build_fragment({tensor({chunk({0, 0}, {4, 6}, 1, 77)})}, 1));
  const Merged merged = expect(fragments.merge());
  const auto file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
  BOOST_TEST(file.view().find("w")->tensor()->chunk(0)->storage()->byte_offset() == 77);
}

BOOST_AUTO_TEST_CASE(strides_are_those_of_the_lowest_rank) {
  EntryFact a = tensor({chunk({0, 0}, {4, 4}, 0)});
  EntryFact b = tensor({chunk({0, 4}, {4, 2}, 1)});
  a.properties.strides = Size{4, 1};
  b.properties.strides = Size{2, 1};
  const Merged merged = expect(merge_tensors({a, b}));
  const auto file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
  BOOST_TEST((file.view().find("w")->tensor()->properties().strides == Size{4, 1}));
}

BOOST_AUTO_TEST_CASE(properties_that_differ) {
  EntryFact a = tensor({chunk({0, 0}, {2, 6}, 0)});
  EntryFact b = tensor({chunk({2, 0}, {2, 6}, 1)});
  const std::string first =
      "FQN 'w': rank 0 has a float32 tensor of size [4, 6] (strided, contiguous_format), rank 1 has ";
  b.properties.dtype = ScalarType::Bfloat16;
  check_conflict(merge_tensors({a, b}), first + "a bfloat16 tensor of size [4, 6] (strided, contiguous_format)");
  b.properties.dtype = ScalarType::Other;
  b.properties.dtype_name = "float6";
  check_conflict(merge_tensors({a, b}), first + "a float6 tensor of size [4, 6] (strided, contiguous_format)");
  b.properties = a.properties;
  b.properties.requires_grad = true;
  check_conflict(merge_tensors({a, b}),
                 first + "a float32 tensor of size [4, 6] (strided, contiguous_format, requires_grad)");
  b.properties = a.properties;
  b.size = {5, 6};
  check_conflict(merge_tensors({a, b}), first + "a float32 tensor of size [5, 6] (strided, contiguous_format)");
  check_conflict(merge_tensors({a, {"w", true, {}, {}, {chunk({}, {}, 1)}}}), first + "bytes");
}

BOOST_AUTO_TEST_CASE(chunks_that_overlap) {
  const EntryFact a = tensor({chunk({0, 0}, {2, 6}, 0)});
  check_conflict(merge_tensors({a, tensor({chunk({1, 0}, {3, 6}, 1)})}),
                 "FQN 'w': rank 0 has a chunk with offsets [0, 0] sizes [2, 6], rank 1 has a chunk with offsets [1, 0] "
                 "sizes [3, 6], of a tensor of size [4, 6]");
  check_conflict(merge_tensors({a, tensor({chunk({0, 0}, {1, 6}, 1)})}),
                 "FQN 'w': rank 0 has a chunk with offsets [0, 0] sizes [2, 6], rank 1 has a chunk with offsets [0, 0] "
                 "sizes [1, 6], of a tensor of size [4, 6]");
}

BOOST_AUTO_TEST_CASE(holes_are_found) {
  const std::vector<EntryFact> facts{tensor({chunk({0, 0}, {2, 6}, 0)}), tensor({chunk({3, 0}, {1, 6}, 1)})};
  const std::string message = "FQN 'w': its chunks hold 18 of the 24 elements of a tensor of size [4, 6]";
  const Merged merged = expect(merge_tensors(facts));
  BOOST_REQUIRE_EQUAL(merged.findings.size(), 1);
  BOOST_TEST(merged.findings[0].kind == "hole");
  BOOST_TEST(merged.findings[0].message == message);
  check_conflict(merge_tensors(facts, {}), message);
}

BOOST_AUTO_TEST_CASE(findings_are_counted) {
  Facts facts;
  for (int i = 0; i < 5; ++i) {
    EntryFact fact = tensor({chunk({0, 0}, {1, 1}, 0)});
    fact.fqn = std::to_string(i);
    facts.push_back(fact);
  }
  const Merged merged = expect(fragments_of(facts, 1).merge({.complete = false, .max_messages = 2}));
  BOOST_TEST(merged.findings.size() == 2);
  BOOST_TEST(merged.suppressed == 3);
}

BOOST_AUTO_TEST_CASE(chunks_outside_are_kept_and_found) {
  Fragments fragments;
  auto builder = MetadataBuilder::create_fragment(3, Checks::Preserve);
  add(builder, tensor({chunk({3, 0}, {2, 6}, 3)}));
  fragments.add(expect(std::move(builder).finish()));
  const Merged merged = expect(fragments.merge());
  BOOST_REQUIRE_EQUAL(merged.findings.size(), 2);
  BOOST_TEST(merged.findings[0].kind == "chunk_outside");
  BOOST_TEST(merged.findings[0].message ==
             "FQN 'w': rank 3 has a chunk with offsets [3, 0] sizes [2, 6] in a tensor of size [4, 6]");
  BOOST_TEST(merged.findings[1].kind == "hole");
  BOOST_TEST(merged.findings[1].message == "FQN 'w': its chunks hold 6 of the 24 elements of a tensor of size [4, 6]");
  const auto file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
  BOOST_TEST(file.view().find("w")->tensor()->chunk(0)->offset(0) == 3);
}

BOOST_AUTO_TEST_CASE(a_chunk_outside_hides_no_hole_and_no_overlap) {
  const EntryFact outside = tensor({chunk({3, 0}, {2, 6}, 0)});
  const std::string hole = "FQN 'w': its chunks hold 18 of the 24 elements of a tensor of size [4, 6]";
  const std::vector<EntryFact> with_hole{outside, tensor({chunk({0, 0}, {2, 6}, 1)})};
  check_conflict(merge_tensors(with_hole, {}, Checks::Preserve), hole);
  const Merged merged = expect(merge_tensors(with_hole, {.complete = false}, Checks::Preserve));
  BOOST_REQUIRE_EQUAL(merged.findings.size(), 2);
  BOOST_TEST(merged.findings[1].message == hole);

  check_conflict(merge_tensors({outside, tensor({chunk({2, 0}, {2, 6}, 1)})}, {}, Checks::Preserve),
                 "FQN 'w': rank 0 has a chunk with offsets [3, 0] sizes [2, 6], rank 1 has a chunk with offsets [2, 0] "
                 "sizes [2, 6], of a tensor of size [4, 6]");
  // What reaches over the whole tensor leaves no hole in it.
  const std::vector<EntryFact> covered{outside, tensor({chunk({0, 0}, {3, 6}, 1)})};
  BOOST_TEST(expect(merge_tensors(covered, {}, Checks::Preserve)).findings.size() == 1);
}

BOOST_AUTO_TEST_CASE(elements_are_counted_beyond_64_bits) {
  EntryFact fact = tensor({chunk({0, 0}, {4, 6}, 0)});
  fact.size = {std::int64_t{1} << 32, std::int64_t{1} << 32};
  check_conflict(
      merge_tensors({fact}, {}, Checks::Preserve),
      "FQN 'w': its chunks hold 24 of the more than 2^64 elements of a tensor of size [4294967296, 4294967296]");
  fact.chunks.clear();
  check_conflict(
      merge_tensors({fact}, {}, Checks::Preserve),
      "FQN 'w': its chunks hold 0 of the more than 2^64 elements of a tensor of size [4294967296, 4294967296]");
  constexpr std::int64_t kHalf = std::int64_t{1} << 31;
  fact.chunks = {chunk({0, 0}, {kHalf, 2 * kHalf}, 0), chunk({kHalf, 0}, {kHalf, 2 * kHalf}, 0, 8)};
  BOOST_TEST(expect(merge_tensors({fact}, {}, Checks::Preserve)).findings.empty());
  // Two chunks of 2^63 elements, one of them beside a hole of the same size.
  fact.chunks[1] = chunk({0, kHalf}, {kHalf, kHalf}, 0, 8);
  fact.chunks[0] = chunk({0, 0}, {kHalf, kHalf}, 0, 8);
  check_conflict(merge_tensors({fact}, {}, Checks::Preserve),
                 "FQN 'w': its chunks hold 9223372036854775808 of the more than 2^64 elements of a tensor of size "
                 "[4294967296, 4294967296]");
}

BOOST_AUTO_TEST_CASE(storage_keeps_its_transforms_wherever_it_goes) {
  const auto fragment = [](std::uint32_t rank, const char* stored_with, const char* fqn = "w") {
    auto builder = MetadataBuilder::create_fragment(rank);
    const auto id = expect(builder.add_tensor(fqn, {}, Size{4, 6}));
    if (stored_with == nullptr) {
      expect(builder.add_chunk(id, Size{0, 0}, Size{4, 6}));
    } else {
      const std::string_view descriptors[] = {stored_with};
      StoredAt at{.file = builder.add_file("f" + std::to_string(rank)), .length = 8};
      at.transforms = expect(builder.add_transforms(descriptors));
      expect(builder.add_chunk(id, Size{0, 0}, Size{4, 6}, at));
    }
    return expect(std::move(builder).finish());
  };
  const auto kept = [](const Fragments& fragments) {
    const Merged merged = expect(fragments.merge());
    const auto file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
    const auto storage = file.view().find("w")->tensor()->chunk(0)->storage();
    std::string text(storage->relative_path());
    for (std::uint32_t i = 0; i < storage->transform_count().value_or(0); ++i)
      text += " " + std::string(storage->transform_descriptor(i));
    return text;
  };
  Fragments lent;  // the copy that is kept takes what the next one says
  lent.add(fragment(0, nullptr));
  lent.add(fragment(1, "zstd"));
  lent.add(fragment(2, "lz4"));
  BOOST_TEST(kept(lent) == "f1 zstd");
  Fragments own;
  own.add(fragment(0, "gzip"));
  own.add(fragment(1, "zstd"));
  BOOST_TEST(kept(own) == "f0 gzip");
  Fragments numbered;  // each calls its list the first
  numbered.add(fragment(0, "gzip", "a"));
  numbered.add(fragment(1, "zstd"));
  BOOST_TEST(kept(numbered) == "f1 zstd");
}

BOOST_AUTO_TEST_CASE(a_rank_that_is_missing) {
  Fragments fragments;
  for (const std::uint32_t rank : {0U, 2U, 3U}) fragments.add(build_fragment({}, rank));
  const auto merged = fragments.merge({});
  BOOST_REQUIRE(!merged.has_value());
  BOOST_TEST(to_string(merged.error().code) == "not_found");
  BOOST_TEST(merged.error().message == "there are fragments of ranks 0, 2, 3, but none of rank 1");
  expect(fragments.merge({.complete = false}));
  Fragments last;
  last.add(build_fragment({}, 0x7FFFFFFF));
  BOOST_TEST(
      last.merge({}).error().message ==
      "there are fragments of rank 2147483647, but none of ranks 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, "
      "15, ...");
}

BOOST_AUTO_TEST_CASE(empty_chunks_where_others_begin) {
  // Rank 0 holds nothing of w, and says so at the offset where rank 1's chunk begins.
  for (const bool reversed : {false, true}) {
    EntryFact empty = tensor({chunk({0, 0}, {0, 6}, reversed ? 1U : 0U, 500)});
    EntryFact whole = tensor({chunk({0, 0}, {4, 6}, reversed ? 0U : 1U, 700)});
    const Merged merged = expect(reversed ? merge_tensors({whole, empty}, {}) : merge_tensors({empty, whole}, {}));
    const auto file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
    check_sound(file);
    BOOST_TEST(file.view().find("w")->tensor()->chunk_count() == 2);
    BOOST_TEST(file.view().find({"w", Size{0, 0}, {}})->byte_offset() == 700);
    const VerifyReport report = verify(file);
    BOOST_TEST(std::ranges::count(report.findings, "empty_chunk_in_place", &Finding::kind) == 1);
  }
  // Nor does one beyond the end.
  const EntryFact beyond = tensor({chunk({9, 0}, {0, 6}, 0)});
  const auto merged = expect(merge_tensors({beyond, tensor({chunk({0, 0}, {4, 6}, 1)})}, {}, Checks::Preserve));
  BOOST_TEST(merged.findings.empty());
}

BOOST_AUTO_TEST_CASE(a_rank_that_is_there_twice) {
  Fragments fragments;
  fragments.add(build_fragment({}, 5));
  fragments.add(build_fragment({}, 5));
  fragments.fragments[0].name = "b";
  fragments.fragments[1].name = "a";
  check_conflict(fragments.merge(), "rank 5 is there twice: a and b");
  BOOST_TEST(merge({}).error().message == "there is no fragment to merge");
}

BOOST_AUTO_TEST_CASE(versions_meta_and_planner_paths) {
  const auto fragment = [](std::uint32_t rank, std::optional<std::string_view> version, const char* save_id,
                           bool has_path) {
    auto builder = MetadataBuilder::create_fragment(rank);
    if (version) expect(builder.set_version(*version));
    StorageMeta meta;
    meta.save_id = save_id;
    expect(builder.set_storage_meta(meta));
    expect(builder.add_bytes("a.b", {.file = builder.add_file("f" + std::to_string(rank)), .length = rank}));
    const PlannerKey path[] = {std::string_view("a"), std::string_view("b")};
    if (has_path) expect(builder.set_planner_path("a.b", path));
    return expect(std::move(builder).finish());
  };
  Fragments fragments;
  fragments.add(fragment(2, "1.0.0", "two", true));
  fragments.add(fragment(1, std::nullopt, "one", false));
  const Merged merged = expect(fragments.merge());
  BOOST_TEST(merged.replicas == 1);
  const auto file = expect(MetadataFile::from_bytes(merged.bytes.bytes()));
  check_sound(file);
  BOOST_TEST(*file.view().version() == "1.0.0");
  BOOST_TEST(*file.view().storage_meta()->save_id() == "one");
  BOOST_TEST(file.view().find("a.b")->bytes_storage()->relative_path() == "f1");
  BOOST_TEST(file.view().columns().path_elements.size() == 2);
  BOOST_TEST(file.view().columns().fragment_rank == -1);
  fragments.add(fragment(3, "2", "three", true));
  check_conflict(fragments.merge(), "version differs: '1.0.0' in rank 2, '2' in rank 3");
}

BOOST_AUTO_TEST_CASE(broken_fragments_are_named_and_never_believed) {
  std::mt19937 random(7);
  const Facts facts = random_facts(random, 12, 3);
  std::vector<Buffer> good;
  for (std::uint32_t rank = 0; rank < 3; ++rank) good.push_back(build_fragment(facts, rank));
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Buffer broken(good[1].size());
    std::ranges::copy(good[1].bytes(), broken.mutable_bytes().begin());
    for (std::uint64_t i = 0; i <= random() % 3; ++i)
      broken.mutable_bytes()[random() % broken.size()] = static_cast<std::byte>(random());
    auto opened = MetadataFile::from_buffer(std::move(broken));
    if (!opened) continue;
    const auto first = expect(MetadataFile::from_bytes(good[0].bytes()));
    const Fragment fragments[] = {{&first.view().columns(), 0, "good"}, {&opened->view().columns(), 1, "broken"}};
    const auto merged = merge(fragments, {.complete = false});
    if (merged) continue;
    ++refused;
    if (merged.error().code != ErrorCode::Corrupt) continue;
    BOOST_TEST(merged.error().message.starts_with("broken: "));
    BOOST_TEST(!merged.error().rule.empty());
  }
  BOOST_TEST(refused > 100);
}

BOOST_AUTO_TEST_SUITE_END()
