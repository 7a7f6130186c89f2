// verb.hpp - what a verb of the tool is. A new verb is one file in verbs/ and one line in main.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "command_line.hpp"
#include "flatpoint/dcp.hpp"
#include "output.hpp"

namespace flatpoint::tool {

enum class Exit {
  Yes = 0,
  No = 1,     // a negative answer: absent, different, broken
  Error = 2,  // no answer
};

/// The options that every verb takes.
struct Globals {
  bool json = false;
  std::optional<std::uint32_t> of_rank;  // whose __R.metadata, of ranks that saved alone
  dcp::ImportLimits limits;
  bool allow_outside = false;
};

struct Verb;

/// All that a command line may hold: what help, manual and completion are made from.
struct Interface {
  const Command& all;                 // the options that go with every verb
  std::span<const Command> commands;  // one per verb
  std::span<const Verb* const> verbs;
};

/// Where a verb runs: its options, and standard output.
struct Context {
  const Globals& globals;
  Output& out;
  Interface interface;
};

using Run = std::function<Result<Exit>(Context&)>;

struct Verb {
  const char* name;
  const char* summary;
  const char* examples;  // lines for `--help`
  /// Adds the verb's arguments to its command; the result runs it once they are parsed.
  Run (*declare)(Command& command);
};

}  // namespace flatpoint::tool
