// pickle/text_forms.hpp - what the instructions of protocol 0 write as lines of text, and what str may hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flatpoint::pickle {

/// Whether these bytes are what Python's `str.encode("utf-8", "surrogatepass")` can give.
bool is_utf8(std::string_view bytes) noexcept;
/// The same without surrogates.
bool is_strict_utf8(std::string_view bytes) noexcept;
bool is_ascii(std::string_view bytes) noexcept;

/// An int that fits; nothing for what is none, or is too large (see is_decimal).
std::optional<std::int64_t> parse_int(std::string_view digits) noexcept;
/// An int as Python writes it: no plus, no leading zero, which would be octal to INT, at most 4300 digits, which is as
/// many as Python reads.
bool is_decimal(std::string_view digits) noexcept;
/// A float as Python writes it; nothing for what its range does not hold.
std::optional<double> parse_float(std::string_view text) noexcept;

/// STRING: a quoted literal with escapes. Nothing where it is malformed.
std::optional<std::string> unquote(std::string_view literal);
/// UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX. The result is UTF-8.
std::optional<std::string> decode_raw_unicode_escape(std::string_view line);

}  // namespace flatpoint::pickle
