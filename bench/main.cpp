#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "flatpoint/metadata_file.hpp"
#include "rivals/lmdb_store.hpp"
#include "rivals/sqlite_store.hpp"
#include "support/files.hpp"

namespace bench {

void build_stores(const Files& files) {
  const auto file = flatpoint::MetadataFile::open(files.flatpoint);
  if (!file) die(file.error().message);
  LmdbStore::build(file->view(), files.lmdb);
  SqliteStore::build(file->view(), files.sqlite);
}

}  // namespace bench

namespace {

[[noreturn]] void usage() {
  std::fputs(
      "usage: flatpoint_bench open|find|index WORK FLATPOINT [LMDB SQLITE]\n"
      "       flatpoint_bench convert PICKLE FLATPOINT\n"
      "       flatpoint_bench stores FLATPOINT LMDB SQLITE\n"
      "       flatpoint_bench import PICKLE            (a line of input is an import)\n"
      "       flatpoint_bench compare FLATPOINT PICKLE (likewise: is the one imported from the other?)\n"
      "       flatpoint_bench open-memory FLATPOINT\n",
      stderr);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  const auto count = arguments.size();
  if (count == 0) usage();
  const std::string_view command = arguments[0];
  const auto files = [&](std::size_t at) {
    return bench::Files{arguments[at], count > at + 1 ? arguments[at + 1] : "",
                        count > at + 2 ? arguments[at + 2] : ""};
  };
  const bool is_measurement = count == 3 || count == 5;
  if (command == "open" && is_measurement)
    bench::run_open(std::string(arguments[1]), files(2));
  else if (command == "find" && is_measurement)
    bench::run_find(std::string(arguments[1]), files(2));
  else if (command == "index" && is_measurement)
    bench::run_index(std::string(arguments[1]), files(2));
  else if (command == "convert" && count == 3)
    bench::convert(arguments[1], arguments[2]);
  else if (command == "stores" && count == 4)
    bench::build_stores(files(1));
  else if (command == "import" && count == 2)
    bench::serve_imports(arguments[1]);
  else if (command == "compare" && count == 3)
    bench::serve_comparisons(arguments[1], arguments[2]);
  else if (command == "open-memory" && count == 2)
    bench::print_open_memory(arguments[1]);
  else
    usage();
  return 0;
}
