#include "rivals/sqlite_store.hpp"

#include <cstring>
#include <span>

#include "support/files.hpp"

namespace bench {
namespace {

using namespace flatpoint;

void check(sqlite3* database, int status, const char* call) {
  if (status == SQLITE_OK || status == SQLITE_ROW || status == SQLITE_DONE) return;
  die(std::string("sqlite: ") + call + ": " + sqlite3_errmsg(database));
}

void execute(sqlite3* database, const char* sql) {
  check(database, sqlite3_exec(database, sql, nullptr, nullptr, nullptr), sql);
}

sqlite3_stmt* prepare(sqlite3* database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  check(database, sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr), sql);
  return statement;
}

/// Binds a statement's values in order and steps it.
class Inserter {
 public:
  Inserter(sqlite3* database, const char* sql) : database_(database), statement_(prepare(database, sql)) {}
  Inserter(const Inserter&) = delete;
  Inserter& operator=(const Inserter&) = delete;
  ~Inserter() { sqlite3_finalize(statement_); }

  template <class... Values>
  void operator()(const Values&... values) {
    int at = 0;
    (bind(++at, values), ...);
    check(database_, sqlite3_step(statement_), "insert");
    sqlite3_reset(statement_);
  }

 private:
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(statement_, at, value); }
  void bind(int at, std::string_view text) {
    sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }
  void bind(int at, std::span<const std::int64_t> values) {
    // A null pointer would bind NULL; no dimensions are an empty blob.
    sqlite3_bind_blob(statement_, at, values.empty() ? "" : static_cast<const void*>(values.data()),
                      static_cast<int>(values.size_bytes()), SQLITE_TRANSIENT);
  }

  sqlite3* database_;
  sqlite3_stmt* statement_;
};

constexpr const char* kSchema = R"(
  PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
  CREATE TABLE entry(fqn TEXT PRIMARY KEY, id INTEGER, dcp_position INTEGER, type INTEGER, dtype INTEGER, layout INTEGER,
    memory_format INTEGER, requires_grad INTEGER, pin_memory INTEGER, ndim INTEGER, chunk_count INTEGER, size BLOB, strides BLOB,
    path INTEGER) WITHOUT ROWID;
  CREATE TABLE chunk(entry INTEGER, offsets BLOB, sizes BLOB, dcp_position INTEGER, file INTEGER, offset INTEGER, length INTEGER,
    PRIMARY KEY(entry, offsets)) WITHOUT ROWID;
  CREATE TABLE bytes(entry INTEGER PRIMARY KEY, file INTEGER, offset INTEGER, length INTEGER);
  CREATE TABLE file(id INTEGER PRIMARY KEY, relative_path TEXT);
  CREATE TABLE path_element(id INTEGER PRIMARY KEY, components INTEGER, is_index INTEGER);
  CREATE TABLE path(id INTEGER PRIMARY KEY, element_end INTEGER);
  CREATE TABLE meta(version TEXT, checkpoint_id TEXT, save_id TEXT);
  BEGIN;
)";

constexpr const char* kFindEntry = "SELECT chunk_count, type, dtype, ndim FROM entry WHERE fqn = ?1";
constexpr const char* kFindStorage =
    "SELECT file.relative_path, chunk.offset, chunk.length FROM entry CROSS JOIN chunk CROSS JOIN file "
    "WHERE entry.fqn = ?1 AND chunk.entry = entry.id AND chunk.offsets = ?2 AND file.id = chunk.file";

void insert_small_tables(sqlite3* database, const MetadataView& metadata) {
  Inserter file(database, "INSERT INTO file VALUES(?, ?)");
  for (std::uint32_t i = 0; i < metadata.file_count(); ++i) file(std::int64_t{i}, *metadata.file_name(i));
  Inserter element(database, "INSERT INTO path_element VALUES(?, ?, ?)");
  const Columns& columns = metadata.columns();
  for (std::size_t i = 0; i < columns.path_elements.size(); ++i) {
    element(static_cast<std::int64_t>(i), std::int64_t{columns.path_elements[i].components},
            std::int64_t{columns.path_elements[i].is_index});
  }
  Inserter path(database, "INSERT INTO path VALUES(?, ?)");
  for (std::size_t i = 0; i < columns.path_ends.size(); ++i)
    path(static_cast<std::int64_t>(i), std::int64_t{columns.path_ends[i]});
  const auto meta = metadata.storage_meta();
  Inserter(database, "INSERT INTO meta VALUES(?, ?, ?)")(metadata.version().value_or(""),
                                                         meta ? meta->checkpoint_id().value_or("") : "",
                                                         meta ? meta->save_id().value_or("") : "");
}

void insert_entries(sqlite3* database, const MetadataView& metadata) {
  Inserter insert_entry(database, "INSERT INTO entry VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  Inserter insert_chunk(database, "INSERT INTO chunk VALUES(?, ?, ?, ?, ?, ?, ?)");
  Inserter insert_bytes(database, "INSERT INTO bytes VALUES(?, ?, ?, ?)");
  std::vector<std::int64_t> dcp_position(metadata.size());
  for (std::uint32_t i = 0; i < metadata.size(); ++i) dcp_position[metadata.entry_in_dcp_order(i)->position()] = i;
  for (std::uint32_t id = 0; id < metadata.size(); ++id) {
    const auto entry = *metadata.entry(id);
    const EntryRow& row = entry.row();
    const TensorPropertiesRow& p = row.properties;
    const auto tensor = entry.tensor();
    const Size strides = tensor ? tensor->properties().strides.value_or(Size()) : Size();
    const auto& paths = metadata.columns().fqn_paths;
    insert_entry(entry.fqn(), std::int64_t{id}, dcp_position[id], static_cast<std::int64_t>(row.storage_type),
                 static_cast<std::int64_t>(p.dtype), static_cast<std::int64_t>(p.layout),
                 static_cast<std::int64_t>(p.memory_format), std::int64_t{p.requires_grad}, std::int64_t{p.pin_memory},
                 std::int64_t{row.ndim}, std::int64_t{row.chunk_count},
                 tensor ? tensor->size() : std::span<const std::int64_t>(), std::span<const std::int64_t>(strides),
                 std::int64_t{paths.empty() ? std::uint16_t{0} : paths[id]});
    for (std::uint32_t i = 0; tensor && i < tensor->chunk_count(); ++i) {
      const auto chunk = *tensor->chunk(i);
      const auto box = chunk.to_value();
      const auto s = chunk.storage();
      insert_chunk(std::int64_t{id}, std::span<const std::int64_t>(box.offsets),
                   std::span<const std::int64_t>(box.sizes), std::int64_t{i}, s ? std::int64_t{s->file()} : -1,
                   s ? static_cast<std::int64_t>(s->byte_offset()) : 0, s ? static_cast<std::int64_t>(s->length()) : 0);
    }
    if (const auto s = entry.bytes_storage()) {
      insert_bytes(std::int64_t{id}, std::int64_t{s->file()}, static_cast<std::int64_t>(s->byte_offset()),
                   static_cast<std::int64_t>(s->length()));
    }
  }
}

/// No counters behind a lock; files mapped without a PRAGMA at each open.
void configure_once() {
  static const bool done = [] {
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_MMAP_SIZE, sqlite3_int64{4} << 30, sqlite3_int64{4} << 30);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

void SqliteStore::build(const MetadataView& metadata, const std::filesystem::path& path) {
  std::filesystem::remove(path);
  sqlite3* database = nullptr;
  check(database, sqlite3_open(path.c_str(), &database), "open");
  execute(database, kSchema);
  insert_small_tables(database, metadata);
  insert_entries(database, metadata);
  execute(database, "COMMIT; VACUUM;");
  sqlite3_close(database);
}

SqliteStore::SqliteStore(const char* path) {
  configure_once();
  const std::string uri = std::string("file:") + path + "?immutable=1";
  check(database_,
        sqlite3_open_v2(uri.c_str(), &database_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, nullptr),
        "open");
  find_entry_ = prepare(database_, kFindEntry);
}

SqliteStore::~SqliteStore() {
  sqlite3_finalize(find_entry_);
  sqlite3_finalize(find_storage_);
  sqlite3_close(database_);
}

bool SqliteStore::find(std::string_view fqn, FoundEntry& found) {
  sqlite3_bind_text(find_entry_, 1, fqn.data(), static_cast<int>(fqn.size()), SQLITE_STATIC);
  const bool is_there = sqlite3_step(find_entry_) == SQLITE_ROW;
  if (is_there) {
    const auto byte = [&](int column) { return static_cast<std::uint8_t>(sqlite3_column_int(find_entry_, column)); };
    found = {static_cast<std::uint32_t>(sqlite3_column_int(find_entry_, 0)), byte(1), byte(2), byte(3)};
  }
  sqlite3_reset(find_entry_);
  return is_there;
}

bool SqliteStore::find(std::string_view fqn, const std::optional<Size>& offset, FoundStorage& found) {
  if (!offset) return false;  // bytes: not measured
  if (find_storage_ == nullptr) find_storage_ = prepare(database_, kFindStorage);
  sqlite3_reset(find_storage_);  // the text of the answer before lives until here
  sqlite3_bind_text(find_storage_, 1, fqn.data(), static_cast<int>(fqn.size()), SQLITE_STATIC);
  sqlite3_bind_blob(find_storage_, 2, offset->empty() ? "" : static_cast<const void*>(offset->data()),
                    static_cast<int>(offset->size() * sizeof(std::int64_t)), SQLITE_STATIC);
  if (sqlite3_step(find_storage_) != SQLITE_ROW) return false;
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(find_storage_, 0));
  found = {{text, static_cast<std::size_t>(sqlite3_column_bytes(find_storage_, 0))},
           static_cast<std::uint64_t>(sqlite3_column_int64(find_storage_, 1)),
           static_cast<std::uint64_t>(sqlite3_column_int64(find_storage_, 2))};
  return true;
}

}  // namespace bench
