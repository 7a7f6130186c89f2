// Builds a file and publishes it; or opens what is published, again and again, and says what it saw.
//   publish write FOLDER/NAME VERSION [new]     exit 0, or 1 with the error
//   publish read FOLDER/NAME                    until standard input ends; prints each version seen, once, or an error
#include <poll.h>
#include <sys/stat.h>

#include <cstdio>
#include <set>
#include <string>

#include "flatpoint/builder.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/verify.hpp"
#include "flatpoint/write_file.hpp"

using namespace flatpoint;

namespace {

int refuse(const Error& error) {
  std::printf("%s: %s\n", std::string(to_string(error.code)).c_str(), error.message.c_str());
  return 1;
}

int write_one(const char* path, const char* version, bool is_new) {
  auto builder = MetadataBuilder::create();
  if (auto set = builder.set_version(version); !set) return refuse(set.error());
  for (int i = 0; i < 2000; ++i) {
    if (auto added = builder.add_bytes("key." + std::to_string(i)); !added) return refuse(added.error());
  }
  const auto bytes = std::move(builder).finish();
  if (!bytes) return refuse(bytes.error());
  const auto written = write_file(path, bytes->bytes(), is_new ? IfExists::Fail : IfExists::Replace);
  return written ? 0 : refuse(written.error());
}

int read(const char* path) {
  std::set<std::string> seen;
  std::size_t opened = 0;
  for (pollfd input{0, POLLIN, 0}; ::poll(&input, 1, 0) == 0;) {
    const auto file = MetadataFile::open(path);
    if (!file) return refuse(file.error());
    if (!verify(*file).sound()) return std::puts("a broken file"), 1;
    if (seen.emplace(*file->view().version()).second)
      std::puts(seen.size() == 1 ? "reading" : "changed"), std::fflush(stdout);
    ++opened;
  }
  for (const std::string& version : seen) std::printf("version %s\n", version.c_str());
  return opened > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 2 ? argv[1] : "";
  if (verb == "write" && argc >= 4) return write_one(argv[2], argv[3], argc > 4);
  if (verb == "read") return read(argv[2]);
  return 2;
}
