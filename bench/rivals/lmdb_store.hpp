// rivals/lmdb_store.hpp - the same facts in LMDB, as a careful engineer would keep them.
//
// One unnamed database (a named one costs a look-up more). A record per FQN holds all that is known of it, its chunks
// with their storage information sorted by offset, so that either kind of look-up is one get. Read without locks.
#pragma once

#include <lmdb.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "flatpoint/metadata_file.hpp"
#include "rivals/record.hpp"

namespace bench {

class LmdbStore {
 public:
  static void build(const flatpoint::MetadataView& metadata, const std::filesystem::path& path);

  explicit LmdbStore(const char* path);
  LmdbStore(const LmdbStore&) = delete;
  LmdbStore& operator=(const LmdbStore&) = delete;
  ~LmdbStore();

  bool find(std::string_view fqn, FoundEntry& found) const;
  bool find(std::string_view fqn, const std::optional<flatpoint::Size>& offset, FoundStorage& found) const;

 private:
  bool get(std::string_view key, std::string_view& value) const;

  MDB_env* env_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  MDB_dbi dbi_ = 0;
  mutable std::string_view files_;  // the table of file names, once it was needed
};

}  // namespace bench
