// pickle/fold.hpp - the seam between the machine and whoever knows the shapes of a library's objects.
#pragma once

#include <cstdint>

#include "pickle/cursor.hpp"
#include "pickle/heap.hpp"
#include "pickle/limits.hpp"
#include "pickle/memo.hpp"
#include "pickle/stack.hpp"

namespace flatpoint::pickle {

/// What a fold policy is made from: the parts of a machine, which outlives it. The policy may move the cursor and push
/// onto the stack, as the instructions that it stands for would have.
template <class Heap>
struct MachineParts {
  Heap& heap;
  Cursor& cursor;
  Stack& stack;
  Memo& memo;
  const Limits& limits;
};

/// A library writes its objects with the same instructions again and again. A fold policy recognises them as bytes and
/// reads an object whole; Machine<Folds> asks it at the places named here. This one recognises nothing, and shows what
/// a policy has. Resolved at compile time: what is empty costs nothing.
class NoFolds {
 public:
  using Heap = pickle::Heap;
  explicit NoFolds(const MachineParts<Heap>& /*parts*/, bool /*open*/) {}

  /// A value is about to become memo entry `id` by MEMOIZE.
  void learn(Value /*value*/, std::uint64_t /*id*/) {}
  /// Whether fetching this entry may begin an object that it reads.
  [[nodiscard]] bool begins(std::uint64_t /*id*/) const noexcept { return false; }
  /// Reads as many as stand from `at` on, where the fetching instruction begins, and moves the cursor behind them.
  /// False: there was none. `opcodes` counts what would have been executed; its caller has counted the first.
  bool run(std::size_t /*at*/, std::uint64_t& /*opcodes*/) { return false; }
  /// From here on nothing is folded: the memo may be overwritten.
  void close() noexcept {}
  /// Whether it made memo entries of its own (Memo::skip), and what they hold.
  [[nodiscard]] bool has_entries() const noexcept { return false; }
  [[nodiscard]] MemoAnswer get(std::uint64_t /*id*/) const noexcept { return {MemoAnswer::Kind::Absent, {}}; }
};

}  // namespace flatpoint::pickle
