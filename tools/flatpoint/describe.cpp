#include "describe.hpp"

#include "base/format.hpp"
#include "text.hpp"

namespace flatpoint::tool {

std::string list_text(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

std::string dtype_text(const TensorView& tensor) {
  const std::string_view name = tensor.dtype_name();
  return name.empty() ? fmt::format("dtype {}", static_cast<int>(tensor.dtype())) : printable(name);
}

std::optional<std::uint64_t> tensor_bytes(const TensorView& tensor) noexcept {
  std::uint64_t bytes = item_size(tensor.dtype());
  if (bytes == 0) return std::nullopt;
  for (const std::int64_t n : tensor.size()) {
    if (n < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(n), &bytes)) return std::nullopt;
  }
  return bytes;
}

std::uint64_t chunk_count(const MetadataView& metadata) noexcept {
  std::uint64_t count = 0;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    if (entry && entry->type() == StorageType::Tensor) count += entry->row().chunk_count;
  }
  return count;
}

Stored stored(const EntryView& entry) noexcept {
  Stored sum;
  const auto add = [&](const Lookup<StorageInfoView>& storage) {
    sum.corrupt |= storage.corrupt();
    if (!storage || __builtin_add_overflow(sum.bytes, storage->length(), &sum.bytes)) return;
    ++sum.items;
  };
  const auto tensor = entry.tensor();
  if (tensor.absent()) add(entry.bytes_storage());
  sum.corrupt |= tensor.corrupt();
  if (!tensor) return sum;
  for (std::uint32_t i = 0; i < tensor->chunk_count(); ++i) add(tensor->chunk_by_row(i)->storage());
  return sum;
}

void write_index(Json& json, std::string_view fqn, std::optional<std::span<const std::int64_t>> offset,
                 std::optional<std::int64_t> hint) {
  json.key("index").begin_object();
  json.member("fqn", fqn);
  json.member("offset", offset);
  json.member("index", hint);
  json.end();
}

void write_storage(Json& json, const StorageInfoView& storage) {
  json.key("storage").begin_object();
  json.member("relative_path", storage.relative_path());
  json.member("byte_offset", storage.byte_offset());
  json.member("length", storage.length());
  json.key("transform_descriptors");
  if (const auto count = storage.transform_count()) {
    json.begin_array();
    for (std::uint32_t i = 0; i < *count; ++i) json.value(storage.transform_descriptor(i));
    json.end();
  } else {
    json.value(nullptr);
  }
  json.end();
}

std::string transforms_text(const StorageInfoView& storage) {
  std::string text;
  for (std::uint32_t i = 0; i < storage.transform_count().value_or(0); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", printable(storage.transform_descriptor(i)));
  }
  return text;
}

}  // namespace flatpoint::tool
