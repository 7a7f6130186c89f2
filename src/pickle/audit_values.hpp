// pickle/audit_values.hpp - what the audit knows of the values that a pickle makes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/large_vector.hpp"

namespace flatpoint::audit {

enum class Kind : std::uint8_t {
  None,
  Bool,
  Int,      // payload: the number, or kLargeInt where it is negative or larger
  LongInt,  // of more than eight bytes
  Float,
  Text,      // payload: position and length in the pickle
  LongText,  // payload: length, and whether it begins with "__" or may; a str of which nothing else matters
  Bytes,     // payload: length
  ByteArray,
  Ints,      // a tuple of at most kMaxInts ints; payload: how many, and the first
  HeldInts,  // a tuple that holds such a tuple alone; payload: that of the other
  Tuple,     // payload: position in Tuples
  List,
  Set,
  FrozenSet,
  Dict,      // payload: number among the dicts
  Name,      // payload: number among the names
  Size,      // torch.Size; payload: how many ints
  Member,    // of an enumeration; payload: its Form
  Made,      // by another call; takes no state and no items
  Instance,  // of a class of DCP; payload: its Form
  OrderedDict,
  Kept,     // what an unjudged span left: may stand as a value, and nothing else
  InSpan,   // a memo entry of an unjudged span
  Refused,  // what an act made that is reported already
};

/// One word: copied, compared and kept by the million.
class Seen {
 public:
  static constexpr int kPayloadBits = 56;
  static constexpr std::uint64_t kPayloadMask = (std::uint64_t{1} << kPayloadBits) - 1;
  static constexpr int kLengthBits = 16;  // of a Text
  static constexpr std::uint64_t kMaxLength = (1 << kLengthBits) - 1;
  static constexpr std::uint64_t kLargeInt = (std::uint64_t{1} << 40) - 1;
  static constexpr std::uint64_t kMaxInts = 255;

  constexpr Seen() noexcept = default;
  constexpr explicit Seen(Kind kind, std::uint64_t payload = 0) noexcept
      : word_(std::uint64_t{static_cast<std::uint8_t>(kind)} << kPayloadBits | (payload & kPayloadMask)) {}
  static constexpr Seen integer(std::int64_t number) noexcept {
    const auto small = static_cast<std::uint64_t>(number);
    return Seen(Kind::Int, std::min(small, kLargeInt));
  }
  static constexpr Seen ints(std::uint64_t count, std::uint64_t first) noexcept {
    return Seen(Kind::Ints, first << 8 | count);
  }

  [[nodiscard]] constexpr Kind kind() const noexcept { return static_cast<Kind>(word_ >> kPayloadBits); }
  [[nodiscard]] constexpr bool is(Kind kind) const noexcept { return this->kind() == kind; }
  [[nodiscard]] constexpr std::uint64_t payload() const noexcept { return word_ & kPayloadMask; }
  /// REQUIRES: Ints or HeldInts.
  [[nodiscard]] constexpr std::uint64_t count() const noexcept { return word_ & 0xFF; }
  [[nodiscard]] constexpr std::uint64_t first() const noexcept { return payload() >> 8; }

 private:
  std::uint64_t word_ = 0;
};

/// The tuples that are none of ints, one after the other: a head, then the items.
class Tuples {
 public:
  static constexpr std::uint64_t kMaxCount = 0xFFFFFFFF;
  /// How many values hashing visits. A tuple hashes its items anew each time, so that tuples of tuples that are shared
  /// level by level hash for ever.
  static constexpr std::uint32_t kUnhashable = 0x7FFFFFFF;

  /// REQUIRES: at most kMaxCount items.
  Seen add(std::span<const Seen> items, std::uint64_t weight, bool holds_class) {
    const std::uint64_t at = words_.size();
    words_.push_back(Head{static_cast<std::uint32_t>(items.size()),
                          static_cast<std::uint32_t>(std::min<std::uint64_t>(weight, kUnhashable)), holds_class}
                         .word());
    for (const Seen item : items) words_.push_back(std::bit_cast<std::uint64_t>(item));
    return Seen(Kind::Tuple, at);
  }
  [[nodiscard]] std::span<const Seen> items(Seen tuple) const noexcept {
    return {reinterpret_cast<const Seen*>(words_.data() + tuple.payload() + 1), head(tuple).count};
  }
  [[nodiscard]] std::uint32_t weight(Seen tuple) const noexcept { return head(tuple).weight; }
  [[nodiscard]] bool holds_class(Seen tuple) const noexcept { return head(tuple).holds_class; }

 private:
  struct Head {
    std::uint32_t count;
    std::uint32_t weight;
    bool holds_class;
    [[nodiscard]] std::uint64_t word() const noexcept {
      return std::uint64_t{holds_class} << 63 | std::uint64_t{weight} << 32 | count;
    }
  };
  [[nodiscard]] Head head(Seen tuple) const noexcept {
    const std::uint64_t word = words_[tuple.payload()];
    return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32 & kUnhashable), word >> 63 != 0};
  }

  base::LargeVector<std::uint64_t> words_;
};

}  // namespace flatpoint::audit
