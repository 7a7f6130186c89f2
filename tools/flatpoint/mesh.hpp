// mesh.hpp - the shape of a device mesh on a command line.
#pragma once

#include <charconv>
#include <string_view>

#include "base/format.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::tool {

/// "8x4" as numbers; whoever takes them says what is wrong with them.
[[nodiscard]] inline Result<Size> parse_mesh(std::string_view text) {
  Size mesh;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (;;) {
    std::int64_t number = 0;
    const auto [after, error] = std::from_chars(at, end, number);
    if (error != std::errc() || (after != end && *after != 'x')) {
      return fail(ErrorCode::InvalidArgument, fmt::format("--mesh: expected numbers like 8x4, not '{}'", text));
    }
    mesh.push_back(number);
    if (after == end) return mesh;
    at = after + 1;
  }
}

}  // namespace flatpoint::tool
