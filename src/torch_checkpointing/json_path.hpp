// torch_checkpointing/json_path.hpp - the JSON text by which a manifest names a tensor inside of its item.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/error.hpp"

namespace flatpoint::torch_checkpointing {

/// A key of a dict or a position of a list. `text` is what Python's str() gives of it.
struct PathElement {
  enum class Kind : std::uint8_t { Text, Int, Float, Bool, None };
  Kind kind = Kind::Text;
  std::string text;  // UTF-8 with surrogates
  bool operator==(const PathElement&) const = default;
  auto operator<=>(const PathElement&) const = default;
};

/// A JSON list of scalars, as Python's json.loads reads it. Errors: BadPickle says what and at which byte of the text.
[[nodiscard]] Result<std::vector<PathElement>> parse_path(std::string_view json);

}  // namespace flatpoint::torch_checkpointing
