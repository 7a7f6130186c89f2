// pickle/text_table.hpp - distinct texts, numbered by first use.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "pickle/arena.hpp"

namespace flatpoint::pickle {

/// A checkpoint names its tensors in the same order again and again: for the keys, for the planner, for each rank that
/// wrote. So the text that followed the last one before is tried first, which costs one comparison and no hash.
class TextTable {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  /// The number of a text; a new text is copied and gets the next number.
  std::uint32_t intern(std::string_view text) { return follows(text) ? last_ : look_up(text); }

  /// Whether a text is the one that was expected; if so it becomes the last one.
  bool follows(std::string_view text) {
    const std::uint32_t next = last_ + 1;
    if (next >= texts_.size() || !equal(texts_[next], text)) return false;
    last_ = next;
    return true;
  }
  [[nodiscard]] std::uint32_t last() const noexcept { return last_; }

  /// Borrowed from the table; addresses survive a move.
  std::string_view operator[](std::uint32_t number) const { return texts_[number]; }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(texts_.size()); }

 private:
  static bool equal(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
  }
  std::uint32_t look_up(std::string_view text);
  void grow();

  std::vector<std::string_view> texts_;
  std::vector<std::uint64_t> slots_;  // upper half of the hash, then number + 1; 0 is empty
  Arena arena_;
  std::uint32_t last_ = kNone;  // kNone + 1 is 0: the first text is expected first
};

}  // namespace flatpoint::pickle
