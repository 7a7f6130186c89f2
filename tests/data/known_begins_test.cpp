// Reading by begins that the metadata knows: nothing else is read where the file is the recorded one, and no other file
// gives bytes without a word.
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>
#include <fstream>

#include "data/support.hpp"
#include "flatpoint/builder.hpp"
#include "flatpoint/source.hpp"

using namespace flatpoint;
namespace fs = std::filesystem;

namespace {

/// A copy of a sample, its files an hour old, and the metadata that knows where their data begin.
struct KnownSample {
  explicit KnownSample(bool checksums = false) {
    set_times(kThen);
    const auto opened = dcp::open_checkpoint(copy.folder());
    BOOST_REQUIRE(opened);
    data::FindDataOptions options;
    options.checksums = checksums;
    auto found = data::find_data(opened->file.view(), copy.folder(), options);
    BOOST_REQUIRE_MESSAGE(found, found.error().message);
    auto made = MetadataFile::from_buffer(std::move(found->bytes));
    BOOST_REQUIRE(made);
    metadata.emplace(std::move(*made));
    path = copy.folder() / *metadata->view().file_name(0);
  }

  void set_times(fs::file_time_type time) const {
    for (const auto& entry : fs::directory_iterator(copy.folder())) fs::last_write_time(entry, time);
  }
  [[nodiscard]] TensorView tensor(std::string_view fqn = "w") const { return test::tensor_of(metadata->view(), fqn); }
  [[nodiscard]] ChunkView chunk() const { return *tensor().chunk(0); }
  Result<std::vector<std::byte>> read(const data::ReadOptions& options = {}) const {
    return test::read_whole(*data::Reader::open(metadata->view(), copy.folder()), tensor(), options);
  }
  [[nodiscard]] std::optional<std::uint32_t> crc_of_item() const {
    const auto opened = dcp::open_checkpoint(copy.folder());  // which knows nothing but the items
    const TensorView saved = test::tensor_of(opened->file.view(), "w");
    return data::Reader::open(*opened)->locate(saved, *saved.chunk(0))->crc32;
  }
  /// Writes over bytes of the data file, and leaves it with a time.
  void write(std::uint64_t at, std::string_view bytes, fs::file_time_type time) const {
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(static_cast<std::streamoff>(at)) << bytes;
    fs::last_write_time(path, time);
  }

  const fs::file_time_type kThen = fs::file_time_type::clock::now() - std::chrono::hours(1);
  test::CopiedSample copy{"s01_plain_tensors"};
  std::optional<MetadataFile> metadata;
  fs::path path;
};

/// Notes what is asked for.
class NotedRanges final : public data::RangeReader {
 public:
  explicit NotedRanges(const fs::path& folder) : files_(folder) {}
  Result<void> read(std::string_view relative_path, std::span<const Request> batch) override {
    for (const Request& request : batch) asked.emplace_back(request.offset, request.to.size());
    return files_.read(relative_path, batch);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> asked;

 private:
  test::MemoryFiles files_;
};

void check_refused(const Result<std::vector<std::byte>>& read, ErrorCode code, std::string_view part) {
  BOOST_REQUIRE(!read);
  BOOST_TEST((read.error().code == code), read.error().message);
  BOOST_TEST(read.error().message.find(part) != std::string::npos, read.error().message);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(known_begins)

BOOST_FIXTURE_TEST_CASE(nothing_but_the_elements_is_read, KnownSample) {
  const auto data = *chunk().data();
  const auto ranges = std::make_shared<NotedRanges>(copy.folder());
  const auto reader = data::Reader::open(metadata->view(), "/nonexistent", {.ranges = ranges});
  const auto bytes = test::read_whole(*reader, tensor());
  BOOST_REQUIRE(bytes);
  BOOST_TEST((ranges->asked == std::vector{std::pair(data.byte_offset, data.length)}));
  BOOST_TEST((*bytes == *read()));
  const auto located = reader->locate(tensor(), chunk());
  BOOST_REQUIRE(located);
  BOOST_TEST((located->range == data::ByteRange{data.file, data.byte_offset, data.length}));
  BOOST_TEST(ranges->asked.size() == 1U);
}

BOOST_FIXTURE_TEST_CASE(the_head_of_an_item_is_asked_where_the_file_has_another_time, KnownSample) {
  const auto bytes = *read();
  const std::uint64_t head = chunk().storage()->byte_offset();
  const std::string garbage(32, '!');
  write(head, garbage, kThen);
  BOOST_TEST((read() == bytes));  // as recorded: nobody looks there
  write(head, garbage, kThen + std::chrono::seconds(1));
  BOOST_TEST(!read());
  const KnownSample other;
  fs::last_write_time(other.path, kThen + std::chrono::seconds(1));
  BOOST_TEST((other.read() == bytes));
}

BOOST_FIXTURE_TEST_CASE(the_head_of_an_item_is_asked_where_no_time_is_recorded, KnownSample) {
  set_times(fs::file_time_type::clock::now() + std::chrono::hours(1));
  const auto opened = dcp::open_checkpoint(copy.folder());
  const auto found = data::find_data(opened->file.view(), copy.folder());
  BOOST_REQUIRE(found);
  metadata.emplace(*MetadataFile::from_bytes(found->bytes.bytes()));
  BOOST_TEST(!metadata->view().file_facts(0).modified_ns.has_value());
  BOOST_TEST(read().has_value());
  write(chunk().storage()->byte_offset(), std::string(32, '!'), kThen);
  BOOST_TEST(!read());
}

/// A chunk at another place of an item of the same length: what a folder that is saved again may have.
BOOST_FIXTURE_TEST_CASE(data_that_begin_elsewhere_are_a_change, KnownSample) {
  auto builder = MetadataBuilder::create();
  const std::uint32_t file = builder.add_file(path.filename().string());
  const auto id = builder.add_tensor("w", tensor().properties(), tensor().size());
  const auto storage = *chunk().storage();
  const Size corner(tensor().size().size(), 0);
  BOOST_REQUIRE(builder.add_chunk(
      *id, corner, tensor().size(),
      {.file = file, .byte_offset = storage.byte_offset(), .length = storage.length(), .data_begin = 64}));
  auto bytes = std::move(builder).finish();
  BOOST_REQUIRE(bytes);
  metadata.emplace(*MetadataFile::from_buffer(std::move(*bytes)));
  check_refused(read(), ErrorCode::Changed, "the metadata says 64");
}

BOOST_FIXTURE_TEST_CASE(raw_bytes_without_a_recorded_time_are_refused, KnownSample) {
  const std::string elements(static_cast<std::size_t>(chunk().data()->length), '\7');
  std::ofstream(copy.folder() / "raw", std::ios::binary) << elements;
  fs::last_write_time(copy.folder() / "raw", kThen);
  struct stat status {};
  BOOST_REQUIRE(::stat((copy.folder() / "raw").c_str(), &status) == 0);
  const std::int64_t time = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  const Size corner(tensor().size().size(), 0);
  const auto properties = tensor().properties();
  const Size size(tensor().size().begin(), tensor().size().end());
  for (const bool is_recorded : {true, false}) {
    auto builder = MetadataBuilder::create();
    const std::uint32_t file = builder.add_file("raw");
    const auto id = builder.add_tensor("w", properties, size);
    BOOST_REQUIRE(builder.add_chunk(*id, corner, size, {.file = file, .length = elements.size(), .data_begin = 0}));
    if (is_recorded) BOOST_REQUIRE(builder.set_file_facts(file, {elements.size(), time}));
    metadata.emplace(*MetadataFile::from_buffer(*std::move(builder).finish()));
    const auto bytes = read();
    BOOST_TEST(bytes.has_value() == is_recorded);
    if (bytes) BOOST_TEST((std::memcmp(bytes->data(), elements.data(), elements.size()) == 0));
  }
}

BOOST_AUTO_TEST_CASE(checksums_of_the_metadata_are_compared) {
  const KnownSample sample(true);
  const auto data = *sample.chunk().data();
  const auto located =
      data::Reader::open(sample.metadata->view(), sample.copy.folder())->locate(sample.tensor(), sample.chunk());
  BOOST_REQUIRE(located);
  BOOST_TEST((located->xxh3 == data.checksum));
  const data::ReadOptions verified{.verify = true, .stop = {}};
  BOOST_TEST(sample.read(verified).has_value());
  sample.write(data.byte_offset, "flip", sample.kThen);
  BOOST_TEST(sample.read().has_value());
  check_refused(sample.read(verified), ErrorCode::Checksum, "XXH3-64");
}

/// torch leaves a CRC of 0 where it was told to compute none.
BOOST_AUTO_TEST_CASE(an_item_without_a_crc_is_checked_by_the_metadata) {
  for (const bool checksums : {false, true}) {
    KnownSample sample(checksums);
    const auto data = *sample.chunk().data();
    const auto storage = *sample.chunk().storage();
    std::string item = test::file_bytes(sample.path).substr(storage.byte_offset(), storage.length());
    const auto reader = [&] { return data::Reader::open(sample.metadata->view(), sample.copy.folder()); };
    const std::uint32_t crc = *sample.crc_of_item();
    const std::string_view crc_bytes(reinterpret_cast<const char*>(&crc), sizeof crc);
    std::size_t found = 0;
    for (std::size_t at = 0; (at = item.find(crc_bytes, at)) != std::string::npos; ++found)
      item.replace(at, 4, 4, '\0');
    BOOST_REQUIRE(found >= 1U);
    sample.write(storage.byte_offset(), item, sample.kThen);
    BOOST_TEST((reader()->check(sample.tensor(), sample.chunk(), true) == checksums));
    sample.write(data.byte_offset, "flip", sample.kThen);
    const auto checked = reader()->check(sample.tensor(), sample.chunk(), true);
    BOOST_TEST(checked.has_value() == !checksums);
    if (!checked) BOOST_TEST((checked.error().code == ErrorCode::Checksum));
  }
}

BOOST_FIXTURE_TEST_CASE(a_file_of_another_length_is_named_before_it_is_read, KnownSample) {
  std::ofstream(path, std::ios::app) << '!';
  const auto report = data::check_files(metadata->view(), copy.folder());
  BOOST_REQUIRE(report);
  BOOST_REQUIRE(report->broken.size() == 1U);
  BOOST_TEST(report->broken[0].kind == "changed");
}

BOOST_AUTO_TEST_SUITE_END()
