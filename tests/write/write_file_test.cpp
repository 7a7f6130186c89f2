// Publishing a file: whole or not at all, and nothing left lying about. tests/tool/test_write.py makes its system calls
// fail.
#include "flatpoint/write_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(writing)

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "flatpoint_write_XXXXXX").string();
    BOOST_TEST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  /// Its files, sorted, with a space between them.
  [[nodiscard]] std::string names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
    return text;
  }

 private:
  std::filesystem::path path_;
};

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string content(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string error_of(const Result<void>& result) {
  return result ? "none" : std::string(to_string(result.error().code));
}

BOOST_AUTO_TEST_CASE(a_new_file) {
  const Folder folder;
  for (const IfExists if_exists : {IfExists::Replace, IfExists::Fail}) {
    const auto path = folder / (if_exists == IfExists::Fail ? "fail" : "replace");
    BOOST_TEST(error_of(write_file(path, as_bytes("content"), if_exists)) == "none");
    BOOST_TEST(content(path) == "content");
    BOOST_TEST(std::filesystem::hard_link_count(path) == 1U);
  }
  BOOST_TEST(error_of(write_file(folder / "empty", {})) == "none");
  BOOST_TEST(std::filesystem::file_size(folder / "empty") == 0U);
  BOOST_TEST(folder.names() == "empty fail replace");
}

BOOST_AUTO_TEST_CASE(the_mode_is_the_umask_s) {
  const Folder folder;
  const ::mode_t before = ::umask(027);
  const auto written = write_file(folder / "file", as_bytes("x"));
  ::umask(before);
  BOOST_TEST(error_of(written) == "none");
  struct ::stat status {};
  BOOST_TEST_REQUIRE(::stat((folder / "file").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777U) == 0640U);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_there_is_replaced_as_a_whole) {
  const Folder folder;
  BOOST_TEST(error_of(write_file(folder / "file", as_bytes("a longer old content"))) == "none");
  std::filesystem::create_hard_link(folder / "file", folder / "old");
  BOOST_TEST(error_of(write_file(folder / "file", as_bytes("new"))) == "none");
  BOOST_TEST(content(folder / "file") == "new");
  BOOST_TEST(content(folder / "old") == "a longer old content");  // what a reader has open stays
  BOOST_TEST(folder.names() == "file old");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_there_is_kept_on_demand) {
  const Folder folder;
  BOOST_TEST(error_of(write_file(folder / "file", as_bytes("old"))) == "none");
  const auto written = write_file(folder / "file", as_bytes("new"), IfExists::Fail);
  BOOST_TEST_REQUIRE(!written.has_value());
  BOOST_TEST(error_of(written) == "conflict");
  BOOST_TEST(written.error().message.starts_with((folder / "file").string() + ": "));
  BOOST_TEST(content(folder / "file") == "old");
  std::filesystem::create_symlink("nowhere", folder / "link");  // a name is taken, wherever it leads
  BOOST_TEST(error_of(write_file(folder / "link", as_bytes("new"), IfExists::Fail)) == "conflict");
  BOOST_TEST(folder.names() == "file link");
}

BOOST_AUTO_TEST_CASE(a_symbolic_link_is_replaced_not_followed) {
  const Folder folder;
  BOOST_TEST(error_of(write_file(folder / "target", as_bytes("old"))) == "none");
  std::filesystem::create_symlink("target", folder / "link");
  BOOST_TEST(error_of(write_file(folder / "link", as_bytes("new"))) == "none");
  BOOST_TEST(!std::filesystem::is_symlink(folder / "link"));
  BOOST_TEST(content(folder / "link") == "new");
  BOOST_TEST(content(folder / "target") == "old");
}

BOOST_AUTO_TEST_CASE(a_path_without_a_folder_is_in_the_current_one) {
  const Folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  const auto written = write_file("file", as_bytes("content"));
  std::filesystem::current_path(before);
  BOOST_TEST(error_of(written) == "none");
  BOOST_TEST(content(folder / "file") == "content");
}

BOOST_AUTO_TEST_CASE(places_where_no_file_can_be) {
  const Folder folder;
  BOOST_TEST(error_of(write_file(folder / "nothing" / "file", as_bytes("x"))) == "not_found");
  BOOST_TEST(error_of(write_file(folder / "file", as_bytes("x"))) == "none");
  BOOST_TEST(error_of(write_file(folder / "file" / "below", as_bytes("x"))) == "not_found");
  std::filesystem::create_directory(folder / "folder");
  BOOST_TEST(error_of(write_file(folder / "folder", as_bytes("x"))) == "invalid_argument");
  BOOST_TEST(error_of(write_file(folder / "folder", as_bytes("x"), IfExists::Fail)) == "conflict");
  BOOST_TEST(folder.names() == "file folder");
}

BOOST_AUTO_TEST_CASE(a_modification_time_of_its_own) {
  const Folder folder;
  for (const std::int64_t ns : {std::int64_t{1'700'000'000'123'456'789}, std::int64_t{-1}, std::int64_t{0}}) {
    BOOST_TEST(error_of(write_file(folder / "file", as_bytes("x"), IfExists::Replace, ns)) == "none");
    struct ::stat status {};
    BOOST_TEST_REQUIRE(::stat((folder / "file").c_str(), &status) == 0);
    BOOST_TEST(status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec == ns);
  }
}

BOOST_AUTO_TEST_CASE(a_device_is_kept) {
  const Folder folder;
  BOOST_TEST_REQUIRE(::mkfifo((folder / "fifo").c_str(), 0666) == 0);
  BOOST_TEST(error_of(write_file(folder / "fifo", as_bytes("x"))) == "invalid_argument");
  BOOST_TEST(std::filesystem::is_fifo(folder / "fifo"));
  BOOST_TEST(folder.names() == "fifo");
}

BOOST_AUTO_TEST_CASE(many_writers_and_a_reader) {
  const Folder folder;
  const auto path = folder / "file";
  constexpr int kWriters = 4;
  const auto content_of = [](int writer) { return std::string(50'000, static_cast<char>('a' + writer)); };
  BOOST_TEST(error_of(write_file(path, as_bytes(content_of(0)))) == "none");
  int mixed = 0;
  std::vector<int> failed(kWriters, 0);
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0; i < 20; ++i) failed[static_cast<std::size_t>(w)] += !write_file(path, as_bytes(content_of(w)));
      });
    }
    for (int i = 0; i < 100; ++i) {
      const std::string seen = content(path);
      mixed += seen.size() != 50'000 || seen.find_first_not_of(seen[0]) != std::string::npos;
    }
  }
  BOOST_TEST(mixed == 0);
  BOOST_TEST(std::ranges::count(failed, 0) == kWriters);
  BOOST_TEST(folder.names() == "file");
}

BOOST_AUTO_TEST_CASE(of_many_that_want_a_new_file_one_gets_it) {
  const Folder folder;
  std::vector<std::string> results(8);
  {
    std::vector<std::jthread> writers;
    for (std::string& result : results) {
      writers.emplace_back([&] { result = error_of(write_file(folder / "file", as_bytes("x"), IfExists::Fail)); });
    }
  }
  BOOST_TEST(std::ranges::count(results, "none") == 1);
  BOOST_TEST(std::ranges::count(results, "conflict") == 7);
  BOOST_TEST(folder.names() == "file");
}

BOOST_AUTO_TEST_SUITE_END()
