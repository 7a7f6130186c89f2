// command_line.hpp - what a command line may hold, declared as data: parsing, --help, completion and the manual read
// it.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flatpoint/error.hpp"

namespace flatpoint::tool {

/// One option ("-o,--output"), flag, or argument ("CKPT"). Targets are set while the command line is parsed.
class Option {
 public:
  /// Takes one value; its error says what is wrong with it.
  using Take = std::function<Result<void>(std::string_view)>;

  /// What the value is called in the help.
  Option& type_name(std::string name);
  Option& required();
  /// The value is one of these.
  Option& one_of(std::vector<std::string> values);
  /// One value may hold several: "a,b".
  Option& separated_by(char separator);
  Option& excludes(const Option& other);
  /// The default, as the help shows it.
  Option& shows_default(std::string text);

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const std::string& last_name() const { return names_.back(); }
  [[nodiscard]] const std::string& type_name() const { return type_name_; }
  [[nodiscard]] const std::string& help() const { return help_; }
  [[nodiscard]] const std::vector<std::string>& values() const { return values_; }
  [[nodiscard]] bool is_flag() const { return is_flag_; }
  [[nodiscard]] bool is_argument() const { return !names_.front().starts_with('-'); }
  [[nodiscard]] bool is_required() const { return is_required_; }
  [[nodiscard]] bool is_list() const { return separator_ != '\0'; }
  [[nodiscard]] bool takes_many() const { return takes_many_; }
  /// Its first column in the help: "-o,--output OUT".
  [[nodiscard]] std::string title() const;

 private:
  friend class Command;
  friend class Parser;
  Option(std::string_view names, std::string help, Take take, bool is_flag, bool takes_many);

  std::vector<std::string> names_;
  std::string type_name_;
  std::string help_;
  std::string default_;
  std::vector<std::string> values_;
  Take take_;
  const Option* excluded_ = nullptr;
  char separator_ = '\0';
  bool is_flag_ = false;
  bool takes_many_ = false;
  bool is_required_ = false;
  bool is_given_ = false;
};

/// Sets a target from one value of the command line.
[[nodiscard]] Result<std::uint64_t> read_number(std::string_view text, std::uint64_t most);
template <class T>
[[nodiscard]] Result<void> store(std::string_view text, T& target) {
  if constexpr (std::integral<T>) {
    const auto number = read_number(text, std::numeric_limits<T>::max());
    if (!number) return tl::unexpected(number.error());
    target = static_cast<T>(*number);
  } else {
    target = T(text);
  }
  return {};
}
template <class T>
[[nodiscard]] Result<void> store(std::string_view text, std::optional<T>& target) {
  return store(text, target.emplace());
}
[[nodiscard]] inline Result<void> store(std::string_view text, std::vector<std::string>& target) {
  target.emplace_back(text);
  return {};
}

/// A verb with its options and arguments; or the tool itself, with those that go with every verb.
class Command {
 public:
  Command(std::string name, std::string summary) : name_(std::move(name)), summary_(std::move(summary)) {}

  /// Adds an option ("-o,--output"), or an argument ("CKPT"), that takes a text, a number, or a list of texts.
  template <class T>
  Option& add_option(std::string_view names, T& target, std::string help) {
    constexpr bool kMany = std::same_as<T, std::vector<std::string>>;
    return add(
        names, std::move(help), [&target](std::string_view text) { return store(text, target); }, false, kMany);
  }
  Option& add_option_function(std::string_view names, Option::Take take, std::string help, bool takes_many = false) {
    return add(names, std::move(help), std::move(take), false, takes_many);
  }
  Option& add_flag(std::string_view names, bool& target, std::string help);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& summary() const { return summary_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Option>>& options() const { return options_; }
  [[nodiscard]] Option* find(std::string_view name) const;

 private:
  Option& add(std::string_view names, std::string help, Option::Take take, bool is_flag, bool takes_many);

  std::string name_;
  std::string summary_;
  std::vector<std::unique_ptr<Option>> options_;
};

/// The lines "  title   help" of a command's arguments, or of its options.
std::string help_of_arguments(const Command& command);
std::string help_of_options(const Command& command);

/// What a command line asks for.
struct Parsed {
  enum class What { Run, Help, Version };
  What what = What::Run;
  std::optional<std::size_t> verb;  // its number; unset: help or version of the tool
};

/// Sets the targets that the arguments name. Options of `all` may stand anywhere, those of a verb behind it; "--" ends
/// the options. Errors: InvalidArgument, and nothing else.
[[nodiscard]] Result<Parsed> parse(const Command& all, std::span<const Command> verbs,
                                   std::span<const std::string_view> arguments);

/// The one of `names` that a misspelt one may mean; empty where none is near.
std::string_view near_name(std::string_view name, std::span<const std::string_view> names);

}  // namespace flatpoint::tool
