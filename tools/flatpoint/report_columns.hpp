// report_columns.hpp - columns of numbers in few bytes: varints, runs, and a number for what was said before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace flatpoint::tool {

inline void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

/// Small for small numbers of either sign.
inline void append_signed(std::string& out, std::int64_t value) {
  append_varint(out, (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

/// How many values of one column are a, a + s, a + 2 s, ... from `begin` on.
inline std::size_t run_length(std::span<const std::int64_t> values, std::size_t begin, std::int64_t& step) {
  step = 0;
  if (begin + 1 == values.size() || __builtin_sub_overflow(values[begin + 1], values[begin], &step)) return 1;
  std::size_t end = begin + 2;
  for (std::int64_t next = 0; end < values.size(); ++end) {
    if (__builtin_add_overflow(values[end - 1], step, &next) || next != values[end]) break;
  }
  return end - begin;
}

/// Runs as count, first value, step; the count of values is known to whoever reads them.
inline void append_runs(std::string& out, std::span<const std::int64_t> values) {
  for (std::size_t at = 0; at < values.size();) {
    std::int64_t step = 0;
    std::size_t length = run_length(values, at, step);
    if (length == 2 && at + 2 < values.size()) {  // the second may begin a longer one
      std::int64_t other = 0;
      if (run_length(values, at + 1, other) > 2) length = 1, step = 0;
    }
    append_varint(out, length);
    append_signed(out, values[at]);
    append_signed(out, step);
    at += length;
  }
}

/// Texts that repeat: each is written once, and then its number.
class Repeated {
 public:
  /// 0 and the text itself, or its number from 1 on.
  void append(std::string& out, const std::string& text) {
    const auto [known, is_new] = numbers_.try_emplace(text, numbers_.size() + 1);
    append_varint(out, is_new ? 0 : known->second);
    if (is_new) out += text;
  }

 private:
  std::unordered_map<std::string, std::size_t> numbers_;
};

inline std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += at + i <= bytes.size() ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

}  // namespace flatpoint::tool
