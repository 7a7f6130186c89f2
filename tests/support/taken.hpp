// tests/support/taken.hpp - the value of a result that a test relies on.
#pragma once

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "flatpoint/error.hpp"

namespace flatpoint::test {

/// The value, or an exception that says why there is none.
template <class T>
T taken(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace flatpoint::test
