// pickle/audit_walk.hpp - follows a pickle as Python would, with what is known of each value in its place.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/large_vector.hpp"
#include "base/text_map.hpp"
#include "flatpoint/pickle_audit.hpp"
#include "pickle/audit_rules.hpp"
#include "pickle/audit_values.hpp"

namespace flatpoint::audit {

/// Bytes [begin, end) of a pickle.
struct Span {
  std::uint64_t begin;
  std::uint64_t end;
  bool continues = false;  // the one before it: they share what they memoize
};

/// What a pickle may hold although the list does not have it, because somebody asked for it.
struct Allowance {
  /// Each leaves one value more on the stack and touches nothing else; not judged. Ascending, disjoint.
  std::span<const Span> unjudged;
  /// "module name" of classes in the place of DCP's Metadata and _StorageInfo.
  std::span<const std::string> classes;
  /// For tests: every instruction is judged by itself.
  bool one_by_one = false;
};

class Walk {
 public:
  /// What they refer to outlives the walk.
  Walk(std::span<const std::uint8_t> pickle, const Allowance& allowance);
  PickleAudit run();

 private:
  static constexpr std::size_t kMaxActs = 1000;
  enum class Step { Next, Stop, Broken };

  struct Name {
    std::string text;  // "module.name"
    Form form;
  };
  // What a dict holds, as far as it matters when it becomes a state.
  static constexpr std::uint8_t kOddKey = 1;    // one that is no name of an attribute
  static constexpr std::uint8_t kOddValue = 2;  // one that a MetadataIndex does not have

  // pickle_audit.cpp: instructions.
  Step execute(std::uint8_t opcode);
  /// Notes the next position at which a frame or a span begins or ends.
  void watch() noexcept;
  Step boundary();
  Step enter_or_leave_span();
  Step broken(std::string_view why);
  void report(std::string_view name, std::string_view what);

  template <class Number>
  bool take(Number& number);
  bool take_bytes(std::uint64_t length, std::string_view& bytes);
  bool take_line(std::string_view& line);
  Step truncated() { return broken("the pickle ends inside an instruction"); }
  Step underflow() { return broken("the stack is empty"); }

  Step protocol();
  Step frame();
  Step stop();
  template <class Number>
  Step push_int();
  template <class Length>
  Step push_long();
  Step push_int_line(bool is_long);
  Step skip_number(std::uint64_t bytes, Kind kind);
  Step skip_line(Kind kind);
  template <class Length>
  Step push_text();
  template <class Length>
  Step push_bytes(Kind kind);
  Step push_text_line(bool quoted);
  [[nodiscard]] Seen text_at(std::string_view text) const noexcept;

  Step push(Seen value) {
    stack_.push_back(value);
    return Step::Next;
  }
  [[nodiscard]] bool has(std::size_t count) const noexcept { return stack_.size() - bottom() >= count; }
  [[nodiscard]] std::size_t bottom() const noexcept { return marks_.size() > mark_floor_ ? marks_.back() : floor_; }
  Seen pop() noexcept {
    const Seen value = stack_.back();
    stack_.pop_back();
    return value;
  }
  Step pop_one();
  /// Calls `make` with how many values stand above the last mark, which goes.
  template <class Make>
  Step marked(Make make) {
    if (marks_.size() <= mark_floor_) return broken("there is no mark");
    const std::size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return make(count);
  }

  Step tuple(std::size_t count);
  Step frozen_set(std::size_t count);
  Step list(std::size_t count);
  Step dict(std::size_t count);
  Step append(std::size_t count, Kind to);
  Step set_items(std::size_t count);

  Step memoize() { return has(1) ? put(memo_.size() + sparse_.size()) : underflow(); }
  Step put(std::uint64_t id);
  template <class Id>
  Step put_numbered();
  Step put_line();
  Step get(std::uint64_t id);
  template <class Id>
  Step get_numbered();
  Step get_line();

  // audit_objects.cpp: whole objects.
  class ObjectReader;
  /// An object of the class that was fetched, with plain attributes; false, and nothing is taken, where it is another.
  bool take_object(Seen cls);

  // audit_calls.cpp: names, calls and states.
  Step global_line();
  Step stack_global();
  Seen name(std::string_view module, std::string_view name);
  Step reduce();
  Step new_object();
  Step new_object_ex();
  Step old_object(bool named_inline);
  Step build();
  /// Something becomes a part of another value.
  void place(Seen value);
  void place_key(Seen key);
  void place_item(std::uint8_t& flags, Seen key, Seen value);
  /// Whether these are the arguments that a form takes; what the call makes.
  std::optional<Seen> call(Form form, Seen arguments);
  [[nodiscard]] std::optional<Seen> call_with_ints(Form form, Seen arguments) const;
  [[nodiscard]] std::optional<Seen> call_with_values(Form form, std::span<const Seen> arguments);
  [[nodiscard]] std::optional<Seen> bare_object(Seen cls) const;
  [[nodiscard]] bool is_properties_state(Seen state) const;
  [[nodiscard]] Form form_of_name(Seen value) const noexcept {
    return value.is(Kind::Name) ? names_[value.payload()].form : Form::Foreign;
  }
  [[nodiscard]] bool is_class(Seen value) const noexcept {
    return value.is(Kind::Name) && form_of_name(value) != Form::Dtype;
  }
  [[nodiscard]] std::uint64_t weight(Seen value) const noexcept;
  [[nodiscard]] bool is_attribute_name(Seen value) const noexcept;
  [[nodiscard]] std::string_view text(Seen value) const noexcept;
  [[nodiscard]] std::string_view blamed(Seen callable) const noexcept;

  const std::span<const std::uint8_t> input_;
  const Allowance allowance_;
  PickleAudit audit_;
  std::set<std::string, std::less<>> reported_;

  std::uint64_t at_ = 0;
  std::uint64_t opcode_at_ = 0;
  std::uint64_t frame_end_ = 0;  // of the open frame; 0: none is open
  std::uint64_t watched_ = 0;
  int protocol_ = 0;

  base::LargeVector<Seen> stack_;
  std::vector<std::size_t> marks_;
  base::LargeVector<Seen> memo_;                    // entries from 0 without a gap
  std::unordered_map<std::uint64_t, Seen> sparse_;  // the others
  Tuples tuples_;
  base::LargeVector<std::uint8_t> dicts_;  // of each, kOddKey and kOddValue
  std::vector<Name> names_;
  base::TextMap<std::string, std::uint32_t> name_ids_;  // "module\nname"
  std::uint64_t copied_ = 0;                            // bytes of texts that calls were given

  std::size_t next_span_ = 0;
  bool in_span_ = false;
  std::size_t floor_ = 0;  // of the stack, inside a span
  std::size_t mark_floor_ = 0;
  std::uint64_t memo_floor_ = 0;
};

}  // namespace flatpoint::audit
