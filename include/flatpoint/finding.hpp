// flatpoint/finding.hpp - something about a checkpoint that is legal in a file but that its owner may want to know.
#pragma once

#include <string>

namespace flatpoint {

struct Finding {
  std::string kind;  // stable, lower-case: "chunk_outside", "no_storage", "duplicate_chunk", "hole", ...
  std::string message;
};

}  // namespace flatpoint
