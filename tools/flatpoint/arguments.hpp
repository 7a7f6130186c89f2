// arguments.hpp - how verbs declare what they take.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

namespace flatpoint::tool {

/// CLI11 takes an argument "[...]" for a list, but a pattern, an FQN or a folder may look like that. `main` puts this
/// byte, which no argument can hold, before such arguments; `add_text` takes it off.
inline constexpr char kNoList = '\0';

/// Adds an argument or option that takes text: a string, an optional one, or a vector. Use it for all of these.
template <class Text>
CLI::Option* add_text(CLI::App& command, std::string name, Text& text, std::string help) {
  const auto take_off = [](std::string& given) {
    if (!given.empty() && given.front() == kNoList) given.erase(0, 1);
    return std::string();
  };
  return command.add_option(std::move(name), text, std::move(help))->transform(CLI::Validator(take_off, ""));
}

/// Adds the argument CKPT.
inline void add_checkpoint(CLI::App& command, std::string& path) {
  add_text(command, "CKPT", path, "A checkpoint's folder, a .metadata or a flatpoint file")->required();
}

}  // namespace flatpoint::tool
