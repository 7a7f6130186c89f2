// columns/text.hpp - the texts of a file as C++ sees them.
#pragma once

#include <optional>
#include <string_view>

#include "flatpoint/columns.hpp"

namespace flatpoint {

/// The bytes as characters: nothing is decoded or copied.
inline std::string_view as_text(ByteColumn bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::optional<std::string_view> as_text(const std::optional<ByteColumn>& bytes) noexcept {
  return bytes ? std::optional(as_text(*bytes)) : std::nullopt;
}

}  // namespace flatpoint
