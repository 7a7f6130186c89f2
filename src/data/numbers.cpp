#include "data/numbers.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace flatpoint::data {
namespace {

/// A float of 8 bits, by its number of mantissa bits and its bias. `finite`: no infinities; only one pattern is NaN.
float from_float8(unsigned bits, unsigned mantissa_bits, int bias, bool finite, bool negative_zero_is_nan) {
  const float sign = (bits & 0x80U) != 0 ? -1.0F : 1.0F;
  const unsigned magnitude = bits & 0x7FU;
  const unsigned mantissa = magnitude & ((1U << mantissa_bits) - 1U);
  const unsigned exponent = magnitude >> mantissa_bits;
  const unsigned most = 0x7FU >> mantissa_bits;
  if (negative_zero_is_nan && bits == 0x80U) return std::numeric_limits<float>::quiet_NaN();
  if (finite && !negative_zero_is_nan && magnitude == 0x7FU) return std::numeric_limits<float>::quiet_NaN();
  if (!finite && exponent == most)
    return mantissa == 0 ? sign * std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  const int shift = static_cast<int>(mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - shift);
  return sign *
         std::ldexp(static_cast<float>(mantissa + (1U << mantissa_bits)), static_cast<int>(exponent) - bias - shift);
}

template <class Number, class Convert>
void convert_each(std::span<const std::byte> bytes, std::span<double> numbers, Convert&& from) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    Number number;
    std::memcpy(&number, bytes.data() + i * sizeof number, sizeof number);
    numbers[i] = static_cast<double>(from(number));
  }
}

}  // namespace

std::optional<ByteTable> byte_table(ScalarType dtype) {
  ByteTable table{};
  for (unsigned i = 0; i < table.size(); ++i) {
    switch (dtype) {
      case ScalarType::Float8_e5m2: table[i] = from_float8(i, 2, 15, false, false); break;
      case ScalarType::Float8_e4m3fn: table[i] = from_float8(i, 3, 7, true, false); break;
      case ScalarType::Float8_e5m2fnuz: table[i] = from_float8(i, 2, 16, true, true); break;
      case ScalarType::Float8_e4m3fnuz: table[i] = from_float8(i, 3, 8, true, true); break;
      case ScalarType::Float8_e8m0fnu:
        table[i] = i == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, static_cast<int>(i) - 127);
        break;
      case ScalarType::Uint8: table[i] = static_cast<float>(i); break;
      case ScalarType::Int8: table[i] = static_cast<float>(static_cast<std::int8_t>(i)); break;
      case ScalarType::Bool: table[i] = i != 0 ? 1.0F : 0.0F; break;
      default: return std::nullopt;
    }
  }
  return table;
}

bool is_number(ScalarType dtype) {
  using enum ScalarType;
  constexpr std::array kKnown{Float16, Bfloat16, Float32, Float64, Int16, Int32, Int64, Uint16, Uint32, Uint64};
  return std::ranges::find(kKnown, dtype) != kKnown.end() || byte_table(dtype);
}

void to_doubles(ScalarType dtype, std::span<const std::byte> bytes, std::span<double> numbers) {
  const auto itself = [](auto number) { return number; };
  switch (dtype) {
    case ScalarType::Float16: return convert_each<std::uint16_t>(bytes, numbers, from_float16);
    case ScalarType::Bfloat16: return convert_each<std::uint16_t>(bytes, numbers, from_bfloat16);
    case ScalarType::Float32: return convert_each<float>(bytes, numbers, itself);
    case ScalarType::Float64: return convert_each<double>(bytes, numbers, itself);
    case ScalarType::Int16: return convert_each<std::int16_t>(bytes, numbers, itself);
    case ScalarType::Int32: return convert_each<std::int32_t>(bytes, numbers, itself);
    case ScalarType::Int64: return convert_each<std::int64_t>(bytes, numbers, itself);
    case ScalarType::Uint16: return convert_each<std::uint16_t>(bytes, numbers, itself);
    case ScalarType::Uint32: return convert_each<std::uint32_t>(bytes, numbers, itself);
    case ScalarType::Uint64: return convert_each<std::uint64_t>(bytes, numbers, itself);
    default: break;
  }
  const auto table = byte_table(dtype);
  convert_each<std::uint8_t>(bytes, numbers, [&](std::uint8_t byte) { return (*table)[byte]; });
}

}  // namespace flatpoint::data
