#include "torch_checkpointing/json_path.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::torch_checkpointing {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// UTF-8, of surrogates too.
void append_code_point(std::string& to, std::uint32_t point) {
  const auto tail = [&](unsigned shift) { to += static_cast<char>(0x80U | (point >> shift & 0x3FU)); };
  if (point < 0x80) {
    to += static_cast<char>(point);
  } else if (point < 0x800) {
    to += static_cast<char>(0xC0U | point >> 6U);
    tail(0);
  } else if (point < 0x10000) {
    to += static_cast<char>(0xE0U | point >> 12U);
    tail(6), tail(0);
  } else {
    to += static_cast<char>(0xF0U | point >> 18U);
    tail(12), tail(6), tail(0);
  }
}

/// repr() of a float: the shortest digits that give it back.
std::string python_float(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

class PathReader {
 public:
  explicit PathReader(std::string_view text) noexcept : text_(text) {}

  Result<std::vector<PathElement>> read() {
    std::vector<PathElement> path;
    skip_blanks();
    if (!take('[')) return broken("a path is a JSON list");
    skip_blanks();
    if (!take(']')) {
      do {
        skip_blanks();
        auto element = read_element();
        RETURN_IF_ERROR(element);
        path.push_back(std::move(*element));
        skip_blanks();
      } while (take(','));
      if (!take(']')) return broken("']' is expected");
    }
    skip_blanks();
    if (at_ != text_.size()) return broken("something follows the list");
    return path;
  }

 private:
  using Kind = PathElement::Kind;

  [[nodiscard]] tl::unexpected<Error> broken(std::string_view what) const {
    return fail(ErrorCode::BadPickle, fmt::format("byte {} of the path: {}", at_, what));
  }
  bool take(char c) noexcept {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() noexcept {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  Result<PathElement> read_element() {
    if (take('"')) return read_text();
    static constexpr std::array<std::pair<std::string_view, PathElement::Kind>, 6> kWords{{{"true", Kind::Bool},
                                                                                           {"false", Kind::Bool},
                                                                                           {"null", Kind::None},
                                                                                           {"NaN", Kind::Float},
                                                                                           {"Infinity", Kind::Float},
                                                                                           {"-Infinity", Kind::Float}}};
    static constexpr std::array<std::string_view, 6> kMeant{"True", "False", "None", "nan", "inf", "-inf"};
    for (std::size_t i = 0; i < kWords.size(); ++i) {
      if (!text_.substr(at_).starts_with(kWords[i].first)) continue;
      at_ += kWords[i].first.size();
      return PathElement{kWords[i].second, std::string(kMeant[i])};
    }
    return read_number();
  }

  Result<PathElement> read_number() {
    const std::size_t begin = at_;
    const auto digits = [&] {
      const std::size_t first = at_;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
      return at_ > first;
    };
    take('-');
    bool sound = take('0') || digits();
    bool is_int = true;
    if (sound && take('.')) is_int = false, sound = digits();
    if (sound && (take('e') || take('E'))) {
      is_int = false;
      if (!take('+')) take('-');
      sound = digits();
    }
    if (!sound) {
      at_ = begin;
      return broken("a str, a number, true, false or null is expected");
    }
    const std::string_view number = text_.substr(begin, at_ - begin);
    if (is_int) return PathElement{Kind::Int, number == "-0" ? std::string("0") : std::string(number)};
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc()) return broken("a float beyond the range of float");
    return PathElement{Kind::Float, python_float(value)};
  }

  Result<PathElement> read_text() {
    PathElement element;
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) return broken("a control character in a str");
      ++at_;
      if (c != '\\') {
        element.text += c;
      } else if (!read_escape(element.text)) {
        return broken("an escape that JSON does not have");
      }
    }
    if (!take('"')) return broken("a str without an end");
    return element;
  }

  bool read_escape(std::string& to) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) return false;
    const char name = text_[at_++];
    if (const std::size_t found = kNames.find(name); found != std::string_view::npos) {
      to += kMeant[found];
      return true;
    }
    std::uint32_t point = 0;
    if (name != 'u' || !read_hex(point)) return false;
    if (point >= 0xD800 && point < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const std::size_t before = std::exchange(at_, at_ + 2);
      std::uint32_t low = 0;
      if (!read_hex(low)) return false;
      if (low >= 0xDC00 && low < 0xE000) {
        point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
      } else {
        at_ = before;  // a lone one, and the next
      }
    }
    append_code_point(to, point);
    return true;
  }

  bool read_hex(std::uint32_t& unit) noexcept {
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) return false;
    at_ += 4;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::vector<PathElement>> parse_path(std::string_view json) { return PathReader(json).read(); }

}  // namespace flatpoint::torch_checkpointing
