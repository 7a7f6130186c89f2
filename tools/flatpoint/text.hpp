// text.hpp - names and numbers for people, and the way back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flatpoint::tool {

/// One step through UTF-8 that may hold Python's surrogates. A byte that begins no code point stands for itself.
struct CodePoint {
  char32_t value = 0;  // where not valid: the byte
  std::size_t length = 1;
  bool valid = false;
  [[nodiscard]] bool is_surrogate() const noexcept { return valid && value >= 0xD800 && value <= 0xDFFF; }
};

/// REQUIRES: !text.empty().
CodePoint first_code_point(std::string_view text) noexcept;

enum class Backslash {
  Escape,  // so that `unescaped` gives the text back
  Keep,    // for messages
};

/// The text with everything escaped that could move a cursor, change colours or hide: control characters (\n \r \t
/// \xNN), bytes that are not UTF-8 (\xNN), lone surrogates and invisible or direction-changing characters (\uNNNN).
std::string printable(std::string_view text, Backslash backslash = Backslash::Escape);

/// The inverse of `printable`; unset for text that it cannot have made.
std::optional<std::string> unescaped(std::string_view text);

/// Columns that a terminal takes for text that `printable` made.
std::size_t display_width(std::string_view text) noexcept;

/// The first `depth` names of an FQN, or with 0 all but its last: "model.layers" of "model.layers.0.weight" and 2. An
/// FQN with no more names than that has the module of all but its last.
std::string_view module_of(std::string_view fqn, std::uint32_t depth) noexcept;

std::string human_size(std::uint64_t bytes);  // "96 B", "1.6 KiB", "12.0 GiB"
std::string grouped(std::uint64_t number);    // "1,234,567"

/// "1 tensor", "1,635 tensors".
std::string counted(std::uint64_t number, std::string_view singular, std::string_view plural);

}  // namespace flatpoint::tool
