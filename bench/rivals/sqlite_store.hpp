// rivals/sqlite_store.hpp - the same facts in SQLite, as a careful engineer would keep them.
//
// Tables WITHOUT ROWID, clustered by what is looked up; opened immutable (no locks), without mutexes, mapped;
// statements are prepared once.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "flatpoint/metadata_file.hpp"
#include "rivals/record.hpp"

namespace bench {

class SqliteStore {
 public:
  static void build(const flatpoint::MetadataView& metadata, const std::filesystem::path& path);

  explicit SqliteStore(const char* path);
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore();

  bool find(std::string_view fqn, FoundEntry& found);
  bool find(std::string_view fqn, const std::optional<flatpoint::Size>& offset, FoundStorage& found);

 private:
  sqlite3* database_ = nullptr;
  sqlite3_stmt* find_entry_ = nullptr;
  sqlite3_stmt* find_storage_ = nullptr;
};

}  // namespace bench
