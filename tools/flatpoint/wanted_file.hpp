// wanted_file.hpp - what a rank wants, as a JSON file states it.
#pragma once

#include <string>
#include <string_view>

#include "flatpoint/wanted_list.hpp"

namespace flatpoint::tool {

/// [{"fqn", "size", "dtype"?, "boxes": [[offsets, sizes] or {"offsets", "sizes"}, ...]}, ...]; bytes are {"fqn"} alone.
/// Errors: NotFound; InvalidArgument for what is no such list, with entry and FQN.
[[nodiscard]] Result<WantedList> read_wanted_file(const std::string& path);
/// The same of a file's text; `path` is for messages.
[[nodiscard]] Result<WantedList> parse_wanted(std::string_view text, const std::string& path);

}  // namespace flatpoint::tool
