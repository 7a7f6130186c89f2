// data/numbers.hpp - the numbers that the elements of a dtype are.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "flatpoint/types.hpp"

namespace flatpoint::data {

inline float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16U); }

inline float from_float16(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16U;
  std::uint32_t rest = std::uint32_t{bits & 0x7FFFU} << 13U;
  const bool special = (bits & 0x7C00U) == 0x7C00U;
  rest = special ? rest | 0x7F800000U : std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) * 0x1p112F);
  return std::bit_cast<float>(rest | sign);
}

using ByteTable = std::array<float, 256>;

/// The value of every byte of a dtype of 8 bits; unset for others.
[[nodiscard]] std::optional<ByteTable> byte_table(ScalarType dtype);

/// Whether its elements are real numbers.
[[nodiscard]] bool is_number(ScalarType dtype);

/// The elements in `bytes`. REQUIRES: is_number; a double for each.
void to_doubles(ScalarType dtype, std::span<const std::byte> bytes, std::span<double> numbers);

}  // namespace flatpoint::data
