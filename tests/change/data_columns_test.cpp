// What is known of where data lie stays right when files are edited and joined.
#include "change/fragments.hpp"
#include "flatpoint/diff.hpp"
#include "flatpoint/edit.hpp"
#include "flatpoint/verify.hpp"
#include "format/encode.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// A rank's fragment: rows of a tensor of 4 x 2 float32, 50 bytes each.
struct Known {
  std::uint32_t begin = kNoDataBegin;
  std::uint64_t checksum = kNoChecksum;
  ChecksumKind kind = ChecksumKind::Xxh3;
  FileFacts facts{};
  std::string file{};
};

Buffer fragment(std::uint32_t rank, const Known& known) {
  auto builder = MetadataBuilder::create_fragment(rank);
  const auto id = expect(builder.add_tensor("w", {}, Size{4, 2}));
  const auto file = builder.add_file(known.file.empty() ? "__" + std::to_string(rank) + "_0.distcp" : known.file);
  expect(builder.set_file_facts(file, known.facts));
  expect(builder.set_checksum_kind(known.kind));
  expect(builder.add_chunk(id, Size{rank, 0}, Size{1, 2},
                           {.file = file,
                            .byte_offset = std::uint64_t{50} * rank,
                            .length = 50,
                            .data_begin = known.begin,
                            .checksum = known.checksum}));
  return expect(std::move(builder).finish());
}

Result<Merged> joined(const std::vector<Known>& ranks) {
  Fragments fragments;
  for (std::uint32_t rank = 0; rank < ranks.size(); ++rank) fragments.add(fragment(rank, ranks[rank]));
  return fragments.merge();
}

MetadataFile opened(Result<Merged> merged) {
  auto file = expect(MetadataFile::from_buffer(std::move(expect(std::move(merged)).bytes)));
  BOOST_TEST(verify(file).sound());
  return file;
}

std::vector<std::uint32_t> begins(const MetadataFile& file) {
  const auto column = file.view().columns().chunk_data_begins;
  return {column.begin(), column.end()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(data_columns)

BOOST_AUTO_TEST_CASE(a_merge_keeps_what_all_ranks_know) {
  const FileFacts facts{500, 9, FileFormat::TorchSave};
  const auto file = opened(joined({{16, 1, ChecksumKind::Xxh3, facts}, {16, 2, ChecksumKind::Xxh3, facts}}));
  BOOST_TEST(begins(file) == std::vector<std::uint32_t>{16});
  const auto tensor = file.view().find("w")->tensor();
  for (std::uint32_t i = 0; i < 2; ++i) {
    BOOST_TEST(tensor->chunk(i)->data()->checksum.value_or(0) == i + 1);
    BOOST_TEST((file.view().file_facts(i) == facts));
  }
}

BOOST_AUTO_TEST_CASE(what_a_rank_does_not_know_is_unknown) {
  const auto file = opened(joined({{16, 1, ChecksumKind::Crc32, {500, 9}}, {}, {24, 2, ChecksumKind::Xxh3}}));
  BOOST_TEST((begins(file) == std::vector<std::uint32_t>{16, kNoDataBegin, 24}));
  const auto tensor = file.view().find("w")->tensor();
  BOOST_TEST((file.view().columns().checksum_kind == ChecksumKind::Crc32));
  BOOST_TEST(tensor->chunk(0)->data()->checksum.value_or(0) == 1U);
  BOOST_TEST(!tensor->chunk(2)->data()->checksum.has_value());  // of another kind
  BOOST_TEST((file.view().file_facts(0) == FileFacts{500, 9}));
  BOOST_TEST((file.view().file_facts(1) == FileFacts{}));
}

BOOST_AUTO_TEST_CASE(of_a_file_of_several_ranks_the_facts_are_those_of_all) {
  const auto merge_facts = [](const FileFacts& a, const FileFacts& b) {
    return joined({{16, 1, ChecksumKind::Xxh3, a, "f"}, {16, 2, ChecksumKind::Xxh3, b, "f"}});
  };
  const auto facts = [](const MetadataFile& file) { return file.view().file_facts(0); };
  const auto same = opened(merge_facts({500, 9, FileFormat::TorchSave}, {500, 9, FileFormat::TorchSave}));
  BOOST_TEST((facts(same) == FileFacts{500, 9, FileFormat::TorchSave}));
  const auto older = opened(merge_facts({500, 9, FileFormat::Archive}, {500, 8, FileFormat::TorchSave}));
  BOOST_TEST((facts(older) == FileFacts{500, 8, FileFormat::Mixed}));
  const auto unknown = opened(merge_facts({60, 9}, {std::nullopt, 9}));  // the other's range ends behind byte 60
  BOOST_TEST((facts(unknown) == FileFacts{std::nullopt, 9}));
  check_conflict(merge_facts({500}, {501}), "data file 'f': rank 1 knows one of 501 bytes, a lower rank one of 500");
}

BOOST_AUTO_TEST_CASE(an_edit_keeps_them) {
  const FileFacts facts{500, 9, FileFormat::TorchSave};
  const auto file = opened(joined({{16, 1, ChecksumKind::Xxh3, facts}, {24, 2, ChecksumKind::Xxh3, facts}}));
  const auto renamed = expect(MetadataFile::from_buffer(
      expect(edit(file.view().columns(), [](std::string_view) { return std::optional<std::string>("other"); }))));
  const auto before = file.view().find("w")->tensor();
  const auto after = renamed.view().find("other")->tensor();
  for (std::uint32_t i = 0; i < 2; ++i) {
    BOOST_TEST(after->chunk(i)->data()->byte_offset == before->chunk(i)->data()->byte_offset);
    BOOST_TEST((after->chunk(i)->data()->checksum == before->chunk(i)->data()->checksum));
    BOOST_TEST((renamed.view().file_facts(i) == facts));
  }
}

BOOST_AUTO_TEST_CASE(data_that_break_a_rule_are_refused) {
  const auto file = opened(joined({{16, 1, ChecksumKind::Xxh3, {50}}, {16, 2, ChecksumKind::Xxh3, {100}}}));
  const auto message = [&](auto&& change) {
    Columns columns = file.view().columns();
    change(columns);
    const auto edited = edit(columns, [](std::string_view fqn) { return std::optional<std::string>(fqn); });
    return edited ? std::string() : to_string(edited.error());
  };
  BOOST_TEST(message([](Columns&) {}) == "");
  const std::uint32_t begin = 43;
  BOOST_TEST(message([&](Columns& c) {
               c.chunk_data_begins = {&begin, 1};
             }) == "entry 0 (FQN 'w'): the data lie outside of the chunk's range (rule E7)");
  const std::uint64_t lengths[] = {49, 100};
  BOOST_TEST(message([&](Columns& c) { c.file_lengths = lengths; }) ==
             "entry 0 (FQN 'w'): the data lie outside of the chunk's range (rule E7)");
  BOOST_TEST(message([](Columns& c) { c.checksum_kind = ChecksumKind::Absent; }) ==
             "the checksums do not fit their kind (rule V13)");
  const std::uint64_t checksums[] = {std::uint64_t{1} << 32, 0};
  BOOST_TEST(message([&](Columns& c) { c.checksum_kind = ChecksumKind::Crc32, c.chunk_checksums = checksums; }) ==
             "the checksums do not fit their kind (rule V13)");
}

BOOST_AUTO_TEST_CASE(a_diff_tells_known_begins_apart) {
  const auto location = [](std::uint32_t a, std::uint32_t b) {
    const auto x = opened(joined({{a}}));
    const auto y = opened(joined({{b}}));
    const auto found = expect(diff(x.view(), y.view(), static_cast<Aspects>(Aspect::Location)));
    return !found.changed.empty();
  };
  BOOST_TEST(location(16, 24));
  BOOST_TEST(!location(16, 16));
  BOOST_TEST(!location(16, kNoDataBegin));
}

BOOST_AUTO_TEST_SUITE_END()
