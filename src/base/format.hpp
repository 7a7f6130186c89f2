// base/format.hpp - text from a format string, by the rules of {fmt}. Formatting is compiled once, in format.cpp: the
// headers that do it would take half of every source's time. Inside flatpoint `fmt::` means what stands here.
#pragma once

#if __has_include(<fmt/base.h>)
#include <fmt/base.h>  // since fmt 11
#else
#include <fmt/core.h>
#endif

#include <concepts>
#include <ranges>
#include <string>
#include <string_view>

namespace flatpoint::fmt {

using ::fmt::format_string;

std::string format_erased(::fmt::string_view text, ::fmt::format_args arguments);
void append_erased(std::string& out, ::fmt::string_view text, ::fmt::format_args arguments);

template <class... Args>
[[nodiscard]] std::string format(format_string<Args...> text, Args&&... args) {
  return format_erased(text, ::fmt::make_format_args(args...));
}

/// Appends to `out`.
template <class... Args>
void append(std::string& out, format_string<Args...> text, Args&&... args) {
  append_erased(out, text, ::fmt::make_format_args(args...));
}

/// Numbers or texts with `between` between them.
template <std::ranges::input_range Range>
[[nodiscard]] std::string join(const Range& elements, std::string_view between) {
  std::string joined;
  bool first = true;
  for (const auto& element : elements) {
    if (!first) joined += between;
    first = false;
    if constexpr (std::integral<std::ranges::range_value_t<Range>>) {
      joined += std::to_string(element);
    } else {
      joined += element;
    }
  }
  return joined;
}

}  // namespace flatpoint::fmt
