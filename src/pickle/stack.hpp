// pickle/stack.hpp - the pickle machine's stack and its marks.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pickle/value.hpp"

namespace flatpoint::pickle {

/// Values between the innermost mark and the top are open; nothing below it can be popped.
class Stack {
 public:
  void push(Value value) { values_.push_back(value); }
  /// Whether `count` values are open.
  [[nodiscard]] bool has(std::size_t count) const noexcept { return values_.size() - fence_ >= count; }
  [[nodiscard]] std::size_t open() const noexcept { return values_.size() - fence_; }

  /// REQUIRES: has(1).
  [[nodiscard]] Value top() const noexcept { return values_.back(); }
  void replace_top(Value value) noexcept { values_.back() = value; }
  Value pop() noexcept {
    const Value value = values_.back();
    values_.pop_back();
    return value;
  }
  /// The last `count` values. REQUIRES: has(count).
  [[nodiscard]] std::span<const Value> last(std::size_t count) const noexcept { return std::span(values_).last(count); }
  void drop(std::size_t count) { values_.resize(values_.size() - count); }

  void mark() {
    marks_.push_back(values_.size());
    fence_ = values_.size();
  }
  [[nodiscard]] std::size_t marks() const noexcept { return marks_.size(); }
  /// Removes the innermost mark; what was open stays open. REQUIRES: marks() > 0.
  void unmark() {
    marks_.pop_back();
    fence_ = marks_.empty() ? 0 : marks_.back();
  }

 private:
  std::vector<Value> values_;
  std::vector<std::size_t> marks_;
  std::size_t fence_ = 0;
};

}  // namespace flatpoint::pickle
