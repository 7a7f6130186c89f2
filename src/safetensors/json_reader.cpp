#include "safetensors/json_reader.hpp"

#include <charconv>

#include "base/format.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::safetensors {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

void append_utf8(std::string& to, std::uint32_t point) {
  if (point < 0x80) {
    to += static_cast<char>(point);
  } else if (point < 0x800) {
    to += static_cast<char>(0xC0U | point >> 6U);
    to += static_cast<char>(0x80U | (point & 0x3FU));
  } else {
    if (point < 0x10000) {
      to += static_cast<char>(0xE0U | point >> 12U);
    } else {
      to += static_cast<char>(0xF0U | point >> 18U);
      to += static_cast<char>(0x80U | (point >> 12U & 0x3FU));
    }
    to += static_cast<char>(0x80U | (point >> 6U & 0x3FU));
    to += static_cast<char>(0x80U | (point & 0x3FU));
  }
}

}  // namespace

bool JsonReader::refuse(std::string why) {
  if (!failed_) {
    failed_ = true;
    failed_at_ = at_;
    why_ = std::move(why);
    text_ = text_.substr(0, at_);
  }
  return false;
}

std::string JsonReader::error() const { return fmt::format("byte {}: {}", failed_at_, why_); }

void JsonReader::skip_blanks() noexcept {
  while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
}

bool JsonReader::take(char character) noexcept {
  skip_blanks();
  if (failed_ || at_ == text_.size() || text_[at_] != character) return false;
  ++at_;
  return true;
}

bool JsonReader::expect(char character) {
  return take(character) || refuse(at_ == text_.size() ? fmt::format("'{}' is missing, the text ends", character)
                                                       : fmt::format("'{}' is expected", character));
}

bool JsonReader::open(char bracket) {
  if (!expect(bracket)) return false;
  return ++depth_ <= kMaxDepth || refuse(fmt::format("values lie more than {} deep", kMaxDepth));
}

bool JsonReader::at_end() {
  skip_blanks();
  return !failed_ && (at_ == text_.size() || refuse("something follows the value"));
}

bool JsonReader::read_string(std::string& to) {
  to.clear();
  if (!expect('"')) return false;
  const std::size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != '"') {
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c < 0x20) return refuse("a control character inside a string");
    ++at_;
    if (c != '\\') {
      to += static_cast<char>(c);
    } else if (!read_escape(to)) {
      return false;
    }
  }
  if (at_ == text_.size()) return refuse("a string without an end");
  ++at_;
  if (pickle::is_strict_utf8(to)) return true;
  at_ = begin;
  return refuse("a string that is not UTF-8");
}

bool JsonReader::read_hex(std::uint32_t& unit) {
  unit = 0;
  if (text_.size() - at_ < 4) return refuse("an escape without its four digits");
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, unit, 16);
  if (error != std::errc() || end != text_.data() + at_ + 4) return refuse("an escape without its four digits");
  at_ += 4;
  return true;
}

bool JsonReader::read_escape(std::string& to) {
  constexpr std::string_view kNames = "\"\\/bfnrt";
  constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  if (at_ == text_.size()) return refuse("a string without an end");
  const char name = text_[at_++];
  if (const std::size_t found = kNames.find(name); found != std::string_view::npos) {
    to += kMeant[found];
    return true;
  }
  std::uint32_t point = 0;
  if (name != 'u') return refuse("an escape that JSON does not have");
  if (!read_hex(point)) return false;
  if (point >= 0xD800 && point < 0xDC00 && text_.substr(at_, 2) == "\\u") {
    at_ += 2;
    std::uint32_t low = 0;
    if (!read_hex(low)) return false;
    if (low < 0xDC00 || low > 0xDFFF) return refuse("a lone surrogate");
    point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
  }
  if (point >= 0xD800 && point < 0xE000) return refuse("a lone surrogate");
  append_utf8(to, point);
  return true;
}

bool JsonReader::read_unsigned(std::uint64_t& to) {
  skip_blanks();
  const std::size_t begin = at_;
  if (!skip_number()) return false;
  const std::string_view number = text_.substr(begin, at_ - begin);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), to);
  if (error == std::errc() && end == number.data() + number.size()) return true;
  at_ = begin;
  return refuse(fmt::format("'{}' is no integer from 0 to 2^64 - 1", number.substr(0, 40)));
}

bool JsonReader::skip_number() {
  const std::size_t begin = at_;
  const auto digits = [&] {
    const std::size_t first = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > first;
  };
  const auto next_is = [&](std::string_view any) {
    return at_ < text_.size() && any.find(text_[at_]) != std::string_view::npos;
  };
  if (next_is("-")) ++at_;
  bool sound = true;
  if (next_is("0")) {
    ++at_;
  } else {
    sound = digits();
  }
  if (sound && next_is(".")) ++at_, sound = digits();
  if (sound && next_is("eE")) {
    ++at_;
    if (next_is("+-")) ++at_;
    sound = digits();
  }
  if (sound) return true;
  at_ = begin;
  return refuse("a number is expected");
}

bool JsonReader::skip() {
  skip_blanks();
  if (failed_) return false;
  switch (at_ < text_.size() ? text_[at_] : '\0') {
    case '{': return read_object([this](const std::string&) { return skip(); });
    case '[': return read_array([this] { return skip(); });
    case '"': {
      std::string ignored;
      return read_string(ignored);
    }
    default: break;
  }
  for (const std::string_view word : {"true", "false", "null"}) {
    if (!text_.substr(at_).starts_with(word)) continue;
    at_ += word.size();
    return true;
  }
  return skip_number();
}

}  // namespace flatpoint::safetensors
