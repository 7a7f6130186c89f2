// Where data begin, their checksums, and what the data files were like: what a builder was told is in the file, in its
// shortest form.
#include "flatpoint/builder.hpp"
#include "flatpoint/verify.hpp"
#include "write/checkpoints.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

using Values = std::vector<std::int64_t>;

/// Chunks of 2 float32 in one tensor, 100 bytes each.
struct DataFixture {
  MetadataBuilder builder = MetadataBuilder::create();
  std::uint32_t file = builder.add_file("f");
  TensorId tensor = expect(builder.add_tensor("t", {}, Values{8}));

  Result<void> chunk(std::int64_t number, std::uint32_t begin, std::uint64_t checksum = kNoChecksum,
                     std::uint16_t transforms = 0) {
    return builder.add_chunk(tensor, Values{2 * number}, Values{2},
                             {.file = file,
                              .byte_offset = 100 * static_cast<std::uint64_t>(number),
                              .length = 100,
                              .transforms = transforms,
                              .data_begin = begin,
                              .checksum = checksum});
  }
  MetadataFile finish() {
    auto out = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
    BOOST_TEST(verify(out).sound());
    return out;
  }
};

void check_refused(const Result<void>& result, ErrorCode code, std::string_view message) {
  BOOST_REQUIRE(!result.has_value());
  BOOST_TEST(to_string(result.error().code) == to_string(code));
  BOOST_TEST(result.error().message == message);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(builder_data, DataFixture)

BOOST_AUTO_TEST_CASE(equal_begins_are_one_value) {
  expect(chunk(1, 64)), expect(chunk(0, 64));
  expect(builder.add_bytes("step", {.file = file, .byte_offset = 500, .length = 9}));
  const auto out = finish();
  const Columns& c = out.view().columns();
  BOOST_TEST(std::vector(c.chunk_data_begins.begin(), c.chunk_data_begins.end()) == std::vector<std::uint32_t>{64});
  BOOST_TEST(c.chunk_checksums.empty());
  BOOST_TEST((c.checksum_kind == ChecksumKind::Absent));
  BOOST_TEST(c.file_lengths.empty());
  const auto data = out.view().find("t")->tensor()->chunk(1)->data();
  BOOST_REQUIRE(data.found());
  BOOST_TEST(data->byte_offset == 164U);
  BOOST_TEST(data->length == 8U);
}

BOOST_AUTO_TEST_CASE(other_begins_are_a_column) {
  expect(chunk(2, kNoDataBegin)), expect(chunk(1, 0, 7)), expect(chunk(0, 64));
  expect(builder.add_bytes("a", {.file = file, .length = 9, .data_begin = 5, .checksum = 6}));
  expect(builder.set_checksum_kind(ChecksumKind::Crc32));
  expect(builder.set_file_facts(file, {1000, 12, FileFormat::TorchSave}));
  const auto out = finish();
  const Columns& c = out.view().columns();
  BOOST_TEST((std::vector(c.chunk_data_begins.begin(), c.chunk_data_begins.end()) ==
              std::vector<std::uint32_t>{kNoDataBegin, 64, 0, kNoDataBegin}));
  BOOST_TEST((std::vector(c.chunk_checksums.begin(), c.chunk_checksums.end()) ==
              std::vector<std::uint64_t>{kNoChecksum, kNoChecksum, 7, kNoChecksum}));
  BOOST_TEST((c.checksum_kind == ChecksumKind::Crc32));
  BOOST_TEST((out.view().file_facts(0) == FileFacts{1000, 12, FileFormat::TorchSave}));
  BOOST_TEST(out.view().find("t")->tensor()->chunk(2)->data().absent());
}

BOOST_AUTO_TEST_CASE(an_unknown_begin_beside_a_known_one_is_no_common_value) {
  expect(chunk(0, 64)), expect(chunk(1, kNoDataBegin));
  const auto out = finish();
  BOOST_TEST(out.view().columns().chunk_data_begins.size() == 2U);
}

BOOST_AUTO_TEST_CASE(nothing_known_leaves_no_column) {
  expect(chunk(0, kNoDataBegin));
  expect(builder.set_file_facts(file, {}));
  const auto out = finish();
  const Columns& c = out.view().columns();
  BOOST_TEST((c.chunk_data_begins.empty() && c.chunk_checksums.empty() && c.file_formats.empty()));
}

BOOST_AUTO_TEST_CASE(data_outside_their_range_are_refused) {
  check_refused(chunk(0, 93), ErrorCode::InvalidArgument,
                "FQN 't': data of sizes [2] that begin 93 bytes into a range of 100 bytes at 0 end outside");
  expect(chunk(0, 92));
  const std::string_view zstd = "stream.zstd";
  const auto list = expect(builder.add_transforms({&zstd, 1}));
  check_refused(chunk(1, 0, kNoChecksum, list), ErrorCode::InvalidArgument,
                "FQN 't': data that are transformed have no begin");
  check_refused(builder.set_file_facts(7, {}), ErrorCode::InvalidArgument, "file 7 is unknown: there are 1");
  expect(builder.set_file_facts(file, {99}));
  check_refused(builder.set_file_facts(file, {100}), ErrorCode::Conflict, "the facts of data file 'f' are set twice");
  const auto bytes = std::move(builder).finish();
  BOOST_REQUIRE(!bytes.has_value());
  BOOST_TEST(bytes.error().message == "data file 'f' has 99 bytes, a range of 100 bytes at 0 ends outside");
}

BOOST_AUTO_TEST_CASE(a_crc_32_has_32_bits) {
  expect(builder.set_checksum_kind(ChecksumKind::Crc32));
  BOOST_TEST(!builder.set_checksum_kind(ChecksumKind::Xxh3).has_value());
  expect(chunk(0, 0, std::uint64_t{1} << 32));
  const auto bytes = std::move(builder).finish();
  BOOST_REQUIRE(!bytes.has_value());
  BOOST_TEST(bytes.error().message == "100000000 is no CRC-32: it has more than 32 bits");
}

BOOST_AUTO_TEST_CASE(a_chunk_that_shares_its_key_has_no_data_of_its_own) {
  auto lenient = MetadataBuilder::create(Checks::Preserve);
  const std::uint32_t in = lenient.add_file("f");
  const auto id = expect(lenient.add_tensor("t", {}, Values{4}));
  expect(lenient.add_chunk(id, Values{0}, Values{4}, {.file = in, .length = 100, .data_begin = 64, .checksum = 5}));
  expect(lenient.add_chunk(id, Values{0}, Values{0}, {.file = in, .length = 100, .data_begin = 64, .checksum = 6}));
  const auto out = expect(MetadataFile::from_buffer(expect(std::move(lenient).finish())));
  const auto one = out.view().find("t")->tensor();
  for (std::uint32_t i = 0; i < 2; ++i) {
    const auto data = one->chunk(i)->data();
    BOOST_TEST(data.found() == (one->chunk(i)->size(0) == 4));
    if (data.found()) BOOST_TEST(data->checksum.value_or(0) == 5U);
  }
}

BOOST_AUTO_TEST_SUITE_END()
