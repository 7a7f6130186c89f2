#include "json.hpp"

#include "text.hpp"

namespace flatpoint::tool {

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const auto value = static_cast<std::uint32_t>(point.value);
    if (!point.valid) {
      fmt::append(out, "\\u{:04x}", 0xDC00 + value);
    } else if (value == '"' || value == '\\') {
      out += '\\';
      out += static_cast<char>(value);
    } else if (value == '\n') {
      out += "\\n";
    } else if (value == '\t') {
      out += "\\t";
    } else if (value < 0x20 || (value >= 0x7F && value <= 0x9F) || point.is_surrogate()) {
      fmt::append(out, "\\u{:04x}", value);
    } else {
      out.append(text.substr(0, point.length));
    }
    text.remove_prefix(point.length);
  }
  out += '"';
}

void Json::begin(char open, char close, Style style) {
  separate();
  const bool lines = style == Style::Lines && (levels_.empty() || levels_.back().lines);
  levels_.push_back({close, lines});
  out_.write({&open, 1});
}

void Json::end() {
  const Level level = levels_.back();
  levels_.pop_back();
  if (level.lines && !level.empty) new_line();
  out_.write({&level.close, 1});
  if (levels_.empty()) out_.write("\n");
}

Json& Json::key(std::string_view name) {
  separate();
  scratch_.clear();
  append_json_string(scratch_, name);
  out_.write(scratch_);
  out_.write(": ");
  after_key_ = true;
  return *this;
}

void Json::value(std::string_view text) {
  separate();
  scratch_.clear();
  append_json_string(scratch_, text);
  out_.write(scratch_);
}

void Json::raw(std::string_view text) {
  separate();
  out_.write(text);
}

void Json::separate() {
  if (after_key_ || levels_.empty()) {
    after_key_ = false;
    return;
  }
  Level& level = levels_.back();
  if (!level.empty) out_.write(level.lines ? "," : ", ");
  if (level.lines) new_line();
  level.empty = false;
}

void Json::new_line() {
  out_.write("\n");
  for (std::size_t i = 0; i < levels_.size(); ++i) out_.write("  ");
}

}  // namespace flatpoint::tool
