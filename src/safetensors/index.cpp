#include "safetensors/index.hpp"

#include <utility>

#include "base/format.hpp"
#include "safetensors/json_reader.hpp"

namespace flatpoint::safetensors {
namespace {

bool is_name_of_a_file(std::string_view name) noexcept {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

Result<WeightMap> parse_index(std::string_view text) {
  JsonReader json(text);
  WeightMap map;
  std::optional<std::string> outside;
  bool has_map = false;
  const auto read_place = [&](std::string& tensor) {
    std::string file;
    if (!json.read_string(file)) return false;
    if (!is_name_of_a_file(file)) {
      outside = fmt::format("tensor '{}': the file '{}' is none beside the index", tensor, file);
      return false;
    }
    return map.emplace(tensor, std::move(file)).second || json.refuse(fmt::format("'{}' is there twice", tensor));
  };
  const bool sound = json.read_object([&](const std::string& key) {
    if (key != "weight_map") return json.skip();
    return !std::exchange(has_map, true) ? json.read_object(read_place) : json.refuse("'weight_map' is there twice");
  }) && json.at_end();
  if (outside) return fail(ErrorCode::Outside, std::move(*outside));
  if (!sound) return fail(ErrorCode::BadItem, fmt::format("index: {}", json.error()));
  if (!has_map) return fail(ErrorCode::BadItem, "index: it has no 'weight_map'");
  return map;
}

Result<ShardOffsets> parse_sharding_info(std::string_view text) {
  JsonReader json(text);
  ShardOffsets shards;
  const bool sound = json.read_object([&](const std::string& tensor) {
    Size offsets;
    bool has_offsets = false;
    const bool read = json.read_object([&](const std::string& key) {
      if (key != "saved_offsets") return json.skip();
      if (std::exchange(has_offsets, true)) return json.refuse("'saved_offsets' are there twice");
      return json.read_array([&] {
        std::uint64_t offset = 0;
        if (!json.read_unsigned(offset)) return false;
        if (offset > INT64_MAX || offsets.size() == 255) return json.refuse("an offset that no tensor has");
        offsets.push_back(static_cast<std::int64_t>(offset));
        return true;
      });
    });
    if (!read) return false;
    if (!has_offsets) return json.refuse(fmt::format("'{}' has no 'saved_offsets'", tensor));
    return shards.emplace(tensor, std::move(offsets)).second || json.refuse(fmt::format("'{}' is there twice", tensor));
  }) && json.at_end();
  if (!sound) return fail(ErrorCode::BadItem, fmt::format("'{}': {}", kShardingInfo, json.error()));
  return shards;
}

}  // namespace flatpoint::safetensors
