// describe.hpp - the words and numbers in which verbs speak of entries, chunks and storage.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flatpoint/views.hpp"
#include "json.hpp"

namespace flatpoint::tool {

/// "[4096, 128]".
std::string list_text(std::span<const std::int64_t> values);

/// torch's name, or "dtype 77" for a number that this version does not know.
std::string dtype_text(const TensorView& tensor);

/// Elements times bytes per element. Unset where the dtype's size is not known or the product leaves uint64.
std::optional<std::uint64_t> tensor_bytes(const TensorView& tensor) noexcept;

/// Chunks of all tensors. Corrupt entries have none.
std::uint64_t chunk_count(const MetadataView& metadata) noexcept;

/// What storage_data says of an entry's chunks, or of its bytes.
struct Stored {
  std::uint64_t bytes = 0;  // sum of the lengths, serialization included
  std::uint32_t items = 0;  // with storage information
  bool corrupt = false;
};
Stored stored(const EntryView& entry) noexcept;

/// The key and the value of one item of storage_data, as JSON members "index" and "storage".
void write_index(Json& json, std::string_view fqn, std::optional<std::span<const std::int64_t>> offset,
                 std::optional<std::int64_t> hint);
void write_storage(Json& json, const StorageInfoView& storage);

/// "stream.zstd/1, ..."; empty where there are none.
std::string transforms_text(const StorageInfoView& storage);

}  // namespace flatpoint::tool
