// What a test module says of a tensor: its metadata as JSON, or {"error": message}.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "flatpoint/tensor_properties.hpp"

namespace flatpoint::test {

inline nlohmann::json to_json(const TensorProperties& properties) {
  const auto name = [](auto value, const std::string& other) {
    return value == decltype(value)::Other ? other : std::string(name_of(value));
  };
  return {{"dtype", name(properties.dtype, properties.dtype_name)},
          {"layout", name(properties.layout, properties.layout_name)},
          {"requires_grad", properties.requires_grad},
          {"memory_format", name(properties.memory_format, properties.memory_format_name)},
          {"pin_memory", properties.pin_memory},
          {"strides", properties.strides ? nlohmann::json(*properties.strides) : nlohmann::json()}};
}

inline nlohmann::json to_json(const ChunkStorageMetadata& chunk) { return {chunk.offsets, chunk.sizes}; }

template <class Tensor>
nlohmann::json describe(const Tensor& tensor) {
  const auto metadata = create_tensor_storage_metadata(tensor);
  if (!metadata) return {{"error", metadata.error().message}};
  auto json = to_json(metadata->properties);
  json["size"] = metadata->size;
  for (const auto& chunk : metadata->chunks) json["chunks"].push_back(to_json(chunk));
  return json;
}

}  // namespace flatpoint::test
