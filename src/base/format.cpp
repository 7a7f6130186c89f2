// The one source that sees all of fmt, so that nothing links its library and no other source pays for its headers.
#ifndef FMT_HEADER_ONLY
#define FMT_HEADER_ONLY
#endif
#include "base/format.hpp"

#include <fmt/format.h>

#include <iterator>

namespace flatpoint::fmt {

std::string format_erased(::fmt::string_view text, ::fmt::format_args arguments) {
  return ::fmt::vformat(text, arguments);
}

void append_erased(std::string& out, ::fmt::string_view text, ::fmt::format_args arguments) {
  ::fmt::vformat_to(std::back_inserter(out), text, arguments);
}

}  // namespace flatpoint::fmt
