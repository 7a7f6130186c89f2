// Verified open and first find, beside the least that mapping a file costs and beside two databases.
#include <optional>

#include "commands.hpp"
#include "flatpoint/metadata_file.hpp"
#include "rivals/lmdb_store.hpp"
#include "rivals/sqlite_store.hpp"
#include "support/files.hpp"
#include "support/keep.hpp"
#include "support/report.hpp"
#include "support/sample.hpp"

namespace bench {
namespace {

constexpr std::size_t kOpensPerLap = 64;
constexpr std::size_t kWarmLaps = 41;
constexpr std::size_t kColdLaps = 9;

void open_flatpoint(const std::filesystem::path& path, const std::string& fqn) {
  const auto file = flatpoint::MetadataFile::open(path);
  if (!file) die(file.error().message);
  const auto entry = file->view().find(fqn);
  if (!entry) die("a name is missing");
  keep(entry->row().chunk_count);
}

template <class Store>
void open_store(const char* path, const std::string& fqn) {
  Store store(path);
  FoundEntry found;
  if (!store.find(fqn, found)) die("a name is missing");
  keep(found.chunk_count);
}

/// Every contender opens its file and looks a name up; the null case touches two pages.
void add_contenders(Race& race, const Files& files, const std::vector<std::string>& names, std::size_t opens,
                    bool cold) {
  const auto add = [&](const char* contender, const std::filesystem::path& path, auto open_one) {
    const auto prepare = [path] { drop_from_cache(path); };
    race.add(
        contender, opens,
        [&names, opens, open_one, path](std::size_t lap) {
          for (std::size_t i = 0; i < opens; ++i) open_one(path, names[(lap * opens + i) % names.size()]);
        },
        cold ? std::function<void()>(prepare) : nullptr);
  };
  add("flatpoint", files.flatpoint, open_flatpoint);
  add("bare mmap", files.flatpoint,
      [size = std::filesystem::file_size(files.flatpoint)](const auto& path, const std::string& fqn) {
        map_and_touch(path.c_str(), std::hash<std::string>{}(fqn) % size);
      });
  if (!files.lmdb.empty())
    add("LMDB", files.lmdb, [](const auto& path, const auto& fqn) { open_store<LmdbStore>(path.c_str(), fqn); });
  if (!files.sqlite.empty())
    add("SQLite", files.sqlite, [](const auto& path, const auto& fqn) { open_store<SqliteStore>(path.c_str(), fqn); });
}

}  // namespace

void run_open(const std::string& work, const Files& files) {
  std::vector<std::string> names;
  {
    const auto file = flatpoint::MetadataFile::open(files.flatpoint);
    if (!file) die(file.error().message);
    names = make_sample(file->view(), 4096).hits;
  }
  Race cold;
  add_contenders(cold, files, names, 1, true);
  cold.run(kColdLaps);
  print_race(work, "cold", cold);

  for (const auto& path : {files.flatpoint, files.lmdb, files.sqlite}) {
    if (!path.empty()) warm_cache(path);
  }
  Race warm;
  add_contenders(warm, files, names, kOpensPerLap, false);
  warm.run(kWarmLaps);
  print_race(work, "warm", warm);
}

}  // namespace bench
