#include "rivals/lmdb_store.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "support/files.hpp"

namespace bench {
namespace {

using namespace flatpoint;

constexpr std::string_view kFilesKey = "F";
constexpr std::string_view kMetaKey = "M";
constexpr char kEntryPrefix = 'E';

/// Head of an entry's record. Behind it: size and strides (ndim values each), then the chunks.
struct Head {
  std::uint32_t dcp_position;
  std::uint32_t chunk_count;
  std::uint16_t path;
  std::uint8_t type, dtype, layout, memory_format, requires_grad, pin_memory, has_strides, ndim;
};

/// A chunk: offsets and sizes (ndim values each), then this.
struct ChunkTail {
  std::uint64_t offset, length;
  std::uint32_t dcp_position, file;
};

void check(int status, const char* call) {
  if (status != MDB_SUCCESS) die(std::string("lmdb: ") + call + ": " + mdb_strerror(status));
}

MDB_val as_val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }

template <class T>
void append(std::string& record, const T& value) {
  record.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void append_size(std::string& record, std::span<const std::int64_t> values) {
  for (const std::int64_t value : values) append(record, value);
}

/// A texts table: count, ends, bytes.
std::string file_table(const MetadataView& metadata) {
  std::string table, names;
  append(table, metadata.file_count());
  for (std::uint32_t i = 0; i < metadata.file_count(); ++i) {
    names += *metadata.file_name(i);
    append(table, static_cast<std::uint32_t>(names.size()));
  }
  return table + names;
}

std::string meta_record(const MetadataView& metadata) {
  std::string record(metadata.version().value_or(""));
  if (const auto meta = metadata.storage_meta()) {
    record.append(1, '\0')
        .append(meta->checkpoint_id().value_or(""))
        .append(1, '\0')
        .append(meta->save_id().value_or(""));
  }
  for (const PathElementRow& row : metadata.columns().path_elements) append(record, row);
  for (const std::uint32_t end : metadata.columns().path_ends) append(record, end);
  return record;
}

void append_storage(std::string& record, const Lookup<StorageInfoView>& storage, std::uint32_t dcp_position) {
  append(record, storage ? ChunkTail{storage->byte_offset(), storage->length(), dcp_position, storage->file()}
                         : ChunkTail{0, 0, dcp_position, kNoFile});
}

std::string entry_record(const MetadataView& metadata, const EntryView& entry, std::uint32_t dcp_position) {
  const EntryRow& row = entry.row();
  const auto& paths = metadata.columns().fqn_paths;
  const TensorPropertiesRow& p = row.properties;
  std::string record;
  const auto tensor = entry.tensor();
  const bool has_strides = tensor && tensor->has_strides();
  append(record, Head{dcp_position, row.chunk_count, paths.empty() ? std::uint16_t{0} : paths[entry.position()],
                      static_cast<std::uint8_t>(row.storage_type), static_cast<std::uint8_t>(p.dtype),
                      static_cast<std::uint8_t>(p.layout), static_cast<std::uint8_t>(p.memory_format), p.requires_grad,
                      p.pin_memory, has_strides, row.ndim});
  if (!tensor) {
    append_storage(record, entry.bytes_storage(), 0);
    return record;
  }
  append_size(record, tensor->size());
  append_size(record, has_strides ? *tensor->properties().strides : Size(row.ndim));
  std::vector<std::pair<ChunkStorageMetadata, std::uint32_t>> chunks;
  for (std::uint32_t i = 0; i < tensor->chunk_count(); ++i) chunks.emplace_back(tensor->chunk(i)->to_value(), i);
  std::sort(chunks.begin(), chunks.end(),
            [](const auto& a, const auto& b) { return a.first.offsets < b.first.offsets; });
  for (const auto& [box, i] : chunks) {
    append_size(record, box.offsets);
    append_size(record, box.sizes);
    append_storage(record, tensor->chunk(i)->storage(), i);
  }
  return record;
}

void put(MDB_txn* transaction, MDB_dbi dbi, std::string_view key, std::string_view value) {
  MDB_val k = as_val(key);
  MDB_val v = as_val(value);
  check(mdb_put(transaction, dbi, &k, &v, MDB_APPEND), "put");  // keys come sorted: pages get full
}

}  // namespace

void LmdbStore::build(const MetadataView& metadata, const std::filesystem::path& path) {
  std::filesystem::remove(path);
  MDB_env* env = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi dbi = 0;
  check(mdb_env_create(&env), "create");
  check(mdb_env_set_mapsize(env, std::size_t{4} << 30), "mapsize");
  check(mdb_env_open(env, path.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0666), "open");
  check(mdb_txn_begin(env, nullptr, 0, &transaction), "begin");
  check(mdb_dbi_open(transaction, nullptr, 0, &dbi), "dbi_open");
  std::vector<std::uint32_t> dcp_position(metadata.size());
  for (std::uint32_t i = 0; i < metadata.size(); ++i) dcp_position[metadata.entry_in_dcp_order(i)->position()] = i;
  std::string key;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = *metadata.entry(i);
    key.assign(1, kEntryPrefix).append(entry.fqn());
    put(transaction, dbi, key, entry_record(metadata, entry, dcp_position[i]));
  }
  put(transaction, dbi, kFilesKey, file_table(metadata));
  put(transaction, dbi, kMetaKey, meta_record(metadata));
  check(mdb_txn_commit(transaction), "commit");
  check(mdb_env_sync(env, 1), "sync");
  mdb_env_close(env);
}

LmdbStore::LmdbStore(const char* path) {
  check(mdb_env_create(&env_), "create");
  check(mdb_env_open(env_, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD, 0666), "open");
  check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &transaction_), "begin");
  check(mdb_dbi_open(transaction_, nullptr, 0, &dbi_), "dbi_open");
}

LmdbStore::~LmdbStore() {
  mdb_txn_abort(transaction_);
  mdb_env_close(env_);
}

bool LmdbStore::get(std::string_view key, std::string_view& value) const {
  MDB_val k = as_val(key);
  MDB_val v{};
  if (mdb_get(transaction_, dbi_, &k, &v) != MDB_SUCCESS) return false;
  value = {static_cast<const char*>(v.mv_data), v.mv_size};
  return true;
}

namespace {

/// The prefixed key, without allocating. LMDB's keys end at 511 bytes.
class EntryKey {
 public:
  explicit EntryKey(std::string_view fqn) noexcept : size_(std::min(fqn.size(), sizeof bytes_ - 1) + 1) {
    bytes_[0] = kEntryPrefix;
    std::memcpy(bytes_ + 1, fqn.data(), size_ - 1);
  }
  [[nodiscard]] std::string_view text() const noexcept { return {bytes_, size_}; }

 private:
  char bytes_[511];
  std::size_t size_;
};

/// Binary search among a record's chunks; null where none begins at the offset.
const char* find_chunk(const char* chunks, std::uint32_t count, std::span<const std::int64_t> offset) {
  const std::size_t stride = offset.size() * 16 + sizeof(ChunkTail);
  const auto compare = [&](std::uint32_t i) {
    for (std::size_t d = 0; d < offset.size(); ++d) {
      const auto value = load<std::int64_t>(chunks + i * stride + d * 8);
      if (value != offset[d]) return value < offset[d] ? -1 : 1;
    }
    return 0;
  };
  std::uint32_t begin = 0, end = count;
  while (begin < end) {
    const std::uint32_t middle = begin + (end - begin) / 2;
    if (compare(middle) < 0)
      begin = middle + 1;
    else
      end = middle;
  }
  return begin < count && compare(begin) == 0 ? chunks + begin * stride + offset.size() * 16 : nullptr;
}

}  // namespace

bool LmdbStore::find(std::string_view fqn, FoundEntry& found) const {
  std::string_view record;
  if (!get(EntryKey(fqn).text(), record)) return false;
  const auto head = load<Head>(record.data());
  found = {head.chunk_count, head.type, head.dtype, head.ndim};
  return true;
}

bool LmdbStore::find(std::string_view fqn, const std::optional<Size>& offset, FoundStorage& found) const {
  std::string_view record;
  if (!get(EntryKey(fqn).text(), record)) return false;
  const auto head = load<Head>(record.data());
  const char* at = record.data() + sizeof(Head);
  if (offset) {
    if (head.type != static_cast<std::uint8_t>(StorageType::Tensor) || offset->size() != head.ndim) return false;
    at = find_chunk(at + head.ndim * 16, head.chunk_count, *offset);
    if (at == nullptr) return false;
  }
  const auto chunk = load<ChunkTail>(at);
  if (files_.empty() && !get(kFilesKey, files_)) return false;
  const auto count = load<std::uint32_t>(files_.data());
  const char* ends = files_.data() + 4;
  const auto begin = chunk.file == 0 ? 0 : load<std::uint32_t>(ends + (chunk.file - 1) * 4);
  const auto end = load<std::uint32_t>(ends + chunk.file * 4);
  found = {{ends + count * 4 + begin, end - begin}, chunk.offset, chunk.length};
  return true;
}

}  // namespace bench
