#include "describe.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "pickle/text_forms.hpp"

namespace flatpoint::test {
namespace {

std::string_view view_of(ByteColumn bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string_view text_at(const TextColumn& texts, std::size_t i) {
  const std::uint32_t begin = i == 0 ? 0 : texts.ends[i - 1];
  return view_of(texts.bytes.subspan(begin, texts.ends[i] - begin));
}

Json optional_text(const std::optional<std::string_view>& value) { return value ? text(*value) : Json(nullptr); }

Json describe_tensor(const TensorView& tensor) {
  const TensorProperties properties = tensor.properties();
  const std::string layout(tensor.layout_name());
  const char* const formats[] = {"torch.contiguous_format", "torch.channels_last", "torch.preserve_format"};
  Json out;
  out["kind"] = "tensor";
  out["dtype"] = "torch." + std::string(tensor.dtype_name());
  out["layout"] = "torch." + layout;
  out["requires_grad"] = tensor.requires_grad();
  out["memory_format"] = formats[static_cast<int>(tensor.memory_format())];
  out["pin_memory"] = tensor.pin_memory();
  out["strides"] = properties.strides ? Json(*properties.strides) : Json(nullptr);
  out["size"] = Json::array();
  for (const std::int64_t n : tensor.size()) out["size"].push_back(n);
  out["chunks"] = Json::array();
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    const ChunkStorageMetadata box = tensor.chunk(i)->to_value();
    out["chunks"].push_back(Json::array({box.offsets, box.sizes}));
  }
  return out;
}

Json describe_entry(const EntryView& entry) {
  if (const auto tensor = entry.tensor()) return describe_tensor(*tensor);
  return Json{{"kind", entry.type() == StorageType::Bytes ? "bytes" : "opaque"}};
}

Json describe_path(const Columns& columns, std::size_t path, std::string_view fqn) {
  const std::uint32_t begin = path == 0 ? 0 : columns.path_ends[path - 1];
  Json out = Json::array();
  std::size_t at = 0;
  for (std::uint32_t e = begin; e < columns.path_ends[path]; ++e) {
    const PathElementRow element = columns.path_elements[e];
    std::size_t end = at;
    for (std::uint16_t i = 0; i < element.components; ++i) {
      end = std::min(fqn.find('.', i == 0 ? at : end + 1), fqn.size());
    }
    const std::string component(fqn.substr(at, end - at));
    out.push_back(element.is_index != 0 ? Json(std::stoll(component)) : text(component));
    at = end + 1;
  }
  return out;
}

Json describe_planner(const MetadataFile& file) {
  const Columns& columns = file.view().columns();
  if (!columns.has_planner_data) return nullptr;
  Json out = Json::array();
  const auto add = [&](const EntryView& entry) {
    const std::uint16_t path = columns.fqn_paths.empty() ? std::uint16_t{0} : columns.fqn_paths[entry.position()];
    if (path != 0) out.push_back({text(entry.fqn()), describe_path(columns, path - 1U, entry.fqn())});
  };
  if (!columns.planner_order.empty()) {
    for (const std::uint32_t position : columns.planner_order) add(*file.view().entry(position));
  } else {
    for (std::uint32_t i = 0; i < file.view().size(); ++i) add(*file.view().entry_in_dcp_order(i));
  }
  return out;
}

/// MetadataIndex of each row of the chunk columns.
struct Key {
  std::string_view fqn;
  Json offset;
  Json hint;
  bool is_key = true;  // false: another row has the same
};

std::vector<Key> keys_of_rows(const MetadataFile& file) {
  const Columns& columns = file.view().columns();
  std::vector<Key> keys(columns.chunk_files.size());
  for (std::uint32_t e = 0; e < file.view().size(); ++e) {
    const EntryView entry = *file.view().entry(e);
    const std::uint32_t begin = entry.row().chunk_begin;
    const auto tensor = entry.tensor();
    for (std::uint32_t i = 0; i < entry.row().chunk_count; ++i) {
      if (!tensor) {
        keys[begin + i] = {entry.fqn(), nullptr, nullptr};
        continue;
      }
      const ChunkView chunk = *tensor->chunk(i);
      keys[chunk.row()] = {entry.fqn(), chunk.to_value().offsets, i};
    }
    for (std::uint32_t row = begin + 1; row < begin + entry.row().chunk_count; ++row) {
      keys[row].is_key = keys[row].offset != keys[row - 1].offset;
    }
  }
  for (std::size_t i = 0; i < columns.loose_storage.size(); ++i) {
    const LooseStorageRow& loose = columns.loose_storage[i];
    Key& key = keys[columns.chunk_rows() + i];
    key.fqn = view_of(columns.fqns.subspan(loose.fqn_begin, loose.fqn_length));
    if (loose.has_offset == 0) continue;
    key.offset = Json::array();
    for (const std::int64_t n : columns.sizes.subspan(loose.offset_begin, loose.ndim)) key.offset.push_back(n);
  }
  for (const IndexHintRow& hint : columns.index_hints) {
    keys[hint.row].hint = hint.known != 0 ? Json(hint.index) : Json(nullptr);
  }
  return keys;
}

std::vector<std::uint32_t> storage_order(const Columns& columns, const std::vector<Key>& keys) {
  if (!columns.storage_order.empty()) return {columns.storage_order.begin(), columns.storage_order.end()};
  std::vector<std::uint32_t> order;
  for (std::uint32_t row = 0; row < columns.chunk_files.size(); ++row) {
    if (columns.chunk_files[row] != kNoFile && keys[row].is_key) order.push_back(row);
  }
  std::ranges::sort(order, {}, [&](std::uint32_t row) {
    return std::tuple(columns.chunk_files[row], columns.chunk_byte_offsets[row], row);
  });
  return order;
}

std::vector<std::uint64_t> lengths_of_rows(const MetadataFile& file) {
  const Columns& columns = file.view().columns();
  std::vector<std::uint64_t> lengths(columns.chunk_files.size());
  if (columns.chunk_lengths.empty()) return lengths;
  for (const EntryRow& entry : columns.entries) {
    for (std::uint32_t i = 0; i < entry.chunk_count; ++i) {
      lengths[entry.chunk_begin + i] = columns.chunk_lengths[entry.length_begin + (entry.lengths_differ != 0 ? i : 0)];
    }
  }
  for (std::size_t i = 0; i < columns.loose_storage.size(); ++i) {
    lengths[columns.chunk_rows() + i] = columns.chunk_lengths[columns.loose_storage[i].length_begin];
  }
  return lengths;
}

Json describe_transforms(const Columns& columns, std::uint32_t row) {
  const std::uint16_t list = columns.chunk_transforms.empty() ? std::uint16_t{0} : columns.chunk_transforms[row];
  if (list == 0) return nullptr;
  Json out = Json::array();
  const std::uint32_t begin = list == 1 ? 0 : columns.transform_lists[list - 2U].text_end;
  for (std::uint32_t i = begin; i < columns.transform_lists[list - 1U].text_end; ++i) {
    out.push_back(text(text_at(columns.transform_names, i)));
  }
  return out;
}

Json describe_storage(const MetadataFile& file) {
  const Columns& columns = file.view().columns();
  if (!columns.has_storage_data) return nullptr;
  const std::vector<Key> keys = keys_of_rows(file);
  const std::vector<std::uint64_t> lengths = lengths_of_rows(file);
  Json out = Json::array();
  for (const std::uint32_t row : storage_order(columns, keys)) {
    Json item;
    item["fqn"] = text(keys[row].fqn);
    item["offset"] = keys[row].offset;
    item["index"] = keys[row].hint;
    item["relative_path"] = text(text_at(columns.file_names, columns.chunk_files[row]));
    item["byte_offset"] = columns.chunk_byte_offsets[row];
    item["length"] = lengths[row];
    item["transforms"] = describe_transforms(columns, row);
    out.push_back(std::move(item));
  }
  return out;
}

Json describe_storage_meta(const Columns& columns) {
  if (!columns.storage_meta) return nullptr;
  const StorageMetaColumns& meta = *columns.storage_meta;
  const char* const types[] = {"NoneType", "str", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"};
  const auto optional = [](const std::optional<ByteColumn>& bytes) {
    return bytes ? text(view_of(*bytes)) : Json(nullptr);
  };
  Json out;
  out["checkpoint_id"] = optional(meta.checkpoint_id);
  out["save_id"] = optional(meta.save_id);
  out["load_id"] = optional(meta.load_id);
  if (meta.has_modules) {
    out["modules"] = Json::array();
    for (std::size_t i = 0; i < meta.modules.ends.size(); ++i) out["modules"].push_back(text(text_at(meta.modules, i)));
  }
  out["checkpoint_id_type"] = types[static_cast<int>(meta.checkpoint_id_type)];
  return out;
}

Json describe_opaque(const Columns& columns) {
  const char* const kinds[] = {"Attribute",   "StateDictItem", "StateDictValue", "PlannerData", "PlannerItem",
                               "StorageData", "StorageItem",   "StorageMeta",    "Version"};
  Json out = Json::array();
  for (const OpaqueRecordRow& record : columns.opaque) {
    Json item;
    item["kind"] = kinds[static_cast<int>(record.kind)];
    item["position"] = record.position;
    item["name"] = text(view_of(columns.opaque_names.subspan(record.name_begin, record.name_length)));
    item["pickle"] = hex(view_of(columns.opaque_pickles.subspan(record.pickle_begin, record.pickle_length)));
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

Json text(std::string_view bytes) {
  Json value = std::string(bytes);
  try {
    (void)value.dump();
    return value;
  } catch (const Json::exception&) {
    return "hex:" + hex(bytes);
  }
}

Json describe(const MetadataFile& file) {
  const MetadataView view = file.view();
  const Columns& columns = view.columns();
  Json out;
  const auto name = columns.metadata_class ? view_of(*columns.metadata_class)
                                           : std::string_view("torch.distributed.checkpoint.metadata Metadata");
  out["root"] = text(name);
  out["version"] = optional_text(view.version());
  out["storage_meta"] = describe_storage_meta(columns);
  out["planner_data"] = describe_planner(file);
  out["state_dict_metadata"] = Json::array();
  for (std::uint32_t i = 0; i < view.size(); ++i) {
    const EntryView entry = *view.entry_in_dcp_order(i);
    out["state_dict_metadata"].push_back({text(entry.fqn()), describe_entry(entry)});
  }
  out["storage_data"] = describe_storage(file);
  out["storage_info_class"] = columns.storage_info_class ? text(view_of(*columns.storage_info_class)) : Json(nullptr);
  out["opaque"] = describe_opaque(columns);
  return out;
}

}  // namespace flatpoint::test
