#include "completion.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "checkpoint.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::uint64_t kMaxPickle = std::uint64_t{16} << 20;  // a larger one takes too long for the press of a key
constexpr std::size_t kMaxNames = 2'000;

/// What the words before the last one say.
struct Position {
  const Command* verb = nullptr;
  const Option* expects = nullptr;  // the option whose value the last word is
  std::vector<std::string_view> arguments;
  bool options_ended = false;
  bool is_unknown_verb = false;
};

const Option* find_option(const Interface& tool, const Command* verb, std::string_view name) {
  const Option* const own = verb != nullptr ? verb->find(name) : nullptr;
  return own != nullptr ? own : tool.all.find(name);
}

/// Bash hands "--name=value" over as three words.
bool is_equals_sign(const Position& position, std::string_view word) {
  return position.expects != nullptr && word == "=";
}

Position read_words(const Interface& tool, std::span<const std::string> words) {
  Position position;
  for (const std::string_view word : words) {
    if (is_equals_sign(position, word)) continue;
    if (std::exchange(position.expects, nullptr) != nullptr) continue;
    if (!position.options_ended && word == "--") {
      position.options_ended = true;
    } else if (!position.options_ended && word.size() > 1 && word.front() == '-') {
      const Option* const option = find_option(tool, position.verb, word);
      if (option != nullptr && !option->is_flag()) position.expects = option;
    } else if (position.verb == nullptr) {
      const auto found = std::ranges::find(tool.commands, word, &Command::name);
      position.is_unknown_verb = found == tool.commands.end();
      if (position.is_unknown_verb) return position;
      position.verb = &*found;
    } else {
      position.arguments.push_back(word);
    }
  }
  return position;
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

void add_options(const Command& command, std::string_view word, std::vector<Candidate>& candidates) {
  for (const auto& option : command.options()) {
    if (option->is_argument() || !option->last_name().starts_with(word)) continue;
    candidates.push_back({option->last_name(), first_line(option->help())});
  }
}

/// The values of an option that begin with `word`; for a list, those of the part behind its last comma.
std::vector<Candidate> values_of(const Option& option, std::string_view before, std::string_view word) {
  const std::size_t part = option.is_list() ? word.rfind(',') + 1 : 0;
  std::vector<Candidate> candidates;
  for (const std::string& value : option.values()) {
    if (!value.starts_with(word.substr(part))) continue;
    candidates.push_back({std::string(before).append(word.substr(0, part)).append(value), ""});
  }
  return candidates;
}

/// The argument of a verb that comes after `given` others.
const Option* argument_after(const Command& verb, std::size_t given) {
  const Option* last = nullptr;
  for (const auto& option : verb.options()) {
    if (!option->is_argument()) continue;
    last = option.get();
    if (given-- == 0 || option->takes_many()) return last;
  }
  return nullptr;
}

bool takes_fqn(const Option& argument) {
  const std::string& name = argument.last_name();
  return name == "FQN" || name == "NAME" || name == "PATTERN";
}

/// The FQNs that begin with `word`, each up to its next dot unless one FQN alone lies behind that.
std::vector<Candidate> names_of(const MetadataView& metadata, std::string_view word) {
  std::vector<Candidate> candidates;
  const auto range = metadata.prefix(word);
  if (!range) return candidates;
  for (std::uint32_t i = range->begin; i < range->end && candidates.size() < kMaxNames;) {
    const auto entry = metadata.entry(i++);
    if (!entry) break;
    const std::string_view fqn = entry->fqn();
    const std::size_t dot = fqn.find('.', word.size());
    std::string_view name = fqn;
    if (dot != std::string_view::npos) {
      const auto branch = metadata.prefix(fqn.substr(0, dot + 1));
      if (!branch) break;
      if (branch->end - branch->begin > 1) name = fqn.substr(0, dot + 1);
      i = std::max(i, branch->end);
    }
    candidates.push_back({printable(name), ""});
  }
  return candidates;
}

std::vector<Candidate> fqns(const Context& context, std::string_view path, std::string_view word) {
  Globals globals = context.globals;
  globals.limits.max_input_bytes = std::min(globals.limits.max_input_bytes, kMaxPickle);
  const Context quick{globals, context.out, context.interface};
  const auto opened = open_quietly(quick, std::string(path), OpenMode::Map);
  return opened ? names_of(opened->file.view(), word) : std::vector<Candidate>();
}

}  // namespace

std::vector<Candidate> complete(const Context& context, std::span<const std::string> words) {
  const Interface& tool = context.interface;
  std::vector<Candidate> candidates;
  if (words.empty()) return candidates;
  const Position position = read_words(tool, words.first(words.size() - 1));
  if (position.is_unknown_verb) return candidates;
  const std::string_view typed = words.back();
  const std::string_view word = is_equals_sign(position, typed) ? std::string_view() : typed;
  if (position.expects != nullptr) return values_of(*position.expects, "", word);

  if (!position.options_ended && word.starts_with('-')) {
    const std::size_t equals = word.find('=');
    if (equals != std::string_view::npos) {
      const Option* const option = find_option(tool, position.verb, word.substr(0, equals));
      return option == nullptr ? candidates : values_of(*option, word.substr(0, equals + 1), word.substr(equals + 1));
    }
    if (position.verb != nullptr) add_options(*position.verb, word, candidates);
    add_options(tool.all, word, candidates);
    for (const std::string_view name : {"--help", "--version"}) {
      const bool fits = name == "--help" || position.verb == nullptr;
      if (fits && name.starts_with(word)) candidates.push_back({std::string(name), ""});
    }
    return candidates;
  }
  if (position.verb == nullptr) {
    for (const Command& command : tool.commands) {
      if (command.name().starts_with(word)) candidates.push_back({command.name(), command.summary()});
    }
    return candidates;
  }
  const Option* const argument = argument_after(*position.verb, position.arguments.size());
  if (argument == nullptr) return candidates;
  if (!argument->values().empty()) return values_of(*argument, "", word);
  if (takes_fqn(*argument) && !position.arguments.empty()) return fqns(context, position.arguments.front(), word);
  return candidates;
}

}  // namespace flatpoint::tool
