#include "pickle/text_forms.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace flatpoint::pickle {
namespace {

constexpr std::uint32_t kMaxCodePoint = 0x10FFFF;

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  const std::uint32_t lead = more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0;
  out.push_back(static_cast<char>(lead | code >> (6 * more)));
  for (int shift = 6 * (more - 1); shift >= 0; shift -= 6)
    out.push_back(static_cast<char>(0x80 | (code >> shift & 0x3F)));
}

/// `count` digits of base 8 or 16 from the front of `text`, at most; at least one.
std::optional<std::uint32_t> take_digits(std::string_view& text, std::size_t count, int base) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + std::min(count, text.size()), value, base);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<std::uint32_t> take_hex(std::string_view& text, std::size_t count) {
  const std::size_t before = text.size();
  const auto value = take_digits(text, count, 16);
  if (before - text.size() != count) return std::nullopt;
  return value;
}

/// What follows a backslash in a bytes literal.
bool append_escaped(std::string& out, std::string_view& rest) {
  const char kind = rest.front();
  constexpr std::string_view kFrom = "\\'\"abfnrtv";
  constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
  if (const std::size_t at = kFrom.find(kind); at != std::string_view::npos) {
    out.push_back(kTo[at]);
    rest.remove_prefix(1);
  } else if (kind >= '0' && kind <= '7') {
    out.push_back(static_cast<char>(*take_digits(rest, 3, 8)));
  } else if (kind == 'x') {
    rest.remove_prefix(1);
    const auto value = take_hex(rest, 2);
    if (!value) return false;
    out.push_back(static_cast<char>(*value));
  } else {
    out.push_back('\\');  // as Python: an unknown escape stands for itself
  }
  return true;
}

}  // namespace

bool is_ascii(std::string_view bytes) noexcept {
  std::uint64_t all = 0;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    all |= word;
  }
  for (; i < bytes.size(); ++i) all |= static_cast<std::uint8_t>(bytes[i]);
  return (all & 0x8080808080808080U) == 0;
}

bool is_utf8(std::string_view bytes) noexcept {
  if (is_ascii(bytes)) return true;
  for (std::size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<std::uint8_t>(bytes[i]);
    const std::size_t more = lead < 0x80                   ? 0
                             : lead >= 0xC2 && lead < 0xE0 ? 1
                             : (lead & 0xF0) == 0xE0       ? 2
                             : lead >= 0xF0 && lead < 0xF5 ? 3
                                                           : 4;
    if (more == 4 || bytes.size() - i <= more) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      if ((static_cast<std::uint8_t>(bytes[i + k]) & 0xC0) != 0x80) return false;
    }
    const auto second = more > 0 ? static_cast<std::uint8_t>(bytes[i + 1]) : std::uint8_t{0x80};
    if (lead == 0xE0 && second < 0xA0) return false;                                       // overlong
    if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return false;  // overlong, beyond Unicode
    i += more + 1;
  }
  return true;
}

bool is_strict_utf8(std::string_view bytes) noexcept {
  if (!is_utf8(bytes)) return false;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] == '\xED' && static_cast<std::uint8_t>(bytes[i + 1]) >= 0xA0) return false;
  }
  return true;
}

std::optional<std::int64_t> parse_int(std::string_view digits) noexcept {
  if (!is_decimal(digits)) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool is_decimal(std::string_view digits) noexcept {
  constexpr std::size_t kMostDigits = 4300;
  if (digits == "0") return true;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  return !digits.empty() && digits.size() <= kMostDigits && digits.front() != '0' &&
         digits.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<double> parse_float(std::string_view text) noexcept {
  const bool is_digits = text.find_first_not_of("0123456789+-.e") == std::string_view::npos;
  if (!is_digits && text != "inf" && text != "-inf" && text != "nan") return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::string> unquote(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != literal.back()) return std::nullopt;
  if (literal.front() != '"' && literal.front() != '\'') return std::nullopt;
  std::string_view rest = literal.substr(1, literal.size() - 2);
  std::string out;
  while (!rest.empty()) {
    const char next = rest.front();
    rest.remove_prefix(1);
    if (next != '\\') {
      out.push_back(next);
    } else if (rest.empty() || !append_escaped(out, rest)) {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<std::string> decode_raw_unicode_escape(std::string_view line) {
  std::string out;
  while (!line.empty()) {
    const char next = line.front();
    line.remove_prefix(1);
    if (next != '\\' || line.empty()) {
      append_utf8(out, static_cast<std::uint8_t>(next));
      continue;
    }
    const char kind = line.front();
    line.remove_prefix(1);
    if (kind != 'u' && kind != 'U') {  // the two stand for themselves, also where the second is a backslash
      out.push_back(next);
      append_utf8(out, static_cast<std::uint8_t>(kind));
      continue;
    }
    const std::size_t digits = kind == 'u' ? 4 : 8;
    const auto code = take_hex(line, digits);
    if (!code || *code > kMaxCodePoint) return std::nullopt;
    append_utf8(out, *code);
  }
  return out;
}

}  // namespace flatpoint::pickle
