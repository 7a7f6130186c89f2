// glob.hpp - shell patterns over FQNs.
#pragma once

#include <string_view>

namespace flatpoint::tool {

/// Whether the whole text matches: `*` any text, dots included; `?` one code point; `[a-z]`, `[!a-z]` one of a set; `\`
/// takes the next character as it is. As Python's fnmatchcase, and safe on any pattern: time O(pattern * text).
bool glob_matches(std::string_view pattern, std::string_view text) noexcept;

/// The text that everything matching the pattern begins with.
std::string_view literal_prefix(std::string_view pattern) noexcept;

}  // namespace flatpoint::tool
