#include "pickle/globals.hpp"

#include <utility>

namespace flatpoint::pickle {
ModuleAndName python_3_name(std::string_view module, std::string_view name) noexcept {
  struct Renamed {
    ModuleAndName before;
    ModuleAndName after;
  };
  static constexpr Renamed kNames[] = {
      {{"__builtin__", "basestring"}, {"builtins", "str"}},
      {{"__builtin__", "intern"}, {"sys", "intern"}},
      {{"__builtin__", "long"}, {"builtins", "int"}},
      {{"__builtin__", "reduce"}, {"functools", "reduce"}},
      {{"__builtin__", "unichr"}, {"builtins", "chr"}},
      {{"__builtin__", "unicode"}, {"builtins", "str"}},
      {{"__builtin__", "xrange"}, {"builtins", "range"}},
      {{"UserDict", "UserDict"}, {"collections", "UserDict"}},
      {{"UserList", "UserList"}, {"collections", "UserList"}},
      {{"UserString", "UserString"}, {"collections", "UserString"}},
  };
  for (const auto& [before, after] : kNames) {
    if (before.module == module && before.name == name) return after;
  }
  static constexpr std::pair<std::string_view, std::string_view> kModules[] = {
      {"__builtin__", "builtins"}, {"copy_reg", "copyreg"}, {"Queue", "queue"}, {"ConfigParser", "configparser"}};
  for (const auto& [before, after] : kModules) {
    if (before == module) return {after, name};
  }
  return {module, name};
}

std::uint32_t Globals::intern(std::string_view module, std::string_view name) {
  std::string key = std::to_string(module.size());  // "a\nb" of "c" is not "a" of "b\nc"
  key.append(1, '\n').append(module).append(name);
  const auto [at, is_new] = numbers_.try_emplace(std::move(key), static_cast<std::uint32_t>(names_.size()));
  if (!is_new) return at->second;
  const std::uint8_t meaning = meaning_ == nullptr ? 0 : meaning_(module, name);
  names_.push_back({std::string(module), std::string(name), meaning});
  return at->second;
}

}  // namespace flatpoint::pickle
