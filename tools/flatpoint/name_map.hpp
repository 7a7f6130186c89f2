// name_map.hpp - which FQN gets which new name, as a file states it.
#pragma once

#include <istream>
#include <map>
#include <string>

#include "flatpoint/error.hpp"

namespace flatpoint::tool {

using NameMap = std::map<std::string, std::string, std::less<>>;

/// Lines "OLD <tab> NEW", written as the tool prints names. Errors: NotFound, Io; InvalidArgument with the line's
/// number.
[[nodiscard]] Result<NameMap> read_name_map(const std::string& path);
/// The same from a stream; `path` is for messages.
[[nodiscard]] Result<NameMap> read_name_map(std::istream& file, const std::string& path);

}  // namespace flatpoint::tool
