// Look-ups in open files, beside hash maps in memory and two databases.
#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <optional>
#include <unordered_map>

#define XXH_INLINE_ALL
#include <xxhash.h>

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

constexpr std::size_t kFindsPerLap = 8192;
constexpr std::size_t kLaps = 31;
constexpr std::size_t kIndexes = 20'000;  // as many as rivals/unpickle.py is asked for

/// The standard's hash; transparent, so that a look-up takes a string_view and allocates nothing.
struct StandardHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

/// flatpoint's own hash. Its bits need no mixing, which boost is told.
struct Xxh3Hash {
  using is_transparent = void;
  using is_avalanching = void;
  std::size_t operator()(std::string_view text) const noexcept { return XXH3_64bits(text.data(), text.size()); }
};

// The value is what a look-up in flatpoint shows: the row.
using StandardMap = std::unordered_map<std::string, flatpoint::EntryRow, StandardHash, std::equal_to<>>;
using FlatMap = boost::unordered_flat_map<std::string, flatpoint::EntryRow, Xxh3Hash, std::equal_to<>>;

template <class Map>
Map fill(const flatpoint::MetadataView& metadata) {
  Map map;
  map.reserve(metadata.size());
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry_in_dcp_order(i);
    map.emplace(std::string(entry->fqn()), entry->row());
  }
  return map;
}

/// Asks for a lap's share of the queries. `find` returns whether something was found.
template <class Queries, class Find>
void ask(Race& race, const char* contender, const Queries& queries, bool wanted, Find find) {
  race.add(contender, kFindsPerLap, [&queries, find, wanted](std::size_t lap) {
    std::size_t found = 0;
    std::size_t at = lap * kFindsPerLap % queries.size();
    for (std::size_t i = 0; i < kFindsPerLap; ++i) {
      found += find(queries[at]);
      if (++at == queries.size()) at = 0;
    }
    if (found != (wanted ? kFindsPerLap : 0)) die("a look-up gave the wrong answer");
  });
}

struct Stores {
  explicit Stores(const Files& files) {
    if (!files.lmdb.empty()) lmdb.emplace(files.lmdb.c_str());
    if (!files.sqlite.empty()) sqlite.emplace(files.sqlite.c_str());
  }
  std::optional<LmdbStore> lmdb;
  std::optional<SqliteStore> sqlite;
};

/// Runs a find once over every query, so that a mapped file's pages are there.
template <class Queries, class Find>
void touch(const Queries& queries, Find find) {
  for (const auto& query : queries) keep(find(query));
}

}  // namespace

void run_find(const std::string& work, const Files& files) {
  const auto file = flatpoint::MetadataFile::open(files.flatpoint);
  if (!file) die(file.error().message);
  const auto view = file->view();
  const Sample sample = make_sample(view, std::clamp<std::size_t>(view.size(), kFindsPerLap, 1 << 17));
  const auto standard = fill<StandardMap>(view);
  const auto flat = fill<FlatMap>(view);
  Stores stores(files);

  const auto in_flatpoint = [view](std::string_view fqn) {
    const auto entry = view.find(fqn);
    if (!entry) return false;
    keep(entry->row().chunk_count);
    return true;
  };
  const auto in_map = [](const auto& map) {
    return [&map](std::string_view fqn) {
      const auto entry = map.find(fqn);
      if (entry == map.end()) return false;
      keep(entry->second.chunk_count);
      return true;
    };
  };
  const auto in_store = [](auto& store) {
    return [&store](std::string_view fqn) {
      FoundEntry found;
      if (!store->find(fqn, found)) return false;
      keep(found.chunk_count);
      return true;
    };
  };
  touch(sample.hits, in_flatpoint);
  if (stores.lmdb) touch(sample.hits, in_store(stores.lmdb));
  for (const bool hits : {true, false}) {
    Race race;
    const auto& queries = hits ? sample.hits : sample.misses;
    ask(race, "flatpoint", queries, hits, in_flatpoint);
    ask(race, "std::unordered_map", queries, hits, in_map(standard));
    ask(race, "boost::unordered_flat_map", queries, hits, in_map(flat));
    if (stores.lmdb) ask(race, "LMDB", queries, hits, in_store(stores.lmdb));
    if (stores.sqlite) ask(race, "SQLite", queries, hits, in_store(stores.sqlite));
    race.run(kLaps);
    print_race(work + (hits ? " hit" : " miss"), "warm", race);
  }
}

void run_index(const std::string& work, const Files& files) {
  const auto file = flatpoint::MetadataFile::open(files.flatpoint);
  if (!file) die(file.error().message);
  const auto view = file->view();
  const Sample sample = make_sample(view, kIndexes);
  Stores stores(files);
  const auto in_flatpoint = [view](const flatpoint::MetadataIndex& index) {
    const auto storage = view.find(index);
    if (!storage) return false;
    keep(storage->byte_offset() + storage->relative_path().size());
    return true;
  };
  const auto in_store = [](auto& store) {
    return [&store](const flatpoint::MetadataIndex& index) {
      FoundStorage found;
      if (!store->find(index.fqn, index.offset, found)) return false;
      keep(found.offset + found.relative_path.size());
      return true;
    };
  };
  touch(sample.indexes, in_flatpoint);
  if (stores.lmdb) touch(sample.indexes, in_store(stores.lmdb));
  Race race;
  ask(race, "flatpoint", sample.indexes, true, in_flatpoint);
  if (stores.lmdb) ask(race, "LMDB", sample.indexes, true, in_store(stores.lmdb));
  if (stores.sqlite) ask(race, "SQLite", sample.indexes, true, in_store(stores.sqlite));
  race.run(kLaps);
  print_race(work, "warm", race);
}

}  // namespace bench
