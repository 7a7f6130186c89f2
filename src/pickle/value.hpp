// pickle/value.hpp - what the pickle machine computes with: plain values, never code.
//
// A value is one word: a tag and 58 bits that hold it or say where it lies. Texts stay where they are in the pickle.
// Containers and objects are nodes in an arena; two values with the same word are the same object to Python.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace flatpoint::pickle {

enum class Tag : std::uint8_t {
  Unset,  // no value: an empty slot of the memo
  None,
  False,
  True,
  Int,           // the number itself
  BoxedInt,      // -> std::int64_t
  BinaryInt,     // -> TextNode: beyond int64, two's complement, little-endian
  DecimalInt,    // -> TextNode: beyond int64, as protocol 0 writes it
  Float,         // -> double
  Text,          // str: position and length in the pickle
  LongText,      // -> TextNode: str that the pickle does not hold as UTF-8, or that is too long for Text
  Interned,      // str: number in Heap::texts
  Bytes,         // -> TextNode
  ByteArray,     // -> TextNode
  Tuple,         // -> Tuple
  FrozenSet,     // -> Tuple
  List,          // -> Container
  Dict,          // -> Container: key, value, key, value, ...
  Set,           // -> Container
  Global,        // number in Globals
  Object,        // -> Object
  PersistentId,  // -> Value: what BINPERSID names, an object outside of the pickle
  // Tags from here on belong to a fold policy (fold.hpp). Each stands for an object that instructions would have built.
  Folded0,
  Folded1,
  Folded2,
  Folded3,
};

class Value {
 public:
  static constexpr int kPayloadBits = 58;
  static constexpr std::uint64_t kPayloadMask = (std::uint64_t{1} << kPayloadBits) - 1;
  static constexpr int kLengthBits = 22;  // of a Text; the other 36 are its position
  static constexpr std::uint64_t kLengthMask = (std::uint64_t{1} << kLengthBits) - 1;
  static constexpr std::uint64_t kMaxPosition = (std::uint64_t{1} << (kPayloadBits - kLengthBits)) - 1;

  constexpr Value() noexcept = default;
  constexpr explicit Value(Tag tag, std::uint64_t payload = 0) noexcept
      : word_(std::uint64_t{static_cast<std::uint8_t>(tag)} << kPayloadBits | payload) {}
  Value(Tag tag, const void* node) noexcept : Value(tag, reinterpret_cast<std::uintptr_t>(node)) {}

  static constexpr Value boolean(bool value) noexcept { return Value(value ? Tag::True : Tag::False); }
  /// REQUIRES: fits_int(value).
  static constexpr Value integer(std::int64_t value) noexcept {
    return Value(Tag::Int, static_cast<std::uint64_t>(value) & kPayloadMask);
  }
  static constexpr bool fits_int(std::int64_t value) noexcept {
    constexpr std::int64_t kLimit = std::int64_t{1} << (kPayloadBits - 1);
    return value >= -kLimit && value < kLimit;
  }
  /// REQUIRES: position <= kMaxPosition, length <= kLengthMask.
  static constexpr Value text(std::uint64_t position, std::uint64_t length) noexcept {
    return Value(Tag::Text, position << kLengthBits | length);
  }

  [[nodiscard]] constexpr Tag tag() const noexcept { return static_cast<Tag>(word_ >> kPayloadBits); }
  [[nodiscard]] constexpr bool is(Tag tag) const noexcept { return this->tag() == tag; }
  [[nodiscard]] constexpr std::uint64_t payload() const noexcept { return word_ & kPayloadMask; }
  [[nodiscard]] constexpr std::uint32_t number() const noexcept { return static_cast<std::uint32_t>(word_); }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }

  /// REQUIRES: is(Tag::Int).
  [[nodiscard]] constexpr std::int64_t inline_int() const noexcept {
    return static_cast<std::int64_t>(word_ << (64 - kPayloadBits)) >> (64 - kPayloadBits);
  }
  /// REQUIRES: is(Tag::Text).
  [[nodiscard]] constexpr std::uint64_t text_position() const noexcept { return payload() >> kLengthBits; }
  [[nodiscard]] constexpr std::uint64_t text_length() const noexcept { return word_ & kLengthMask; }
  /// REQUIRES: the tag points to a node of this type.
  template <class Node>
  [[nodiscard]] Node* node() const noexcept {
    return reinterpret_cast<Node*>(static_cast<std::uintptr_t>(payload()));
  }

  constexpr bool operator==(const Value&) const noexcept = default;

 private:
  std::uint64_t word_ = 0;
};

struct TextNode {
  const char* data;
  std::uint64_t size;
  [[nodiscard]] std::string_view view() const noexcept { return {data, size}; }
};

/// Followed by `count` values.
struct Tuple {
  static constexpr std::uint64_t kMaxCount = (std::uint64_t{1} << 60) - 1;
  std::uint64_t count : 60 = 0;
  std::uint64_t reached : 1 = 0;   // made_for_nothing() was here
  std::uint64_t shared : 1 = 0;    // the memo or DUP gave it once more
  std::uint64_t frozen : 1 = 0;    // what it holds cannot change any more
  std::uint64_t hashable : 1 = 0;  // no list, dict, set or bytearray is in it
  [[nodiscard]] Value* items() noexcept { return reinterpret_cast<Value*>(this + 1); }
  [[nodiscard]] std::span<const Value> values() const noexcept {
    return {reinterpret_cast<const Value*>(this + 1), static_cast<std::size_t>(count)};
  }
};

/// What one instruction did to an object or added to a container. Followed by `count` values.
struct Block {
  enum class Kind : std::uint32_t { Append, Appends, SetItem, SetItems, AddItems, Build };
  Block* next;
  Kind kind;
  std::uint64_t count;
  [[nodiscard]] Value* items() noexcept { return reinterpret_cast<Value*>(this + 1); }
  [[nodiscard]] std::span<const Value> values() const noexcept {
    return {reinterpret_cast<const Value*>(this + 1), static_cast<std::size_t>(count)};
  }
};

struct BlockList {
  Block* first = nullptr;
  Block* last = nullptr;
  void push(Block* block) noexcept {
    (last == nullptr ? first : last->next) = block;
    last = block;
  }
};

struct Container {
  static constexpr std::uint64_t kMaxCount = (std::uint64_t{1} << 60) - 1;
  BlockList blocks;
  std::uint64_t count : 60 = 0;   // values in all blocks
  std::uint64_t reached : 1 = 0;  // made_for_nothing() was here
  std::uint64_t shared : 1 = 0;   // the memo or DUP gave it once more
  std::uint64_t taken : 1 = 0;    // BUILD copied its items: it cannot change any more
  std::uint64_t frozen : 1 = 0;   // it and all that it holds cannot change any more
};

/// Something made by a call that is never made here: `callable(*args)` (Reduce), `cls.__new__(cls, *args, **kwargs)`.
struct Object {
  enum class Kind : std::uint8_t { Reduce, New, NewEx };
  Kind kind;
  bool shared = false;   // the memo or DUP gave it once more
  bool frozen = false;   // it and all that it holds cannot change any more
  bool reached = false;  // made_for_nothing() was here
  Value callable;
  Value args;        // Tuple
  Value kwargs;      // Dict, of NewEx
  BlockList blocks;  // what was done to it afterwards, in order
};

/// From now on the value may be met more than once.
inline void share(Value value) noexcept {
  switch (value.tag()) {
    case Tag::Tuple:
    case Tag::FrozenSet: value.node<Tuple>()->shared = 1; return;
    case Tag::List:
    case Tag::Dict:
    case Tag::Set: value.node<Container>()->shared = 1; return;
    case Tag::Object: value.node<Object>()->shared = true; return;
    default: return;
  }
}

/// Whether a value may be met more than once, as the same object: one that was fetched again, or is no node.
inline bool is_shared(Value value) noexcept {
  switch (value.tag()) {
    case Tag::Tuple:
    case Tag::FrozenSet: return value.node<Tuple>()->shared != 0;
    case Tag::List:
    case Tag::Dict:
    case Tag::Set: return value.node<Container>()->shared != 0;
    case Tag::Object: return value.node<Object>()->shared;
    default: return true;
  }
}

}  // namespace flatpoint::pickle
