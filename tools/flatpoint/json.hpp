// json.hpp - JSON as it is printed: a stream, as a listing may have a million rows.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"

namespace flatpoint::tool {

/// Appends a JSON string. FQNs are bytes: lone surrogates become \udXXX, and a byte that is not UTF-8 at all becomes
/// \udcXX, as Python's "surrogateescape" has it (which is why this is not left to a JSON library).
void append_json_string(std::string& out, std::string_view text);

/// Writes one JSON value. Calls must nest as JSON does; a key comes before each member of an object.
class Json {
 public:
  enum class Style {
    Lines,   // a member per line
    Inline,  // all in one line
  };

  explicit Json(Output& out) : out_(out) {}

  void begin_object(Style style = Style::Inline) { begin('{', '}', style); }
  void begin_array(Style style = Style::Inline) { begin('[', ']', style); }
  void end();
  Json& key(std::string_view name);

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(const std::string& text) { value(std::string_view(text)); }
  void value(bool yes) { raw(yes ? "true" : "false"); }
  void value(std::nullptr_t) { raw("null"); }
  void value(double number) { raw(fmt::format("{}", number)); }  // must be finite
  template <std::integral T>
  void value(T number) {
    raw(std::to_string(number));
  }
  template <class T>
  void value(const std::optional<T>& known) {
    known ? value(*known) : value(nullptr);
  }
  template <std::ranges::input_range Range>
  void value(const Range& elements) {
    begin_array();
    for (const auto& element : elements) value(element);
    end();
  }

  template <class T>
  void member(std::string_view name, const T& what) {
    key(name).value(what);
  }

 private:
  struct Level {
    char close;
    bool lines;
    bool empty = true;
  };
  void begin(char open, char close, Style style);
  void separate();
  void new_line();
  void raw(std::string_view text);

  Output& out_;
  std::vector<Level> levels_;
  std::string scratch_;
  bool after_key_ = false;
};

}  // namespace flatpoint::tool
