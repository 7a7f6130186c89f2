// plan/metadata_json.hpp - metadata files from JSON, for tests and comparisons with torch.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>

#include "flatpoint/metadata_file.hpp"
#include "write/draft.hpp"

namespace flatpoint::tests {

/// {"files": [name, ...], "entries": [{"fqn", "size", "dtype", "chunks": [[offsets, sizes], ...], "storage": [[file,
/// offset, length] or null, ...]} or {"fqn", "storage": [[file, offset, length]], "opaque": of a foreign class},
/// ...]}. Without "storage": one file,
/// chunk after chunk, 100 bytes each.
inline MetadataFile file_from(const nlohmann::json& metadata) {
  write::Draft draft;
  std::deque<std::string> texts;
  const auto text = [&](const nlohmann::json& value) {
    return std::string_view(texts.emplace_back(value.get<std::string>()));
  };
  const nlohmann::json files = metadata.value("files", nlohmann::json{"__0_0.distcp"});
  for (const auto& file : files) draft.files.push_back(text(file));
  for (const auto& entry : metadata.at("entries")) {
    write::DraftEntry row;
    row.fqn = text(entry.at("fqn"));
    row.chunk_begin = draft.rows.files.size();
    if (entry.contains("size")) {
      const Size size = entry.at("size");
      row.ndim = static_cast<std::uint8_t>(size.size());
      row.size_begin = draft.sizes.size();
      row.box_begin = draft.boxes.size();
      row.properties.dtype = scalar_type_from_name(entry.value("dtype", "float32")).value_or(ScalarType::Other);
      if (row.properties.dtype == ScalarType::Other) {
        row.properties.dtype_name = static_cast<std::uint16_t>(draft.type_names.size());
        draft.type_names.push_back(text(entry.at("dtype")));
      }
      draft.sizes.insert(draft.sizes.end(), size.begin(), size.end());
      row.chunk_count = static_cast<std::uint32_t>(entry.at("chunks").size());
      for (const auto& chunk : entry.at("chunks")) {
        for (const auto& values : chunk) {
          for (const auto& value : values) draft.boxes.push_back(value);
        }
      }
    } else {
      row.type = entry.value("opaque", false) ? StorageType::Opaque : StorageType::Bytes;
      row.chunk_count = 1;
    }
    for (std::uint32_t i = 0; i < row.chunk_count; ++i) {
      const auto stored =
          entry.contains("storage") ? entry.at("storage")[i] : nlohmann::json{0, 100 * draft.rows.files.size(), 100};
      draft.rows.files.push_back(stored.is_null() ? kNoFile : stored[0].get<std::uint32_t>());
      draft.rows.byte_offsets.push_back(stored.is_null() ? 0 : stored[1].get<std::uint64_t>());
      draft.rows.lengths.push_back(stored.is_null() ? 0 : stored[2].get<std::uint64_t>());
    }
    draft.entries.push_back(row);
  }
  draft.has_storage_data = true;
  for (const write::DraftEntry& entry : draft.entries) {
    std::set<Size> keys;  // of chunks at one place only the first has a key
    for (std::uint32_t i = 0; i < entry.chunk_count; ++i) {
      const auto box = draft.boxes.begin() + static_cast<std::ptrdiff_t>(entry.box_begin + 2UL * entry.ndim * i);
      const auto row = static_cast<std::uint32_t>(entry.chunk_begin + i);
      if (keys.emplace(box, box + entry.ndim).second && draft.rows.files[row] != kNoFile)
        draft.storage_order.push_back(row);
    }
  }
  auto bytes = write::finish(std::move(draft));
  return std::move(MetadataFile::from_buffer(std::move(bytes.value())).value());
}

/// The i-th entry's tensor. The file must hold one.
inline TensorView tensor_at(const MetadataFile& file, std::uint32_t position) {
  const auto tensor = file.view().entry(position)->tensor();
  if (!tensor) throw std::runtime_error("not a tensor");
  return *tensor;
}

/// Number of a chunk in DCP's order.
inline std::uint32_t dcp_number(const TensorView& tensor, std::uint32_t by_row) {
  const std::uint32_t row = tensor.chunk_by_row(by_row)->row();
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    if (tensor.chunk(i)->row() == row) return i;
  }
  throw std::runtime_error("no such chunk");
}

}  // namespace flatpoint::tests
