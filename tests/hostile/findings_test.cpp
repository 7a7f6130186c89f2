// What verify finds odd about checkpoints whose files keep every rule.
#include <set>

#include "flatpoint/coverage.hpp"
#include "write/checkpoints.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

struct Found {
  std::multiset<std::string> kinds;
  std::vector<std::string> messages;
};

Found findings_of(const Facts& facts) {
  const auto file = expect(MetadataFile::from_buffer(build_whole(facts, Checks::Preserve)));
  check_sound(file);
  Found found;
  for (const Finding& finding : verify(file).findings) {
    found.kinds.insert(finding.kind);
    found.messages.push_back(finding.message);
  }
  return found;
}

EntryFact tensor(std::string fqn, Size size, std::vector<ChunkFact> chunks) {
  EntryFact fact;
  fact.fqn = std::move(fqn);
  fact.size = std::move(size);
  fact.chunks = std::move(chunks);
  return fact;
}

ChunkFact chunk(Size offsets, Size sizes, Stored stored) {
  return {{std::move(offsets), std::move(sizes)}, std::move(stored)};
}

EntryFact bytes_item(std::string fqn, Stored stored = {"f", 0, 0, 0}) {
  return {std::move(fqn), true, {}, {}, {{{}, std::move(stored)}}};
}

void check(const Facts& facts, const std::multiset<std::string>& kinds, const std::string& message) {
  const Found found = findings_of(facts);
  BOOST_TEST((found.kinds == kinds));
  if (!message.empty()) BOOST_TEST((std::ranges::find(found.messages, message) != found.messages.end()));
  for (const std::string& text : found.messages) BOOST_TEST_MESSAGE(text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(findings)

BOOST_AUTO_TEST_CASE(bytes_that_two_items_claim) {
  const auto pair = [](Stored a, Stored b) {
    return Facts{tensor("a", {4}, {chunk({0}, {4}, std::move(a))}), tensor("b", {4}, {chunk({0}, {4}, std::move(b))})};
  };
  check(pair({"f", 0, 16, 0}, {"f", 16, 16, 0}), {}, "");
  check(pair({"f", 0, 16, 0}, {"g", 8, 16, 0}), {}, "");
  check(pair({"f", 0, 16, 0}, {"f", 8, 16, 0}), {"overlapping_bytes"},
        "data file 0: bytes 8 to 24 of FQN 'b' overlap those of FQN 'a'");
  check(pair({"f", 0, 160, 0}, {"f", 8, 16, 0}), {"overlapping_bytes"},
        "data file 0: bytes 8 to 24 of FQN 'b' overlap those of FQN 'a'");
  check(pair({"f", 8, 16, 0}, {"f", 8, 16, 0}), {"shared_bytes"},
        "data file 0: bytes 8 to 24 of FQN 'b' are also those of FQN 'a'");
  check(pair({"f", ~std::uint64_t{0}, 16, 0}, {"f", 0, 16, 0}), {"byte_range"},
        "row 0: 16 bytes at byte 18446744073709551615 end beyond 64 bits");
}

BOOST_AUTO_TEST_CASE(elements_without_bytes) {
  check({tensor("w", {4}, {chunk({0}, {4}, {"f", 0, 0, 0})})}, {"empty_storage"},
        "FQN 'w': the chunk with offsets [0] sizes [4] has elements, but a length of 0");
  check({tensor("w", {0}, {chunk({0}, {0}, {"f", 0, 0, 0})}), bytes_item("b")}, {}, "");
}

BOOST_AUTO_TEST_CASE(an_empty_chunk_at_anothers_offset) {
  check({tensor("w", {4}, {chunk({0}, {0}, {"f", 0, 8, 0}), chunk({0}, {4}, {"f", 8, 16, 1})})},
        {"empty_chunk_in_place"},
        "FQN 'w': an empty chunk starts at [0] as another does, and takes its place in storage_data");
  check({tensor("w", {4}, {chunk({9}, {0}, {"f", 0, 8, 0}), chunk({0}, {4}, {"f", 8, 16, 1})})}, {}, "");
}

BOOST_AUTO_TEST_CASE(grids_that_reach_outside_behind_empty_cells) {
  const std::vector<ChunkFact> cells{chunk({0}, {4}, {"f", 0, 8, 0}), chunk({4}, {2}, {"f", 8, 8, 0}),
                                     chunk({6}, {0}, {"f", 16, 8, 0})};
  check({tensor("w", {4}, cells)}, {"chunk_outside"},
        "FQN 'w': chunk with offsets [4] sizes [2] in a tensor of size [4]");
  check({tensor("w", {6}, cells)}, {}, "");
}

BOOST_AUTO_TEST_CASE(members_of_a_series) {
  check({bytes_item("o/shard_0_3"), bytes_item("o/shard_2_3"), bytes_item("p/shard_0_1"), bytes_item("q/shard_x_3"),
         bytes_item("r/shard_7_3")},
        {"missing_shard"}, "FQN 'o/shard_1_3' is missing: 2 of 3 are there");
  check({bytes_item("o/shard_0_2"), bytes_item("o/shard_0_2/shard_0_2"), bytes_item("o/shard_0_2/shard_1_2"),
         bytes_item("o/shard_1_2")},
        {}, "");
  check({bytes_item("o/shard_1_4294967295")}, {"missing_shard"},
        "FQN 'o/shard_0_4294967295' is missing: 1 of 4294967295 are there");
}

BOOST_AUTO_TEST_CASE(paths_that_programs_disagree_on) {
  check({bytes_item("b", {"", 0, 4, 0})}, {"odd_path"}, "data file 0: '' names no file");
  check({bytes_item("b", {"s3://bucket/f", 0, 4, 0})}, {"odd_path"}, "data file 0: 's3://bucket/f' is a URL");
  check({bytes_item("b", {"sub\\f", 0, 4, 0})}, {"odd_path"},
        "data file 0: 'sub\\f' holds a backslash, which parts names on Windows");
}

BOOST_AUTO_TEST_SUITE_END()
