#include "pickle/globals.hpp"

#include <utility>

namespace flatpoint::pickle {
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
