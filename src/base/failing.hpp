// base/failing.hpp - the one way to hand an error on.
#pragma once

#include <string>
#include <utility>

#include "flatpoint/error.hpp"

/// Returns the error of a Result from the function around it; goes on where there is none. Takes a call, or a variable
/// that is looked at afterwards:
///
///     RETURN_IF_ERROR(check_name(entry));
///     const auto file = File::open(path);
///     RETURN_IF_ERROR(file);
///
/// Who has a place to add does so instead: `if (!row) return fail_at(place, std::move(row.error()));`.
#define RETURN_IF_ERROR(...) FLATPOINT_RETURN_IF_ERROR(__COUNTER__, __VA_ARGS__)

// A name of its own for each: one may stand in a lambda inside of another.
#define FLATPOINT_RETURN_IF_ERROR(number, ...) FLATPOINT_RETURN_IF_ERROR_OF(number, __VA_ARGS__)
#define FLATPOINT_RETURN_IF_ERROR_OF(number, ...)                                                                  \
  do {                                                                                                             \
    if (auto&& result_##number = (__VA_ARGS__); !result_##number) [[unlikely]]                                     \
      return tl::unexpected<::flatpoint::Error>(std::forward<decltype(result_##number)>(result_##number).error()); \
  } while (false)

namespace flatpoint::base {

/// The error of bytes that break a rule of docs/format.md.
inline tl::unexpected<Error> broken_rule(std::string_view rule, std::string message,
                                         ErrorCode code = ErrorCode::Corrupt) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::string(rule)});
}

}  // namespace flatpoint::base
