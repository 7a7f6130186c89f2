#include "command_line.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/format.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::size_t kHelpColumn = 24;

template <class... Args>
tl::unexpected<Error> misuse(fmt::format_string<Args...> text, Args&&... args) {
  return fail(ErrorCode::InvalidArgument, fmt::format(text, std::forward<Args>(args)...));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// Edits that turn one word into another.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> names) {
  const std::string_view near = near_name(name, names);
  return near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near);
}

std::string help_lines(const Command& command, bool arguments) {
  std::string lines;
  for (const auto& option : command.options()) {
    if (option->is_argument() != arguments) continue;
    std::string line = "  " + option->title();
    line +=
        line.size() < kHelpColumn ? std::string(kHelpColumn - line.size(), ' ') : "\n" + std::string(kHelpColumn, ' ');
    for (const char c : option->help()) {
      line += c;
      if (c == '\n') line.append(kHelpColumn, ' ');
    }
    lines += line + "\n";
  }
  return lines;
}

}  // namespace

Option::Option(std::string_view names, std::string help, Take take, bool is_flag, bool takes_many)
    : names_(split(names, ',')),
      help_(std::move(help)),
      take_(std::move(take)),
      is_flag_(is_flag),
      takes_many_(takes_many) {}

Option& Option::type_name(std::string name) {
  type_name_ = std::move(name);
  return *this;
}

Option& Option::required() {
  is_required_ = true;
  return *this;
}

Option& Option::one_of(std::vector<std::string> values) {
  values_ = std::move(values);
  return *this;
}

Option& Option::separated_by(char separator) {
  separator_ = separator;
  return *this;
}

Option& Option::excludes(const Option& other) {
  excluded_ = &other;
  return *this;
}

Option& Option::shows_default(std::string text) {
  default_ = std::move(text);
  return *this;
}

std::string Option::title() const {
  std::string text = fmt::join(names_, ",");
  if (!type_name_.empty()) text += " " + type_name_;
  if (!default_.empty()) text += "=" + default_;
  if (takes_many_) text += is_argument() ? "..." : " ...";
  return text;
}

Result<std::uint64_t> read_number(std::string_view text, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most) {
    return misuse("expected a number up to {}, not '{}'", most, text);
  }
  return number;
}

Option& Command::add(std::string_view names, std::string help, Option::Take take, bool is_flag, bool takes_many) {
  options_.emplace_back(new Option(names, std::move(help), std::move(take), is_flag, takes_many));
  return *options_.back();
}

Option& Command::add_flag(std::string_view names, bool& target, std::string help) {
  const auto take = [&target](std::string_view) {
    target = true;
    return Result<void>();
  };
  return add(names, std::move(help), take, true, false);
}

Option* Command::find(std::string_view name) const {
  for (const auto& option : options_) {
    if (!option->is_argument() && std::ranges::count(option->names(), name) > 0) return option.get();
  }
  return nullptr;
}

std::string help_of_arguments(const Command& command) { return help_lines(command, true); }
std::string help_of_options(const Command& command) { return help_lines(command, false); }

/// Goes through the arguments once.
class Parser {
 public:
  Parser(const Command& all, std::span<const Command> verbs, std::span<const std::string_view> arguments)
      : all_(all), verbs_(verbs), rest_(arguments) {}

  Result<Parsed> parse() {
    while (!rest_.empty() && parsed_.what == Parsed::What::Run) {
      const std::string_view argument = next();
      const bool is_option = !options_ended_ && argument.size() > 1 && argument.front() == '-';
      if (is_option && argument == "--") {
        options_ended_ = true;
        continue;
      }
      auto done = !is_option                   ? take_argument(argument)
                  : argument.starts_with("--") ? take_long(argument)
                                               : take_short(argument);
      if (!done) return tl::unexpected(std::move(done.error()));
    }
    if (parsed_.what == Parsed::What::Run) {
      if (auto done = check_complete(); !done) return tl::unexpected(std::move(done.error()));
    }
    return parsed_;
  }

 private:
  std::string_view next() {
    const std::string_view argument = rest_.front();
    rest_ = rest_.subspan(1);
    return argument;
  }

  [[nodiscard]] const Command* verb() const { return parsed_.verb ? &verbs_[*parsed_.verb] : nullptr; }

  /// A verb's own option comes before one of all verbs.
  [[nodiscard]] Option* find(std::string_view name) const {
    Option* const own = verb() != nullptr ? verb()->find(name) : nullptr;
    return own != nullptr ? own : all_.find(name);
  }

  Result<void> take_long(std::string_view argument) {
    const std::size_t equals = std::min(argument.find('='), argument.size());
    const std::string_view name = argument.substr(0, equals);
    if (name == "--help") return ask(Parsed::What::Help);
    if (name == "--version" && verb() == nullptr) return ask(Parsed::What::Version);
    Option* const option = find(name);
    if (option == nullptr) return misuse("no option {}{}", name, did_you_mean(name, option_names()));
    if (equals == argument.size()) return take_next(*option, name);
    if (option->is_flag()) return misuse("{} takes no value", name);
    return give(*option, name, argument.substr(equals + 1));
  }

  /// "-l", "-lf", "-oOUT".
  Result<void> take_short(std::string_view argument) {
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const std::string name{'-', argument[i]};
      if (name == "-h") return ask(Parsed::What::Help);
      Option* const option = find(name);
      if (option == nullptr) return misuse("no option {}{}", name, did_you_mean(argument, option_names()));
      const bool has_value = !option->is_flag() && i + 1 < argument.size();
      auto done = has_value ? give(*option, name, argument.substr(i + 1)) : take_next(*option, name);
      if (!done || !option->is_flag()) return done;
    }
    return {};
  }

  Result<void> ask(Parsed::What what) {
    parsed_.what = what;
    return {};
  }

  Result<void> take_next(Option& option, std::string_view name) {
    if (option.is_flag()) return give(option, name, {});
    if (rest_.empty()) return misuse("{} needs a value", name);
    return give(option, name, next());
  }

  Result<void> take_argument(std::string_view argument) {
    if (verb() == nullptr) return take_verb(argument);
    for (const auto& option : verb()->options()) {
      if (!option->is_argument() || (option->is_given_ && !option->takes_many())) continue;
      return give(*option, option->last_name(), argument);
    }
    return misuse("one argument too many: '{}'", argument);
  }

  Result<void> take_verb(std::string_view name) {
    const auto found = std::ranges::find(verbs_, name, &Command::name);
    if (found != verbs_.end()) {
      parsed_.verb = static_cast<std::size_t>(found - verbs_.begin());
      return {};
    }
    const auto names = verb_names();
    return misuse("no verb '{}'{}; there are {}", name, did_you_mean(name, names), fmt::join(names, ", "));
  }

  static Result<void> give(Option& option, std::string_view name, std::string_view value) {
    if (option.is_given_ && !option.takes_many() && !option.is_flag()) return misuse("{} is given twice", name);
    option.is_given_ = true;
    const auto values = option.separator_ == '\0' ? std::vector{std::string(value)} : split(value, option.separator_);
    for (const std::string& one : values) {
      if (!option.values().empty() && std::ranges::count(option.values(), one) == 0) {
        return misuse("{}: '{}' is none of {}", name, one, fmt::join(option.values(), ", "));
      }
      if (const auto taken = option.take_(one); !taken) return misuse("{}: {}", name, taken.error().message);
    }
    return {};
  }

  Result<void> check_complete() {
    if (verb() == nullptr) return misuse("no verb; there are {}", fmt::join(verb_names(), ", "));
    for (const auto& option : verb()->options()) {
      if (option->is_required() && !option->is_given_) return misuse("{} is missing", option->title());
      const Option* const other = option->excluded_;
      if (other != nullptr && option->is_given_ && other->is_given_) {
        return misuse("{} and {} exclude each other", other->last_name(), option->last_name());
      }
    }
    return {};
  }

  [[nodiscard]] std::vector<std::string_view> option_names() const {
    std::vector<std::string_view> names{"--help"};
    const auto add = [&](const Command& command) {
      for (const auto& option : command.options()) {
        if (!option->is_argument()) names.insert(names.end(), option->names().begin(), option->names().end());
      }
    };
    if (verb() != nullptr) add(*verb());
    add(all_);
    return names;
  }

  [[nodiscard]] std::vector<std::string_view> verb_names() const {
    std::vector<std::string_view> names;
    for (const Command& verb : verbs_) names.emplace_back(verb.name());
    return names;
  }

  const Command& all_;
  std::span<const Command> verbs_;
  std::span<const std::string_view> rest_;
  Parsed parsed_;
  bool options_ended_ = false;
};

Result<Parsed> parse(const Command& all, std::span<const Command> verbs, std::span<const std::string_view> arguments) {
  return Parser(all, verbs, arguments).parse();
}

std::string_view near_name(std::string_view name, std::span<const std::string_view> names) {
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(name.size() / 3, 1) + 1;  // further off is no slip of a finger
  if (name.size() > 64) return nearest;
  for (const std::string_view known : names) {
    const std::size_t edits = distance(name, known);
    if (edits < least) {
      least = edits;
      nearest = known;
    }
  }
  return nearest;
}

}  // namespace flatpoint::tool
