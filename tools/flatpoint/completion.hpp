// completion.hpp - what may stand in the place of an unfinished word of a command line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "verb.hpp"

namespace flatpoint::tool {

struct Candidate {
  std::string text;
  std::string description;  // one line; empty where there is nothing to say
};

/// The candidates for the last of `words`, which follow "flatpoint" on the command line: verbs, options, values of
/// options, and FQNs of the checkpoint that an earlier word names, each up to its next dot. None where a file name is
/// expected.
[[nodiscard]] std::vector<Candidate> complete(const Context& context, std::span<const std::string> words);

}  // namespace flatpoint::tool
