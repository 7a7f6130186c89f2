// archive/plain_value.hpp - a plain Python value as JSON.
#pragma once

#include <string>

#include "archive/pickle.hpp"

namespace flatpoint::archive {

/// See read_plain_value. Errors: NotPlain names the class of what is no plain value; TooLarge for values that are
/// shared so often that writing them out would take all memory, or that hold themselves.
[[nodiscard]] Result<std::string> to_json(const Unpickled& pickle);

}  // namespace flatpoint::archive
