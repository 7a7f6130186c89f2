// Many processes over one file: its pages are in memory once, whoever maps them.
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/format.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/write_file.hpp"
#include "support/model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(processes)

/// What the kernel says of a process's mapping of a file, in KiB.
struct Mapped {
  std::uint64_t rss = 0;    // pages that the process has at hand
  std::uint64_t pss = 0;    // its share of them: each page divided by the processes that have it
  std::uint64_t dirty = 0;  // pages of its own
};

Mapped mapping_of(pid_t process, const std::filesystem::path& path) {
  std::ifstream maps(flatpoint::fmt::format("/proc/{}/smaps", process));
  Mapped mapped;
  bool is_ours = false;
  for (std::string line; std::getline(maps, line);) {
    const std::string name = line.substr(0, line.find(' '));
    if (!name.ends_with(':')) is_ours = line.ends_with(path.string());
    if (!is_ours) continue;
    for (const auto& [field, value] :
         {std::pair{"Rss:", &mapped.rss}, {"Pss:", &mapped.pss}, {"Private_Dirty:", &mapped.dirty}}) {
      if (name == field) *value += std::stoull(line.substr(name.size()));
    }
  }
  return mapped;
}

BOOST_AUTO_TEST_CASE(pages_are_shared_by_64_processes) {
  constexpr int kProcesses = 64;
  const auto path = std::filesystem::temp_directory_path() / flatpoint::fmt::format("flatpoint_shared_{}", ::getpid());
  Model model;
  model.opaque = {{OpaqueKind::Attribute, 0, "large", std::string(std::size_t{8} << 20, 'x')}};
  const Buffer bytes = encoded(model);
  BOOST_TEST_REQUIRE(write_file(path, bytes.bytes()).has_value());
  const std::uint64_t size = std::filesystem::file_size(path) / 1024;

  int ready[2] = {};
  int done[2] = {};
  BOOST_TEST_REQUIRE((::pipe(ready) == 0 && ::pipe(done) == 0));
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = children.emplace_back(::fork());
    if (child != 0) continue;
    ::close(done[1]);
    const auto file = MetadataFile::open(path);
    char sum = 0;
    for (const std::byte byte : file ? file->bytes() : std::span<const std::byte>()) sum ^= static_cast<char>(byte);
    static_cast<void>(!::write(ready[1], &sum, 1));
    static_cast<void>(!::read(done[0], &sum, 1));  // ends when the parent closes its end
    _exit(file ? 0 : 1);
  }
  for (int i = 0; i < kProcesses; ++i) {
    char sum = 0;
    BOOST_TEST_REQUIRE(::read(ready[0], &sum, 1) == 1);
  }
  std::uint64_t all = 0;
  for (const pid_t child : children) {
    const Mapped mapped = mapping_of(child, path);
    BOOST_TEST(mapped.rss >= size);
    BOOST_TEST(mapped.dirty == 0U);
    all += mapped.pss;
  }
  BOOST_TEST(all <= size + size / 8, all << " KiB for a file of " << size << " KiB in " << kProcesses << " processes");
  BOOST_TEST_MESSAGE(flatpoint::fmt::format("{} processes share {} KiB: {} KiB together", kProcesses, size, all));

  for (const int end : {done[0], done[1], ready[0], ready[1]}) ::close(end);
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  std::filesystem::remove(path);
}

BOOST_AUTO_TEST_SUITE_END()
