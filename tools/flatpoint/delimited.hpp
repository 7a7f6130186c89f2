// delimited.hpp - rows for spreadsheets and scripts.
#pragma once

#include <string>
#include <string_view>

#include "output.hpp"

namespace flatpoint::tool {

/// Lines of fields between commas (RFC 4180: quoted where needed) or tabs. Names are written as tables have them, so
/// that no field holds a tab or a line's end.
class Delimited {
 public:
  Delimited(Output& out, char separator) : out_(out), separator_(separator) {}

  Delimited& field(std::string_view text) {
    if (!is_first_) out_.write({&separator_, 1});
    is_first_ = false;
    if (separator_ == '\t' || text.find_first_of("\",") == std::string_view::npos) {
      out_.write(text);
      return *this;
    }
    std::string quoted = "\"";
    for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
    out_.write(quoted + '"');
    return *this;
  }
  void end_row() {
    out_.write("\n");
    is_first_ = true;
  }

 private:
  Output& out_;
  char separator_;
  bool is_first_ = true;
};

}  // namespace flatpoint::tool
