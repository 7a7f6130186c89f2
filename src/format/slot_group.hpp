// format/slot_group.hpp - neighbouring slots of `fqn_slots`, looked at together: probing takes no branch per slot.
#pragma once

#include <cstdint>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/checked.hpp"
#include "format/fqn_slots.hpp"

namespace flatpoint::format {

/// Four slots side by side. Tells which are worth reading; who reads one checks what it says.
class SlotGroup {
 public:
  static constexpr std::uint32_t kSize = 4;

  /// REQUIRES: kSize slots lie at `slots`. Looks for the tag of `hash`.
  SlotGroup(const std::uint32_t* slots, const SlotCode& code, std::uint64_t hash) noexcept {
    const auto hash_top = static_cast<std::uint32_t>(hash >> 32);
#if defined(__SSE2__)
    const __m128i zero = _mm_setzero_si128();
    const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(slots));
    const __m128i difference = _mm_xor_si128(four, _mm_set1_epi32(static_cast<int>(hash_top)));
    const __m128i tag_difference = _mm_srl_epi32(difference, _mm_cvtsi32_si128(static_cast<int>(code.index_bits())));
    empty_ = lanes(_mm_cmpeq_epi32(four, zero));
    tagged_ = lanes(_mm_cmpeq_epi32(tag_difference, zero));
#else
    for (std::uint32_t i = 0; i < kSize; ++i) {
      const std::uint32_t slot = base::read_once(slots + i);
      empty_ |= std::uint32_t{slot == 0} << i;
      tagged_ |= std::uint32_t{code.tag_matches(slot, hash)} << i;
    }
#endif
  }

  [[nodiscard]] bool has_empty() const noexcept { return empty_ != 0; }
  /// Bit i: slot i has the tag, and no slot before it is empty.
  [[nodiscard]] std::uint32_t candidates() const noexcept { return tagged_ & ((empty_ & -empty_) - 1); }

 private:
#if defined(__SSE2__)
  static std::uint32_t lanes(__m128i equal) noexcept {
    return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(equal)));
  }
#endif
  std::uint32_t empty_ = 0;
  std::uint32_t tagged_ = 0;
};

}  // namespace flatpoint::format
