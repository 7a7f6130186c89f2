#include "text.hpp"

#include <algorithm>
#include <array>

#include "base/format.hpp"

namespace flatpoint::tool {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

template <std::size_t N>
bool contains(const std::array<Range, N>& ranges, char32_t value) noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [&](Range r) { return value >= r.first && value <= r.last; });
}

// C0 and C1 controls, soft hyphen, zero-width and direction marks, separators, byte order mark, tags.
constexpr std::array<Range, 12> kUnsafe{{{0x00, 0x1F},
                                         {0x7F, 0x9F},
                                         {0xAD, 0xAD},
                                         {0x61C, 0x61C},
                                         {0x180E, 0x180E},
                                         {0x200B, 0x200F},
                                         {0x2028, 0x202E},
                                         {0x2060, 0x206F},
                                         {0xD800, 0xDFFF},
                                         {0xFEFF, 0xFEFF},
                                         {0xFFF9, 0xFFFB},
                                         {0xE0000, 0xE0FFF}}};

// What std::format counts as two columns.
constexpr std::array<Range, 12> kWide{{{0x1100, 0x115F},
                                       {0x2329, 0x232A},
                                       {0x2E80, 0x303E},
                                       {0x3040, 0xA4CF},
                                       {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF},
                                       {0xFE10, 0xFE19},
                                       {0xFE30, 0xFE6F},
                                       {0xFF00, 0xFF60},
                                       {0xFFE0, 0xFFE6},
                                       {0x1F300, 0x1F9FF},
                                       {0x20000, 0x3FFFD}}};

constexpr std::array<Range, 5> kCombining{
    {{0x300, 0x36F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE20, 0xFE2F}}};

bool is_plain(char c) noexcept { return c >= 0x20 && c < 0x7F && c != '\\'; }

/// Looks at every character, without a way out: that is one instruction for many.
template <class Test>
bool all(std::string_view text, Test test) noexcept {
  bool passed = true;
  for (const char c : text) passed &= test(c);
  return passed;
}

void append_escape(std::string& out, const CodePoint& point) {
  switch (point.value) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  const auto value = static_cast<std::uint32_t>(point.value);
  if (!point.valid || value < 0x80) {
    fmt::append(out, "\\x{:02x}", value);
  } else if (value < 0x10000) {
    fmt::append(out, "\\u{:04x}", value);
  } else {
    fmt::append(out, "\\U{:08x}", value);
  }
}

void append_utf8(std::string& out, std::uint32_t value) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((value >> shift) & 0x3F)); };
  if (value < 0x80) {
    out += static_cast<char>(value);
  } else if (value < 0x800) {
    out += static_cast<char>(0xC0 | (value >> 6));
    tail(0);
  } else if (value < 0x10000) {
    out += static_cast<char>(0xE0 | (value >> 12));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | (value >> 18));
    tail(12), tail(6), tail(0);
  }
}

std::optional<std::uint32_t> hex(std::string_view digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::uint32_t value = 0;
  for (const char c : digits) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  return value;
}

/// Takes one escape, its backslash included, off `text`.
bool take_escape(std::string_view& text, std::string& out) {
  if (text.size() < 2) return false;
  const char kind = text[1];
  text.remove_prefix(2);
  switch (kind) {
    case '\\': out += '\\'; return true;
    case 'n': out += '\n'; return true;
    case 'r': out += '\r'; return true;
    case 't': out += '\t'; return true;
    default: break;
  }
  const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  if (digits == 0 || text.size() < digits) return false;
  const auto value = hex(text.substr(0, digits));
  if (!value || *value > 0x10FFFF) return false;
  text.remove_prefix(digits);
  if (kind == 'x') {
    out += static_cast<char>(*value);
  } else {
    append_utf8(out, *value);
  }
  return true;
}

}  // namespace

CodePoint first_code_point(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 && lead < 0xF5   ? 4
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                                                           : 0;
  const CodePoint invalid{lead, 1, false};
  if (length == 0 || text.size() < length) return invalid;
  char32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return invalid;
    value = (value << 6) | (byte(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF) return invalid;
  return {value, length, true};
}

std::string printable(std::string_view text, Backslash backslash) {
  if (all(text, is_plain)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_plain) - text.begin());
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const CodePoint point = first_code_point(text);
    if (point.value == '\\') {
      out += backslash == Backslash::Escape ? "\\\\" : "\\";
    } else if (!point.valid || contains(kUnsafe, point.value)) {
      append_escape(out, point);
    } else {
      out.append(text.substr(0, point.length));
    }
    text.remove_prefix(point.length);
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find('\\'), text.size());
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (!text.empty() && !take_escape(text, out)) return std::nullopt;
  }
  return out;
}

std::size_t display_width(std::string_view text) noexcept {
  if (all(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return text.size();
  std::size_t width = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    text.remove_prefix(point.length);
    if (point.value < 0x300) {
      ++width;
    } else if (!contains(kCombining, point.value)) {
      width += contains(kWide, point.value) ? 2 : 1;
    }
  }
  return width;
}

std::string_view module_of(std::string_view fqn, std::uint32_t depth) noexcept {
  const std::size_t last = fqn.rfind('.');
  if (last == std::string_view::npos) return {};
  std::size_t end = std::string_view::npos;
  for (std::size_t at = 0; depth > 0; --depth, at = end + 1) {
    end = fqn.find('.', at);
    if (end == std::string_view::npos) break;
  }
  return fqn.substr(0, std::min(end, last));
}

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  static constexpr std::array<const char*, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (size >= 1023.95 && unit + 1 < kUnits.size()) {  // what would round to 1024.0
    size /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string counted(std::uint64_t number, std::string_view singular, std::string_view plural) {
  return fmt::format("{} {}", grouped(number), number == 1 ? singular : plural);
}

}  // namespace flatpoint::tool
