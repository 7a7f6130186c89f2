// Data files that are missing, lie elsewhere, or change while they are read.
#include <fcntl.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <thread>

#include "base/file.hpp"
#include "data/support.hpp"
#include "flatpoint/builder.hpp"

using namespace flatpoint;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(data_files)

namespace {

void overwrite(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

ErrorCode code_of(const Result<std::vector<std::byte>>& read) {
  BOOST_REQUIRE(!read);
  BOOST_TEST_MESSAGE(read.error().message);
  return read.error().code;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_file_that_shrinks_or_is_written_again_is_noticed) {
  const test::CopiedSample copy("s01_plain_tensors");
  const auto opened = dcp::open_checkpoint(copy.folder());
  BOOST_REQUIRE(opened);
  const fs::path file = copy.folder() / "__0_0.distcp";
  const std::string bytes = test::file_bytes(file);
  const TensorView tensor = *opened->file.view().entry(0)->tensor();
  {
    const auto reader = data::Reader::open(*opened);
    BOOST_REQUIRE(test::read_whole(*reader, tensor));
    overwrite(file, bytes);  // in place, as torch saves again
    BOOST_TEST((code_of(test::read_whole(*reader, tensor)) == ErrorCode::Changed));
  }
  {
    const auto reader = data::Reader::open(*opened);
    BOOST_REQUIRE(test::read_whole(*reader, tensor));
    fs::resize_file(file, 100);
    const auto code = code_of(test::read_whole(*reader, tensor));
    BOOST_TEST((code == ErrorCode::Truncated || code == ErrorCode::Changed));
  }
  const auto reader = data::Reader::open(*opened);
  BOOST_TEST((code_of(test::read_whole(*reader, tensor)) == ErrorCode::Truncated));
  fs::remove(file);
  const auto without = data::Reader::open(*opened);
  BOOST_TEST((code_of(test::read_whole(*without, tensor)) == ErrorCode::NotFound));
}

// Times beyond the year 2262 leave 63 bits of nanoseconds. Some file systems cut them.
BOOST_AUTO_TEST_CASE(a_file_of_a_far_future_is_read) {
  const test::CopiedSample copy("s01_plain_tensors");
  const auto opened = dcp::open_checkpoint(copy.folder());
  BOOST_REQUIRE(opened);
  const TensorView tensor = *opened->file.view().entry(0)->tensor();
  const fs::path file = copy.folder() / "__0_0.distcp";
  const timespec times[] = {{0, UTIME_OMIT}, {10'000'000'000, 999'999'999}};
  BOOST_REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
  BOOST_TEST(test::read_whole(*data::Reader::open(*opened), tensor).has_value());
}

// A time that does not fit is none, as for the metadata file.
BOOST_AUTO_TEST_CASE(a_time_that_leaves_63_bits_is_none) {
  struct stat status {};
  status.st_mtim = {10'000'000'000, 999'999'999};
  BOOST_TEST(base::modified_ns_of(status) == 0);
  status.st_mtim = {9'223'372'036, 854'775'807};
  BOOST_TEST(base::modified_ns_of(status) == INT64_MAX);
  status.st_mtim.tv_nsec += 1;
  BOOST_TEST(base::modified_ns_of(status) == 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_replaced_is_noticed_when_it_is_opened_again) {
  const test::CopiedSample copy("s08_multi_file");
  const auto opened = dcp::open_checkpoint(copy.folder());
  BOOST_REQUIRE(opened);
  data::ReaderOptions options;
  options.max_open_files = 1;
  const auto reader = data::Reader::open(*opened, options);
  const MetadataView metadata = opened->file.view();
  std::vector<TensorView> tensors;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    if (const auto tensor = metadata.entry(i)->tensor()) tensors.push_back(*tensor);
  }
  BOOST_REQUIRE(tensors.size() >= 2);
  for (const TensorView& tensor : tensors) BOOST_REQUIRE(test::read_whole(*reader, tensor));
  const fs::path file = copy.folder() / tensors[0].chunk(0)->storage()->relative_path();
  const std::string bytes = test::file_bytes(file);
  fs::rename(file, file.string() + ".old");
  overwrite(file, bytes);
  BOOST_TEST((code_of(test::read_whole(*reader, tensors[0])) == ErrorCode::Changed));
  BOOST_TEST(test::read_whole(*reader, tensors[1]).has_value());
}

BOOST_AUTO_TEST_CASE(what_no_chunk_holds_is_named) {
  auto builder = MetadataBuilder::create();
  const std::uint32_t file = builder.add_file("__0_0.distcp");
  const std::array<std::int64_t, 2> size{4, 4};
  const auto tensor = builder.add_tensor("w", TensorProperties{}, size);
  BOOST_REQUIRE(tensor);
  const std::array<std::int64_t, 2> corner{0, 0};
  const std::array<std::int64_t, 2> part{4, 2};
  BOOST_REQUIRE(builder.add_chunk(*tensor, corner, part, {.file = file, .byte_offset = 0, .length = 2000}));
  auto bytes = std::move(builder).finish();
  BOOST_REQUIRE(bytes);
  const auto metadata = MetadataFile::from_buffer(std::move(*bytes));
  BOOST_REQUIRE(metadata);
  const auto reader = data::Reader::open(metadata->view(), "/nonexistent");
  const auto read = test::read_whole(*reader, test::tensor_of(metadata->view(), "w"));
  BOOST_REQUIRE(!read);
  BOOST_TEST((read.error().code == ErrorCode::Holes));
  BOOST_TEST(read.error().message.find("[0, 2] with sizes [4, 2]") != std::string::npos, read.error().message);
}

BOOST_AUTO_TEST_CASE(a_path_that_leaves_the_folder_is_refused_unless_allowed) {
  const test::CopiedSample copy("s01_plain_tensors");
  fs::create_directory(copy.folder() / "inside");
  for (const std::string& name : {std::string("../__0_0.distcp"), (copy.folder() / "__0_0.distcp").string()}) {
    const auto original = dcp::open_checkpoint(copy.folder());
    BOOST_REQUIRE(original);
    const TensorView saved = *original->file.view().entry(0)->tensor();
    const auto storage = *saved.chunk(0)->storage();
    auto builder = MetadataBuilder::create();
    const std::uint32_t file = builder.add_file(name);
    const auto tensor = builder.add_tensor("w", saved.properties(), saved.size());
    BOOST_REQUIRE(tensor);
    const Size corner(saved.size().size(), 0);
    BOOST_REQUIRE(builder.add_chunk(*tensor, corner, saved.size(),
                                    {.file = file, .byte_offset = storage.byte_offset(), .length = storage.length()}));
    auto bytes = std::move(builder).finish();
    BOOST_REQUIRE(bytes);
    const auto metadata = MetadataFile::from_buffer(std::move(*bytes));
    BOOST_REQUIRE(metadata);
    const TensorView outside = test::tensor_of(metadata->view(), "w");
    const auto refusing = data::Reader::open(metadata->view(), copy.folder() / "inside");
    BOOST_TEST((code_of(test::read_whole(*refusing, outside)) == ErrorCode::Outside));
    data::ReaderOptions options;
    options.allow_outside = true;
    const auto reader = data::Reader::open(metadata->view(), copy.folder() / "inside", options);
    const auto read = test::read_whole(*reader, outside);
    BOOST_REQUIRE_MESSAGE(read, read.error().message);
    BOOST_TEST((*read == *test::read_whole(*data::Reader::open(*original), saved)));
  }
}

BOOST_AUTO_TEST_CASE(many_threads_read_at_once) {
  const auto opened = test::open_sample("d04_fsdp2");
  data::ReaderOptions options;
  options.max_open_files = 2;
  const auto reader = data::Reader::open(opened, options);
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  const MetadataView metadata = opened.file.view();
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::uint32_t i = 0; i < metadata.size(); ++i) {
        const auto tensor = metadata.entry(i)->tensor();
        if (tensor && !test::read_whole(*reader, *tensor, {.threads = 2, .stop = {}})) ++wrong;
      }
    });
  }
  threads.clear();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(reading_stops_when_it_is_told_to) {
  const auto opened = test::open_sample("s01_plain_tensors");
  const auto reader = data::Reader::open(opened);
  std::stop_source stop;
  stop.request_stop();
  const auto read = test::read_whole(*reader, *opened.file.view().entry(0)->tensor(), {.stop = stop.get_token()});
  BOOST_REQUIRE(!read);
  BOOST_TEST(read.error().message.find("stopped") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_box_outside_the_tensor_is_refused) {
  const auto opened = test::open_sample("d01_dtensor_1d");
  const auto reader = data::Reader::open(opened);
  const MetadataView metadata = opened.file.view();
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto tensor = metadata.entry(i)->tensor();
    if (!tensor || tensor->size().empty()) continue;
    Size offsets(tensor->size().size(), 0);
    Size sizes(tensor->size().begin(), tensor->size().end());
    ++offsets[0];
    const auto read = reader->read(*tensor, offsets, sizes, {});
    BOOST_REQUIRE(!read);
    BOOST_TEST((read.error().code == ErrorCode::InvalidArgument));
  }
}

BOOST_AUTO_TEST_SUITE_END()
