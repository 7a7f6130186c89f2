// pickle/machine.hpp - runs a pickle without executing it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/pickle_opcode.hpp"
#include "pickle/cursor.hpp"
#include "pickle/fold.hpp"
#include "pickle/heap.hpp"
#include "pickle/limits.hpp"
#include "pickle/memo.hpp"
#include "pickle/stack.hpp"

namespace flatpoint::pickle {

/// A stack machine for the instructions of pickle protocols 0 to 5. None of them calls, imports or looks anything up
/// here: what Python would call becomes an Object that says so. One machine runs one pickle, once.
///
/// Knows no library's classes. What does know them is a fold policy, NoFolds or one like it. The definitions stand in
/// machine.ipp, for the one source per policy that instantiates them.
template <class Folds>
class Machine {
 public:
  using Heap = typename Folds::Heap;

  enum class Outcome {
    Done,
    Failed,  // see error()
    Gone,    // the pickle asks for something that the policy did not keep: run it again with `fold` false
  };

  /// `heap` outlives the machine and what it returns. `digest` may be null.
  Machine(Heap& heap, const Limits& limits, const Dialect& dialect, bool fold, ContentDigest* digest);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Outcome run();

  /// After Done: what STOP returned, and the position behind STOP.
  [[nodiscard]] Value result() const noexcept { return result_; }
  [[nodiscard]] std::size_t end() const noexcept { return cursor_.at(); }
  /// After Failed; names the opcode and its byte offset.
  [[nodiscard]] const Error& error() const noexcept { return error_; }
  [[nodiscard]] std::size_t failed_at() const noexcept { return opcode_at_; }

 private:
  enum class Step { Next, Stop, Failed, Gone };

  Step execute();
  Step fail(std::string_view why);
  Step exceed(std::string_view option, std::uint64_t limit);
  Step truncated() {
    return fail(opcode_at_ < cursor_.frame_end() ? "its frame ends inside it" : "the pickle ends inside it");
  }
  Step underflow() { return fail("the stack holds too few values"); }
  Step refuse(std::string_view what);
  Step changed_late() { return fail("it changes what a call, an object or a dict took before"); }

  // Numbers, texts, bytes.
  template <class Number>
  Step push_fixed();
  Step push_float_bits();
  Step push_int_line(bool is_long);
  Step push_float_line();
  Step push_string_line();
  Step push_unicode_line();
  template <class Length>
  Step push_long();
  template <class Length>
  Step push_text();
  template <class Length>
  Step push_string();
  template <class Length>
  Step push_bytes(Tag tag);
  Step push(Value value) {
    stack_.push(value);
    return Step::Next;
  }
  Step push_decoded(std::string_view utf8);

  // The stack.
  Step mark();
  Step pop();
  Step pop_mark();
  Step drop(std::size_t count);
  Step dup();
  template <class Make>
  Step marked(Make make);

  // What Python looks at while the pickle runs, and we at its end, must not change in between.
  void freeze(Value value);
  void freeze_state(Value state) noexcept;
  bool freeze_key(Value key);
  bool freeze_keys(std::span<const Value> values, std::size_t step);

  // Containers.
  Step make_tuple(Tag tag, std::size_t count);
  Step make_container(Tag tag, Block::Kind kind, std::size_t count);
  Step add(Block::Kind kind, std::size_t count);
  Block* make_block(Block::Kind kind, std::size_t count);

  // Names and objects.
  Step global_line();
  Step stack_global();
  Step push_global(std::string_view module, std::string_view name);
  Step make_object(Object::Kind kind);
  [[nodiscard]] bool changes_its_argument(const Object& object) const;
  Step build();
  Step persistent_id();
  [[nodiscard]] static bool is_folded(Value value) noexcept { return value.tag() >= Tag::Folded0; }
  [[nodiscard]] bool is_callable(Value value) const noexcept { return value.is(Tag::Global) || value.is(Tag::Object); }

  // The memo.
  template <class Id>
  Step put();
  Step put_line();
  Step put_at(std::uint64_t id);
  Step memoize();
  template <class Id>
  Step get();
  Step get_line();
  Step get_at(std::uint64_t id);

  Step protocol();
  Step frame();
  Step stop();

  Heap& heap_;
  const Limits limits_;
  const Dialect dialect_;
  Cursor cursor_;
  Stack stack_;
  Memo memo_;
  Folds folds_;
  std::size_t opcode_at_ = 0;
  std::uint64_t opcodes_ = 0;
  Opcode opcode_ = Opcode::STOP;
  int protocol_ = 0;
  Value empty_tuple_;
  std::vector<Value> open_;  // of freeze and freeze_key: what is still to be visited
  Value result_;
  Error error_{};
};

extern template class Machine<NoFolds>;

}  // namespace flatpoint::pickle
