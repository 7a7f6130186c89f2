// base/checked.hpp - the only arithmetic on numbers that come from a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>

namespace flatpoint::base {

/// Whether [begin, begin + count) lies inside [0, size). Cannot wrap.
constexpr bool in_range(std::uint64_t begin, std::uint64_t count, std::uint64_t size) noexcept {
  return count <= size && begin <= size - count;
}

/// Reads a value from memory that may change underneath (a shared mapping), once: the compiler may not read it again,
/// so what was checked is what is used. `at` need not be aligned. Inlined always: it is one instruction, and look-ups
/// are made of it; left to the compiler, that depended on what else was compiled beside a source.
template <class T>
[[gnu::always_inline]] inline void read_once_into(T& value, const std::byte* at) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(&value, at, sizeof value);
  if constexpr (std::is_integral_v<T>) {
    asm volatile("" : "+r"(value));  // stays in its register
  } else {
    asm volatile("" : "+m"(value));
  }
}

template <class T>
[[gnu::always_inline]] inline T read_once_as(const std::byte* at) noexcept {
  T value;
  read_once_into(value, at);
  return value;
}

template <class T>
[[gnu::always_inline]] inline T read_once(const T* at) noexcept {
  return read_once_as<T>(reinterpret_cast<const std::byte*>(at));
}

/// The same for element i of a column. REQUIRES: i < column.size().
template <class T>
[[gnu::always_inline]] inline T read_once(std::span<const T> column, std::size_t i) noexcept {
  return read_once(column.data() + i);
}

/// The same, in place.
template <class T>
[[gnu::always_inline]] inline void read_once(std::span<const T> column, std::size_t i, T& value) noexcept {
  read_once_into(value, reinterpret_cast<const std::byte*>(column.data() + i));
}

/// a * b, false where it leaves uint64.
constexpr bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) noexcept {
  return !__builtin_mul_overflow(a, b, &product);
}

/// a + b, false where it leaves int64.
constexpr bool add(std::int64_t a, std::int64_t b, std::int64_t& sum) noexcept {
  return !__builtin_add_overflow(a, b, &sum);
}

/// Begin of interval i of an even cut of [0, n). Products that leave int64 stand at n.
constexpr std::int64_t even_point(std::int64_t i, std::int64_t step, std::int64_t n) noexcept {
  std::int64_t point = 0;
  if (__builtin_mul_overflow(i, step, &point)) return n;
  return point < n ? point : n;
}

/// a - b modulo 2^64: for numbers that only a broken file makes leave int64.
constexpr std::int64_t wrapping_subtract(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

}  // namespace flatpoint::base
