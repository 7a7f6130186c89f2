// support/keep.hpp - keeps the compiler from dropping or moving what a benchmark measures.
#pragma once

namespace bench {

/// The value counts as used, and memory as read and written.
template <class T>
inline void keep(const T& value) noexcept {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace bench
