// DCP's dictionaries as a whole: their keys in their order, and what fits no column. For flatpoint.torch.
#include <algorithm>
#include <tuple>
#include <vector>

#include "flatpoint/records.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

/// MetadataIndex of one row of the chunk columns.
struct Key {
  enum class Of : std::uint8_t { Nothing, Bytes, Chunk, Loose };
  Of of = Of::Nothing;
  std::uint32_t entry = 0;  // position; of Loose its number
  std::uint32_t chunk = 0;  // DCP's number
};

bool same_offsets(const ChunkView& a, const ChunkView& b) {
  for (std::uint8_t d = 0; d < a.ndim(); ++d) {
    if (a.offset(d) != b.offset(d)) return false;
  }
  return true;
}

void put(std::vector<Key>& keys, std::size_t row, const Key& key) {
  if (row >= keys.size()) raise_corrupt();
  keys[row] = key;
}

/// Chunks that begin where the one before begins have its key, which the dictionary holds once.
void put_chunks(std::vector<Key>& keys, const TensorView& tensor) {
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    put(keys, value_of(tensor.chunk(i)).row(), {Key::Of::Chunk, tensor.position(), i});
  }
  for (std::uint32_t i = 1; i < tensor.chunk_count(); ++i) {
    const ChunkView chunk = value_of(tensor.chunk_by_row(i));
    if (same_offsets(value_of(tensor.chunk_by_row(i - 1)), chunk)) put(keys, chunk.row(), {});
  }
}

/// _StorageInfo's fields; descriptors as the list or the tuple that they were.
nb::object make_storage_item(const MetadataView& metadata, const StorageInfoView& storage, std::uint32_t row) {
  nb::object transforms = nb::none();
  if (const auto count = storage.transform_count()) {
    const Columns& columns = metadata.columns();
    const std::size_t list = row < columns.chunk_transforms.size() ? columns.chunk_transforms[row] : 0;
    if (list == 0 || list > columns.transform_lists.size()) raise_corrupt();
    nb::list names;
    for (std::uint32_t i = 0; i < *count; ++i) names.append(to_str(storage.transform_descriptor(i)));
    transforms = names;
    if (columns.transform_lists[list - 1].type == SequenceType::Tuple) transforms = nb::tuple(names);
  }
  return nb::make_tuple(to_str(storage.relative_path()), storage.byte_offset(), storage.length(), transforms);
}

std::vector<Key> keys_of_rows(const MetadataView& metadata) {
  const Columns& columns = metadata.columns();
  std::vector<Key> keys(columns.chunk_files.size());
  std::uint64_t seen = 0;
  for (std::uint32_t at = 0; at < metadata.size(); ++at) {
    const EntryView entry = value_of(metadata.entry(at));
    seen += entry.row().chunk_count;
    if (seen > keys.size()) raise_corrupt();  // rows that many entries share
    if (entry.type() == StorageType::Tensor) put_chunks(keys, value_of(entry.tensor()));
    if (entry.type() != StorageType::Tensor && entry.row().chunk_count != 0) {
      put(keys, entry.row().chunk_begin, {Key::Of::Bytes, at, 0});
    }
  }
  for (std::uint32_t i = 0; i < columns.loose_storage.size(); ++i) {
    put(keys, columns.chunk_rows() + i, {Key::Of::Loose, i, 0});
  }
  return keys;
}

/// Rows in the order of storage_data. A file may name data files and still lack the column of offsets: such rows are
/// corrupt.
std::vector<std::uint32_t> rows_in_order(const Columns& columns, const std::vector<Key>& keys) {
  if (!columns.storage_order.empty()) return {columns.storage_order.begin(), columns.storage_order.end()};
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < keys.size(); ++row) {
    if (keys[row].of == Key::Of::Nothing || columns.chunk_files[row] == kNoFile) continue;
    if (row >= columns.chunk_byte_offsets.size()) raise_corrupt();
    rows.push_back(row);
  }
  std::ranges::sort(rows, {}, [&](std::uint32_t row) {
    return std::tuple(columns.chunk_files[row], columns.chunk_byte_offsets[row], row);
  });
  return rows;
}

/// A key, its hint and its value: what storage_data says in one row.
nb::object make_item(const MetadataView& metadata, const Key& key, std::uint32_t row) {
  nb::object fqn = nb::none();
  nb::object offset = nb::none();
  std::optional<std::int64_t> normal;
  auto storage = Lookup<StorageInfoView>(LookupStatus::Corrupt);
  if (key.of == Key::Of::Nothing) raise_corrupt();
  if (key.of == Key::Of::Loose) {
    const auto loose = value_of(loose_storage(metadata, key.entry));
    fqn = to_str(loose.fqn);
    if (loose.has_offset) offset = to_tuple(loose.offset);
    storage = loose.storage;
  } else {
    const EntryView entry = value_of(metadata.entry(key.entry));
    fqn = to_str(entry.fqn());
    if (key.of == Key::Of::Chunk) {
      normal = key.chunk;
      const ChunkView chunk = value_of(value_of(entry.tensor()).chunk(key.chunk));
      offset = to_tuple(chunk.to_value().offsets);
      storage = chunk.storage();
    } else {
      storage = entry.bytes_storage();
    }
  }
  const auto hint = index_hint(metadata, row, normal);
  return nb::make_tuple(nb::make_tuple(fqn, offset, hint ? nb::object(nb::int_(*hint)) : nb::none()),
                        make_storage_item(metadata, value_of(storage), row));
}

}  // namespace

nb::list storage_items(const MetadataView& metadata) {
  const std::vector<Key> keys = keys_of_rows(metadata);
  nb::list list;
  for (const std::uint32_t row : rows_in_order(metadata.columns(), keys)) {
    if (row >= keys.size()) raise_corrupt();
    list.append(make_item(metadata, keys[row], row));
  }
  return list;
}

nb::list planner_fqns(const MetadataView& metadata) {
  nb::list list;
  const auto order = metadata.columns().planner_order;
  const std::size_t count = order.empty() ? metadata.size() : order.size();
  for (std::uint32_t i = 0; i < count; ++i) {
    const EntryView entry = value_of(order.empty() ? metadata.entry_in_dcp_order(i) : metadata.entry(order[i]));
    if (found(planner_path(metadata, entry))) list.append(to_str(entry.fqn()));
  }
  return list;
}

nb::tuple opaque_records(const MetadataView& metadata) {
  constexpr const char* kKinds[] = {"attribute",    "state_dict_item", "state_dict_value",
                                    "planner_data", "planner_item",    "storage_data",
                                    "storage_item", "storage_meta",    "version"};
  nb::list list;
  for (std::size_t i = 0; i < metadata.columns().opaque.size(); ++i) {
    const auto record = value_of(opaque_record(metadata, i));
    const auto kind = static_cast<std::size_t>(record.kind);
    if (kind >= std::size(kKinds)) raise_corrupt();
    list.append(make_record(records().opaque_record, kKinds[kind], record.position, to_str(record.name),
                            nb::bytes(record.pickle.data(), record.pickle.size())));
  }
  return nb::tuple(list);
}

}  // namespace flatpoint::python
