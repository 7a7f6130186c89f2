// Where the data lie, as find_data writes it down, is where PyTorch's values are.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/support.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/verify.hpp"

using namespace flatpoint;

namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(find_data)

namespace {

MetadataFile found_in(const dcp::OpenedCheckpoint& opened, bool checksums, data::FoundData* facts = nullptr) {
  data::FindDataOptions options;
  options.checksums = checksums;
  auto found = data::find_data(opened.file.view(), opened.path.parent_path(), options);
  BOOST_REQUIRE_MESSAGE(found, found.error().message);
  if (facts != nullptr) facts->chunks = found->chunks, facts->not_plain = found->not_plain;
  auto file = MetadataFile::from_buffer(std::move(found->bytes));
  BOOST_REQUIRE(file);
  BOOST_TEST(verify(*file).sound());
  return std::move(*file);
}

/// Of every chunk the bytes, read through the columns alone, beside what the reader takes out of the item.
void compare_chunks(const dcp::OpenedCheckpoint& opened, const MetadataFile& found, const data::FoundData& facts) {
  const auto reader = data::Reader::open(opened);
  std::uint64_t known = 0;
  std::uint64_t unknown = 0;
  for (std::uint32_t i = 0; i < found.view().size(); ++i) {
    const auto tensor = found.view().entry(i)->tensor();
    if (!tensor) continue;
    for (std::uint32_t row = 0; row < tensor->chunk_count(); ++row) {
      const auto chunk = tensor->chunk_by_row(row);
      const auto data = chunk->data();
      const auto located = reader->locate(*tensor, *chunk);
      BOOST_TEST(data.found() == located.has_value());
      data.found() ? ++known : ++unknown;
      if (!data.found() || !located) continue;
      BOOST_TEST((data::ByteRange{data->file, data->byte_offset, data->length} == located->range));
      const std::string file = test::file_bytes(opened.path.parent_path() / *found.view().file_name(data->file));
      const auto bytes = std::as_bytes(std::span(file)).subspan(data->byte_offset, data->length);
      BOOST_REQUIRE(data->checksum.has_value());
      BOOST_TEST(*data->checksum == dcp::content_digest(bytes));
      BOOST_TEST(found.view().file_facts(data->file).length.value_or(0) == file.size());
    }
  }
  BOOST_TEST(known == facts.chunks - facts.not_plain);
  BOOST_TEST(unknown == facts.not_plain);
}

}  // namespace

BOOST_AUTO_TEST_CASE(of_every_sample) {
  std::ifstream file(FLATPOINT_TEST_VALUES);
  const auto values = nlohmann::json::parse(file);
  for (const auto& [name, expected] : values.items()) {
    if (name == "s13_safetensors_fs") continue;  // a test of its own
    BOOST_TEST_CONTEXT(name) {
      const auto opened = test::open_sample(name);
      data::FoundData facts;
      const MetadataFile found = found_in(opened, true, &facts);
      compare_chunks(opened, found, facts);
    }
  }
}

BOOST_AUTO_TEST_CASE(behind_one_header_items_have_no_begin) {
  const auto opened = test::open_sample("s13_safetensors_fs");
  data::FoundData facts;
  const MetadataFile found = found_in(opened, true, &facts);
  BOOST_TEST(facts.not_plain == 2U);
  BOOST_TEST((found.view().file_facts(0).format == FileFormat::Mixed));
}

BOOST_AUTO_TEST_CASE(a_common_begin_is_one_value_and_checksums_are_left_out) {
  const MetadataFile found = found_in(test::open_sample("s01_plain_tensors"), false);
  const Columns& columns = found.view().columns();
  BOOST_TEST(columns.chunk_data_begins.size() == 1U);
  BOOST_TEST(columns.chunk_checksums.empty());
  BOOST_TEST((columns.file_formats[0] == FileFormat::TorchSave));
}

BOOST_AUTO_TEST_CASE(a_file_written_just_now_has_no_time) {
  const test::CopiedSample copy("s01_plain_tensors");
  const auto opened = dcp::open_checkpoint(copy.folder());
  BOOST_REQUIRE(opened);
  const fs::path file = copy.folder() / *opened->file.view().file_name(0);
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(file, now);
  const MetadataFile recent = found_in(*opened, false);
  BOOST_TEST(!recent.view().file_facts(0).modified_ns.has_value());
  fs::last_write_time(file, now - std::chrono::hours(1));
  const MetadataFile old = found_in(*opened, false);
  BOOST_TEST(old.view().file_facts(0).modified_ns.has_value());
}

BOOST_AUTO_TEST_CASE(a_file_of_another_length_is_another_file) {
  const test::CopiedSample copy("s01_plain_tensors");
  const auto opened = dcp::open_checkpoint(copy.folder());
  BOOST_REQUIRE(opened);
  const MetadataFile found = found_in(*opened, false);
  const auto first_tensor = [&] {
    const auto reader = data::Reader::open(found.view(), copy.folder());
    return test::read_whole(*reader, test::tensor_of(found.view(), "w"));
  };
  BOOST_TEST(first_tensor().has_value());
  const std::string name(*found.view().file_name(0));
  std::ofstream(copy.folder() / name, std::ios::app) << '!';
  const auto other = first_tensor();
  BOOST_REQUIRE(!other);
  BOOST_TEST((other.error().code == ErrorCode::Changed));
  BOOST_TEST(other.error().message.find("the metadata knows one of") != std::string::npos, other.error().message);
}

BOOST_AUTO_TEST_CASE(a_missing_or_torn_file_is_an_error) {
  const test::CopiedSample copy("s01_plain_tensors");
  const auto opened = dcp::open_checkpoint(copy.folder());
  BOOST_REQUIRE(opened);
  const fs::path file = copy.folder() / *opened->file.view().file_name(0);
  fs::resize_file(file, fs::file_size(file) / 2);
  const auto torn = data::find_data(opened->file.view(), copy.folder());
  BOOST_REQUIRE(!torn);
  BOOST_TEST(torn.error().message.find("FQN '") == 0U, torn.error().message);
  fs::remove(file);
  const auto missing = data::find_data(opened->file.view(), copy.folder());
  BOOST_REQUIRE(!missing);
  BOOST_TEST((missing.error().code == ErrorCode::NotFound));
}

BOOST_AUTO_TEST_SUITE_END()
