// safetensors/index.hpp - what a `*.safetensors.index.json` says, and torch's note in a header of which part of a
// tensor a file holds.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::safetensors {

/// "weight_map": tensor -> file.
using WeightMap = std::map<std::string, std::string, std::less<>>;

/// Errors: BadItem says what and at which byte; Outside where a file is none beside the index.
[[nodiscard]] Result<WeightMap> parse_index(std::string_view json);

/// The value of "DCP_SHARDING_INFO": tensor -> offsets of the part that the file holds.
using ShardOffsets = std::map<std::string, Size, std::less<>>;

inline constexpr std::string_view kShardingInfo = "DCP_SHARDING_INFO";

/// Errors: BadItem.
[[nodiscard]] Result<ShardOffsets> parse_sharding_info(std::string_view json);

}  // namespace flatpoint::safetensors
