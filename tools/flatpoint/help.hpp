// help.hpp - the texts of --help and of the manual, both from what the verbs declare.
#pragma once

#include <cstddef>
#include <string>

#include "verb.hpp"

namespace flatpoint::tool {

[[nodiscard]] std::string help_of_tool(const Interface& tool);
[[nodiscard]] std::string help_of_verb(const Interface& tool, std::size_t verb);

/// Pages of section 1 for man: flatpoint(1), and flatpoint-VERB(1).
[[nodiscard]] std::string manual_of_tool(const Interface& tool);
[[nodiscard]] std::string manual_of_verb(const Interface& tool, std::size_t verb);

}  // namespace flatpoint::tool
