// pickle/heap.hpp - everything that the values of one pickle point into.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pickle/arena.hpp"
#include "pickle/globals.hpp"
#include "pickle/text_table.hpp"
#include "pickle/value.hpp"

namespace flatpoint::pickle {

struct Heap {
  /// `meaning` says what names mean to whoever reads the values; see Globals.
  explicit Heap(std::span<const std::uint8_t> pickle, Globals::Meaning meaning = nullptr)
      : input(pickle), globals(meaning) {}

  std::span<const std::uint8_t> input;  // may change underneath: nothing is read from it twice and trusted twice
  Arena arena;
  Globals globals;
  TextTable texts;             // that Tag::Interned numbers
  std::vector<Value> dropped;  // what POP and STOP left behind; see made_for_nothing()

  template <class Node>
  Node* make(const Node& node) {
    return new (arena.allocate(sizeof(Node))) Node(node);
  }
  Value make_text(Tag tag, std::string_view text) { return Value(tag, make(TextNode{text.data(), text.size()})); }
  Value make_int(std::int64_t number) {
    return Value::fits_int(number) ? Value::integer(number) : Value(Tag::BoxedInt, make(number));
  }

  /// The text of a str; nothing for other values.
  [[nodiscard]] std::optional<std::string_view> text(Value value) const {
    switch (value.tag()) {
      case Tag::Text:
        return std::string_view(reinterpret_cast<const char*>(input.data()) + value.text_position(),
                                value.text_length());
      case Tag::LongText: return value.node<TextNode>()->view();
      case Tag::Interned: return texts[value.number()];
      default: return std::nullopt;
    }
  }
  /// An int that fits; nothing for other values (a bool is another value).
  [[nodiscard]] static std::optional<std::int64_t> integer(Value value) {
    if (value.is(Tag::Int)) return value.inline_int();
    if (value.is(Tag::BoxedInt)) return *value.node<std::int64_t>();
    return std::nullopt;
  }
};

}  // namespace flatpoint::pickle
