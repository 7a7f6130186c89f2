#include "archive/crc32.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flatpoint::archive {
namespace {

constexpr std::uint32_t kPolynomial = 0xEDB88320;  // reflected
constexpr std::size_t kSlices = 8;

using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

constexpr Tables make_tables() noexcept {
  Tables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1U ^ ((crc & 1U) != 0 ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t before = tables[slice - 1][i];
      tables[slice][i] = before >> 8U ^ tables[0][before & 0xFFU];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

/// Continues with the inverted checksum, eight bytes at a time.
std::uint32_t update_by_tables(std::uint32_t state, const std::byte* at, std::size_t size) noexcept {
  for (; size >= 8; size -= 8, at += 8) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, at, sizeof low);
    std::memcpy(&high, at + 4, sizeof high);
    low ^= state;
    state = kTables[7][low & 0xFFU] ^ kTables[6][low >> 8U & 0xFFU] ^ kTables[5][low >> 16U & 0xFFU] ^
            kTables[4][low >> 24U] ^ kTables[3][high & 0xFFU] ^ kTables[2][high >> 8U & 0xFFU] ^
            kTables[1][high >> 16U & 0xFFU] ^ kTables[0][high >> 24U];
  }
  for (; size > 0; --size, ++at) state = state >> 8U ^ kTables[0][(state ^ static_cast<std::uint32_t>(*at)) & 0xFFU];
  return state;
}

#if defined(__x86_64__)

/// x^n modulo the polynomial, reflected into 33 bits as a carry-less multiplication of reflected numbers wants it.
constexpr std::uint64_t power(int n) noexcept {
  std::uint32_t rest = 0x80000000;  // x^0
  for (int i = 0; i < n; ++i) rest = rest >> 1U ^ ((rest & 1U) != 0 ? kPolynomial : 0);
  return std::uint64_t{rest} << 1U;
}

constexpr int kLanes = 4;
constexpr std::size_t kLaneBytes = 16;
constexpr std::size_t kStep = kLanes * kLaneBytes;
// A lane's two halves stand 64 bits apart; moved over n bits they are multiplied by these.
constexpr std::array<std::uint64_t, 2> kOverStep{power(8 * kStep + 32), power(8 * kStep - 32)};
constexpr std::array<std::uint64_t, 2> kOverLane{power(8 * kLaneBytes + 32), power(8 * kLaneBytes - 32)};

__attribute__((target("pclmul,sse4.1"))) inline __m128i fold(__m128i lane, __m128i factors, __m128i next) noexcept {
  const __m128i low = _mm_clmulepi64_si128(lane, factors, 0x00);
  const __m128i high = _mm_clmulepi64_si128(lane, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/// Folds whole steps into one lane, whose checksum the tables finish: it is the checksum of all that came before.
/// REQUIRES: size >= 2 * kStep.
__attribute__((target("pclmul,sse4.1"))) std::uint32_t update_by_folding(std::uint32_t state, const std::byte* at,
                                                                         std::size_t size) noexcept {
  const auto load = [](const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); };
  const auto factors = [](const std::array<std::uint64_t, 2>& two) {
    return _mm_set_epi64x(static_cast<long long>(two[1]), static_cast<long long>(two[0]));
  };
  __m128i lane0 = _mm_xor_si128(load(at), _mm_cvtsi32_si128(static_cast<int>(state)));
  __m128i lane1 = load(at + kLaneBytes);
  __m128i lane2 = load(at + 2 * kLaneBytes);
  __m128i lane3 = load(at + 3 * kLaneBytes);
  at += kStep;
  size -= kStep;
  const __m128i over_step = factors(kOverStep);
  for (; size >= kStep; size -= kStep, at += kStep) {
    lane0 = fold(lane0, over_step, load(at));
    lane1 = fold(lane1, over_step, load(at + kLaneBytes));
    lane2 = fold(lane2, over_step, load(at + 2 * kLaneBytes));
    lane3 = fold(lane3, over_step, load(at + 3 * kLaneBytes));
  }
  const __m128i over_lane = factors(kOverLane);
  const __m128i lane = fold(fold(fold(lane0, over_lane, lane1), over_lane, lane2), over_lane, lane3);
  std::array<std::byte, kLaneBytes> folded{};
  _mm_storeu_si128(reinterpret_cast<__m128i*>(folded.data()), lane);
  return update_by_tables(update_by_tables(0, folded.data(), folded.size()), at, size);
}

bool can_fold() noexcept {
  static const bool can = __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0;
  return can;
}

#endif

}  // namespace

std::uint32_t crc32_by_tables(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  return ~update_by_tables(~crc, bytes.data(), bytes.size());
}

std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
#if defined(__x86_64__)
  if (bytes.size() >= 2 * kStep && can_fold()) return ~update_by_folding(~crc, bytes.data(), bytes.size());
#endif
  return crc32_by_tables(crc, bytes);
}

}  // namespace flatpoint::archive
