// Opening: from files, from memory, and what is no metadata file.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "flatpoint/verify.hpp"
#include "support/model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(opening)

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "flatpoint_open_XXXXXX").string();
    BOOST_TEST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::filesystem::path write(const char* name, std::span<const std::byte> bytes) const {
    std::ofstream out(path_ / name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path_ / name;
  }
  [[nodiscard]] std::filesystem::path write(const char* name, const Model& model) const {
    const Buffer bytes = encoded(model);
    return write(name, bytes.bytes());
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Model small() {
  Model model;
  model.entries = {whole("a", {4}), tensor("b", {8}, even_grid({8}, {2}))};
  store_all(model);
  return model;
}

void check_error(const std::filesystem::path& path, ErrorCode code, const char* part) {
  for (const OpenMode mode : {OpenMode::Map, OpenMode::Copy}) {
    const auto file = MetadataFile::open(path, mode);
    BOOST_TEST_REQUIRE(!file.has_value());
    BOOST_TEST(to_string(file.error().code) == to_string(code));
    BOOST_TEST(file.error().message.find(path.string()) == 0U);
    BOOST_TEST(to_string(file.error()).find(part) != std::string::npos, file.error().message);
  }
}

BOOST_AUTO_TEST_CASE(a_file_mapped_or_copied) {
  const Folder folder;
  const Model model = small();
  const auto path = folder.write("x.flatpoint", model);
  for (const OpenMode mode : {OpenMode::Map, OpenMode::Copy}) {
    const auto file = MetadataFile::open(path, mode);
    BOOST_TEST_REQUIRE(file.has_value());
    BOOST_TEST(differences(*file, model).empty());
    BOOST_TEST(file->bytes().size() == std::filesystem::file_size(path));
  }
}

/// Enough names that a mapped file is opened through system calls instead of its pages.
Model large() {
  Model model;
  for (int i = 0; i < 10'000; ++i)
    model.entries.push_back(whole("model.layers." + std::to_string(i) + ".self_attn.q_proj.weight", {8, 4}));
  store_all(model);
  return model;
}

BOOST_AUTO_TEST_CASE(a_large_file_opened_by_calls) {
  const Folder folder;
  const Model model = large();
  const auto path = folder.write("x.flatpoint", model);
  const auto size = std::filesystem::file_size(path);
  BOOST_TEST_REQUIRE(size > 256U * 1024);
  {
    const auto mapped = MetadataFile::open(path);
    BOOST_TEST_REQUIRE(mapped.has_value());
    BOOST_TEST(differences(*mapped, model).empty());
  }
  std::filesystem::resize_file(path, size - 8);
  check_error(path, ErrorCode::Truncated, "F2");
  std::filesystem::resize_file(path, size + 8);
  check_error(path, ErrorCode::Truncated, "F2");
}

BOOST_AUTO_TEST_CASE(a_large_file_that_breaks_its_frame) {
  const Folder folder;
  const Buffer sound = encoded(large());
  const auto broken = [&](std::size_t at, std::uint8_t value) {
    Buffer bytes(sound.size());
    std::memcpy(bytes.mutable_bytes().data(), sound.bytes().data(), bytes.size());
    bytes.mutable_bytes()[at] = static_cast<std::byte>(value);
    return folder.write("broken.flatpoint", bytes.bytes());
  };
  const MetadataFile file = *MetadataFile::from_bytes(sound.bytes());
  const auto length_of = [&](const auto& column) {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(column.data()) - sound.bytes().data()) - 4;
  };
  const Columns& columns = file.view().columns();
  check_error(broken(4, 'X'), ErrorCode::NotFlatpoint, "F1");
  check_error(broken(sound.size() - 16, 0), ErrorCode::Truncated, "F3");
  check_error(broken(3, 0x7F), ErrorCode::Corrupt, "F5");
  check_error(broken(length_of(columns.entries) + 3, 0x7F), ErrorCode::Corrupt, "F5");  // far behind the head
  check_error(broken(length_of(columns.chunk_byte_offsets) + 3, 0x7F), ErrorCode::Corrupt, "F5");
  check_error(broken(length_of(columns.chunk_files), 1), ErrorCode::Corrupt, "F8");
}

BOOST_AUTO_TEST_CASE(a_copy_does_not_see_later_writes) {
  const Folder folder;
  const Model model = small();
  const auto path = folder.write("x.flatpoint", model);
  const auto copy = MetadataFile::open(path, OpenMode::Copy);
  std::filesystem::resize_file(path, 0);
  BOOST_TEST(differences(*copy, model).empty());
}

BOOST_AUTO_TEST_CASE(a_mapped_file_that_was_replaced_stays) {
  const Folder folder;
  const Model model = small();
  const auto path = folder.write("x.flatpoint", model);
  const auto file = MetadataFile::open(path);
  std::filesystem::rename(folder.write("y.flatpoint", Model()), path);
  BOOST_TEST(differences(*file, model).empty());
  const auto again = MetadataFile::open(path);
  BOOST_TEST(again->view().size() == 0U);
}

BOOST_AUTO_TEST_CASE(bytes_in_memory_at_any_address) {
  const Model model = small();
  const Buffer bytes = encoded(model);
  std::vector<std::byte> memory(bytes.size() + 16);
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::memcpy(memory.data() + shift, bytes.bytes().data(), bytes.size());
    const auto file = MetadataFile::from_bytes(std::span(memory).subspan(shift, bytes.size()));
    BOOST_TEST_REQUIRE(file.has_value());
    BOOST_TEST(differences(*file, model).empty());
    BOOST_TEST(verify(*file).sound());
  }
  BOOST_TEST((MetadataFile::from_bytes({}).error().code == ErrorCode::NotFlatpoint));
}

BOOST_AUTO_TEST_CASE(what_is_no_metadata_file) {
  const Folder folder;
  check_error(folder.path() / "nothing", ErrorCode::NotFound, "No such file");
  check_error(folder.path() / "nothing" / "below", ErrorCode::NotFound, "No such file");
  check_error(folder.path(), ErrorCode::Io, "not a regular file");
  check_error(folder.write("empty", std::span<const std::byte>()), ErrorCode::NotFlatpoint, "F1");
  check_error(folder.write("zeros", std::vector<std::byte>(4096)), ErrorCode::NotFlatpoint, "F1");
  BOOST_TEST_REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  check_error(folder.path() / "fifo", ErrorCode::Io, "not a regular file");
  check_error("/dev/null", ErrorCode::Io, "not a regular file");
  const auto file = folder.write("below", small());
  check_error(file / "x", ErrorCode::NotFound, "Not a directory");
}

BOOST_AUTO_TEST_CASE(truncated_and_appended_files) {
  const Folder folder;
  const Buffer sound = encoded(small());
  std::vector<std::byte> bytes(sound.bytes().begin(), sound.bytes().end());
  check_error(folder.write("short", std::span(bytes).first(bytes.size() - 1)), ErrorCode::Truncated, "F2");
  check_error(folder.write("shorter", std::span(bytes).first(20)), ErrorCode::Truncated, "F2");
  bytes.resize(bytes.size() + 8);
  check_error(folder.write("long", bytes), ErrorCode::Truncated, "F2");
  std::vector<std::byte> twice(sound.bytes().begin(), sound.bytes().end());
  twice.insert(twice.end(), sound.bytes().begin(), sound.bytes().end());
  check_error(folder.write("twice", twice), ErrorCode::Truncated, "F3");
}

BOOST_AUTO_TEST_CASE(a_file_beyond_the_limit_is_refused_unread) {
  const Folder folder;
  const auto path = folder.write("large", small());
  std::filesystem::resize_file(path, std::uint64_t{1} << 31);  // sparse
  struct rusage before {};
  ::getrusage(RUSAGE_SELF, &before);
  check_error(path, ErrorCode::TooLarge, "F4");
  struct rusage after {};
  ::getrusage(RUSAGE_SELF, &after);
  BOOST_TEST(after.ru_maxrss - before.ru_maxrss < 100'000);  // KiB
  std::filesystem::resize_file(path, 0);
  std::filesystem::resize_file(path, std::uint64_t{1} << 33);
  check_error(path, ErrorCode::NotFlatpoint, "F1");
}

BOOST_AUTO_TEST_SUITE_END()
