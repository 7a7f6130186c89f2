// pickle/machine.ipp - what machine.hpp declares.
#pragma once

#include <algorithm>
#include <bit>

#include "base/format.hpp"
#include "pickle/machine.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::pickle {

template <class Folds>
Machine<Folds>::Machine(Heap& heap, const Limits& limits, const Dialect& dialect, bool fold, ContentDigest* digest)
    : heap_(heap),
      limits_(limits),
      dialect_(dialect),
      cursor_(heap.input, digest),
      folds_(MachineParts<Heap>{heap, cursor_, stack_, memo_, limits_}, fold) {}

template <class Folds>
auto Machine<Folds>::run() -> Outcome {
  for (;;) {
    opcode_at_ = cursor_.at();
    std::uint8_t byte = 0;
    if (!cursor_.take_number(byte) && !(cursor_.leave_frame() && cursor_.take_number(byte))) {
      error_ = {ErrorCode::BadPickle, fmt::format("the pickle ends at byte {} without STOP", opcode_at_)};
      return Outcome::Failed;
    }
    opcode_ = static_cast<Opcode>(byte);
    const Step step = ++opcodes_ > limits_.max_opcodes ? exceed("max_opcodes", limits_.max_opcodes) : execute();
    if (step == Step::Next) [[likely]]
      continue;
    return step == Step::Stop ? Outcome::Done : step == Step::Gone ? Outcome::Gone : Outcome::Failed;
  }
}

template <class Folds>
auto Machine<Folds>::execute() -> Step {
  using enum Opcode;
  switch (opcode_) {
    case PROTO: return protocol();
    case FRAME: return frame();
    case STOP: return stop();

    case NONE: return push(Value(Tag::None));
    case NEWTRUE: return push(Value(Tag::True));
    case NEWFALSE: return push(Value(Tag::False));
    case BININT1: return push_fixed<std::uint8_t>();
    case BININT2: return push_fixed<std::uint16_t>();
    case BININT: return push_fixed<std::int32_t>();
    case LONG1: return push_long<std::uint8_t>();
    case LONG4: return push_long<std::int32_t>();
    case INT: return push_int_line(false);
    case LONG: return push_int_line(true);
    case BINFLOAT: return push_float_bits();
    case FLOAT: return push_float_line();

    case SHORT_BINUNICODE: return push_text<std::uint8_t>();
    case BINUNICODE: return push_text<std::uint32_t>();
    case BINUNICODE8: return push_text<std::uint64_t>();
    case UNICODE: return push_unicode_line();
    case SHORT_BINSTRING: return push_string<std::uint8_t>();
    case BINSTRING: return push_string<std::int32_t>();
    case STRING: return push_string_line();
    case SHORT_BINBYTES: return push_bytes<std::uint8_t>(Tag::Bytes);
    case BINBYTES: return push_bytes<std::uint32_t>(Tag::Bytes);
    case BINBYTES8: return push_bytes<std::uint64_t>(Tag::Bytes);
    case BYTEARRAY8: return push_bytes<std::uint64_t>(Tag::ByteArray);

    case MARK: return mark();
    case POP: return pop();
    case POP_MARK: return pop_mark();
    case DUP: return dup();

    case EMPTY_TUPLE: return make_tuple(Tag::Tuple, 0);
    case TUPLE1: return make_tuple(Tag::Tuple, 1);
    case TUPLE2: return make_tuple(Tag::Tuple, 2);
    case TUPLE3: return make_tuple(Tag::Tuple, 3);
    case TUPLE: return marked([this](std::size_t count) { return make_tuple(Tag::Tuple, count); });
    case FROZENSET: return marked([this](std::size_t count) { return make_tuple(Tag::FrozenSet, count); });
    case EMPTY_LIST: return make_container(Tag::List, Block::Kind::Appends, 0);
    case EMPTY_DICT: return make_container(Tag::Dict, Block::Kind::SetItems, 0);
    case EMPTY_SET: return make_container(Tag::Set, Block::Kind::AddItems, 0);
    case LIST:
      return marked([this](std::size_t count) { return make_container(Tag::List, Block::Kind::Appends, count); });
    case DICT:
      return marked([this](std::size_t count) { return make_container(Tag::Dict, Block::Kind::SetItems, count); });
    case APPEND: return add(Block::Kind::Append, 1);
    case SETITEM: return add(Block::Kind::SetItem, 2);
    case APPENDS: return marked([this](std::size_t count) { return add(Block::Kind::Appends, count); });
    case SETITEMS: return marked([this](std::size_t count) { return add(Block::Kind::SetItems, count); });
    case ADDITEMS: return marked([this](std::size_t count) { return add(Block::Kind::AddItems, count); });

    case GLOBAL: return global_line();
    case STACK_GLOBAL: return stack_global();
    case REDUCE: return make_object(Object::Kind::Reduce);
    case NEWOBJ: return make_object(Object::Kind::New);
    case NEWOBJ_EX: return make_object(Object::Kind::NewEx);
    case BUILD: return build();

    case MEMOIZE: return memoize();
    case BINPUT: return put<std::uint8_t>();
    case LONG_BINPUT: return put<std::uint32_t>();
    case PUT: return put_line();
    case BINGET: return get<std::uint8_t>();
    case LONG_BINGET: return get<std::uint32_t>();
    case GET: return get_line();

    case INST:
    case OBJ: return refuse("it makes an object by calling a class, as Python 2 wrote; no DCP file needs it");
    case BINPERSID: return persistent_id();
    case PERSID: return refuse("it refers to an object outside of the file");
    case EXT1:
    case EXT2:
    case EXT4: return refuse("it names a class by a number that only the process that wrote it knows");
    case NEXT_BUFFER:
    case READONLY_BUFFER: return refuse("it takes a buffer from outside of the file");
  }
  return fail(fmt::format("no such opcode: 0x{:02x}", static_cast<unsigned>(opcode_)));
}

template <class Folds>
auto Machine<Folds>::fail(std::string_view why) -> Step {
  error_ = {ErrorCode::BadPickle, fmt::format("{} at byte {}: {}", name_of(opcode_), opcode_at_, why)};
  return Step::Failed;
}

template <class Folds>
auto Machine<Folds>::refuse(std::string_view what) -> Step {
  return fail(fmt::format("refused: {}", what));
}

template <class Folds>
auto Machine<Folds>::exceed(std::string_view option, std::uint64_t limit) -> Step {
  error_ = {ErrorCode::TooLarge,
            fmt::format("{} at byte {}: exceeds the limit {} = {}", name_of(opcode_), opcode_at_, option, limit)};
  return Step::Failed;
}

template <class Folds>
auto Machine<Folds>::protocol() -> Step {
  std::uint8_t version = 0;
  if (!cursor_.take_number(version)) return truncated();
  if (version > kHighestProtocol) return fail(fmt::format("protocol {} is newer than {}", version, kHighestProtocol));
  protocol_ = version;
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::frame() -> Step {
  std::uint64_t length = 0;
  if (!cursor_.take_number(length)) return truncated();
  if (opcode_at_ < cursor_.frame_end()) return fail("a frame inside of a frame");
  if (!cursor_.enter_frame(cursor_.at(), length)) return truncated();
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::stop() -> Step {
  if (!stack_.has(1)) return underflow();
  result_ = stack_.pop();
  while (stack_.marks() > 0 || stack_.open() > 0) {
    if (drop(stack_.open()) == Step::Gone) return Step::Gone;
    if (stack_.marks() > 0) stack_.unmark();
  }
  return Step::Stop;
}

template <class Folds>
template <class Number>
auto Machine<Folds>::push_fixed() -> Step {
  Number number = 0;
  if (!cursor_.take_number(number)) return truncated();
  return push(Value::integer(number));
}

template <class Folds>
template <class Length>
auto Machine<Folds>::push_long() -> Step {
  Length length = 0;
  std::string_view bytes;
  if (!cursor_.take_number(length)) return truncated();
  if (std::is_signed_v<Length> && length < 0) return fail("a negative length");
  if (!cursor_.take(static_cast<std::uint64_t>(length), bytes)) return truncated();
  const auto sign_only = [&] { return bytes.back() == (bytes[bytes.size() - 2] < 0 ? '\xFF' : '\0'); };
  while (bytes.size() > sizeof(std::int64_t) && sign_only()) bytes.remove_suffix(1);
  if (bytes.size() > sizeof(std::int64_t)) return push(heap_.make_text(Tag::BinaryInt, bytes));
  std::int64_t number = 0;
  std::memcpy(&number, bytes.data(), bytes.size());
  if (!bytes.empty()) {
    const auto unused = static_cast<int>(8 * (sizeof number - bytes.size()));
    number = static_cast<std::int64_t>(static_cast<std::uint64_t>(number) << unused) >> unused;
  }
  return push(heap_.make_int(number));
}

template <class Folds>
auto Machine<Folds>::push_int_line(bool is_long) -> Step {
  std::string_view line;
  if (!cursor_.take_line(line)) return truncated();
  if (!is_long && (line == "00" || line == "01")) return push(Value::boolean(line == "01"));
  if (is_long && line.ends_with('L')) line.remove_suffix(1);
  if (const auto number = parse_int(line)) return push(heap_.make_int(*number));
  if (!is_decimal(line)) return fail("not a number");
  return push(heap_.make_text(Tag::DecimalInt, line));
}

template <class Folds>
auto Machine<Folds>::push_float_bits() -> Step {
  std::uint64_t bits = 0;
  if (!cursor_.take_number(bits)) return truncated();
  return push(Value(Tag::Float, heap_.make(std::bit_cast<double>(__builtin_bswap64(bits)))));
}

template <class Folds>
auto Machine<Folds>::push_float_line() -> Step {
  std::string_view line;
  if (!cursor_.take_line(line)) return truncated();
  const auto number = parse_float(line);
  if (!number) return fail("not a number");
  return push(Value(Tag::Float, heap_.make(*number)));
}

template <class Folds>
template <class Length>
auto Machine<Folds>::push_text() -> Step {
  Length length = 0;
  std::string_view bytes;
  if (!cursor_.take_number(length) || !cursor_.take(length, bytes)) return truncated();
  if (!is_utf8(bytes)) return fail("a str that is not UTF-8");
  if (bytes.size() > Value::kLengthMask) return push(heap_.make_text(Tag::LongText, bytes));
  return push(Value::text(cursor_.at() - bytes.size(), bytes.size()));
}

template <class Folds>
template <class Length>
auto Machine<Folds>::push_string() -> Step {
  Length length = 0;
  std::string_view bytes;
  if (!cursor_.take_number(length)) return truncated();
  if (std::is_signed_v<Length> && length < 0) return fail("a negative length");
  if (!cursor_.take(static_cast<std::uint64_t>(length), bytes)) return truncated();
  if (!is_ascii(bytes)) return fail("a str of Python 2 that is not ASCII");
  return push(heap_.make_text(Tag::LongText, bytes));
}

template <class Folds>
auto Machine<Folds>::push_string_line() -> Step {
  std::string_view line;
  if (!cursor_.take_line(line)) return truncated();
  const auto text = unquote(line);
  if (!text) return fail("not a quoted text");
  if (!is_ascii(*text)) return fail("a str of Python 2 that is not ASCII");
  return push_decoded(*text);
}

template <class Folds>
auto Machine<Folds>::push_unicode_line() -> Step {
  std::string_view line;
  if (!cursor_.take_line(line)) return truncated();
  const auto text = decode_raw_unicode_escape(line);
  if (!text) return fail("a broken escape");
  return push_decoded(*text);
}

template <class Folds>
auto Machine<Folds>::push_decoded(std::string_view utf8) -> Step {
  return push(heap_.make_text(Tag::LongText, heap_.arena.copy(utf8)));
}

template <class Folds>
template <class Length>
auto Machine<Folds>::push_bytes(Tag tag) -> Step {
  Length length = 0;
  std::string_view bytes;
  if (!cursor_.take_number(length) || !cursor_.take(length, bytes)) return truncated();
  return push(heap_.make_text(tag, bytes));
}

template <class Folds>
auto Machine<Folds>::mark() -> Step {
  if (stack_.marks() >= limits_.max_depth) return exceed("max_depth", limits_.max_depth);
  stack_.mark();
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::pop() -> Step {
  if (stack_.has(1)) {
    return drop(1);
  } else if (stack_.marks() > 0) {
    stack_.unmark();
  } else {
    return underflow();
  }
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::pop_mark() -> Step {
  return marked([this](std::size_t count) { return drop(count); });
}

// What a call makes may fail in Python, also where nobody wants it.
template <class Folds>
auto Machine<Folds>::drop(std::size_t count) -> Step {
  for (const Value value : stack_.last(count)) {
    if (is_folded(value)) return Step::Gone;
    if (value.tag() >= Tag::Tuple && value.tag() <= Tag::Object && value != empty_tuple_)
      heap_.dropped.push_back(value);
  }
  stack_.drop(count);
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::dup() -> Step {
  if (!stack_.has(1)) return underflow();
  share(stack_.top());
  return push(stack_.top());
}

// Everything above the innermost mark, which goes.
template <class Folds>
template <class Make>
auto Machine<Folds>::marked(Make make) -> Step {
  if (stack_.marks() == 0) return fail("there is no mark");
  const std::size_t count = stack_.open();
  stack_.unmark();
  return make(count);
}

template <class Folds>
auto Machine<Folds>::make_tuple(Tag tag, std::size_t count) -> Step {
  if (!stack_.has(count)) return underflow();
  if (count == 0 && tag == Tag::Tuple && !empty_tuple_.is(Tag::Unset)) return push(empty_tuple_);
  if (tag == Tag::FrozenSet && !freeze_keys(stack_.last(count), 1)) return fail("an unhashable value in a set");
  auto* const tuple = new (heap_.arena.allocate(sizeof(Tuple) + count * sizeof(Value))) Tuple{};
  tuple->count = count & Tuple::kMaxCount;
  std::ranges::copy(stack_.last(count), tuple->items());
  stack_.drop(count);
  if (count == 0 && tag == Tag::Tuple) empty_tuple_ = Value(tag, tuple);
  return push(Value(tag, tuple));
}

template <class Folds>
Block* Machine<Folds>::make_block(Block::Kind kind, std::size_t count) {
  auto* const block = static_cast<Block*>(heap_.arena.allocate(sizeof(Block) + count * sizeof(Value)));
  block->next = nullptr;
  block->kind = kind;
  block->count = count;
  std::ranges::copy(stack_.last(count), block->items());
  stack_.drop(count);
  return block;
}

template <class Folds>
auto Machine<Folds>::make_container(Tag tag, Block::Kind kind, std::size_t count) -> Step {
  if (tag == Tag::Dict && count % 2 != 0) return fail("a key without a value");
  if (tag == Tag::Dict && !freeze_keys(stack_.last(count), 2)) return fail("an unhashable key");
  Container container;
  if (count > 0) {
    container.blocks.push(make_block(kind, count));
    container.count = count & Container::kMaxCount;
  }
  return push(Value(tag, heap_.make(container)));
}

// A call sees its arguments as they are when it is made.
template <class Folds>
void Machine<Folds>::freeze(Value value) {
  const auto open_all = [this](std::span<const Value> values) {
    for (const Value each : values) {
      if (each.tag() >= Tag::Tuple && each.tag() <= Tag::Object) open_.push_back(each);
    }
  };
  const auto open_blocks = [&](const BlockList& blocks) {
    for (const Block* block = blocks.first; block != nullptr; block = block->next) open_all(block->values());
  };
  const std::size_t bottom = open_.size();
  open_all({&value, 1});
  while (open_.size() > bottom) {
    const Value next = open_.back();
    open_.pop_back();
    if (next.is(Tag::Tuple) || next.is(Tag::FrozenSet)) {
      auto* const tuple = next.node<Tuple>();
      if (!tuple->frozen) open_all(tuple->values());
      tuple->frozen = 1;
    } else if (next.is(Tag::Object)) {
      auto* const object = next.node<Object>();
      if (object->frozen) continue;
      object->frozen = true;  // what it was called with is frozen already
      open_all({&object->callable, 1});
      open_blocks(object->blocks);
    } else if (!next.is(Tag::Global)) {
      auto* const container = next.node<Container>();
      if (!container->frozen) open_blocks(container->blocks);
      container->frozen = 1;
    }
  }
}

// BUILD copies the items of the dict, or of the two dicts, that it gives to an object.
template <class Folds>
void Machine<Folds>::freeze_state(Value state) noexcept {
  constexpr std::uint64_t kMostParts = 8;
  const auto take = [](Value part) {
    if (part.is(Tag::List) || part.is(Tag::Dict) || part.is(Tag::Set)) part.node<Container>()->taken = 1;
  };
  take(state);
  if (!state.is(Tag::Tuple) || state.node<Tuple>()->count > kMostParts) return;
  for (const Value part : state.node<Tuple>()->values()) take(part);
}

// A dict finds a key by what it is when it is set. False: it has no hash.
template <class Folds>
bool Machine<Folds>::freeze_key(Value key) {
  open_.push_back(key);
  while (!open_.empty()) {
    const Value next = open_.back();
    open_.pop_back();
    switch (next.tag()) {
      case Tag::List:
      case Tag::Dict:
      case Tag::Set:
      case Tag::ByteArray: open_.clear(); return false;
      case Tag::Object: freeze(next); break;
      case Tag::Tuple: {
        auto* const tuple = next.node<Tuple>();
        if (!tuple->hashable) open_.insert(open_.end(), tuple->values().begin(), tuple->values().end());
        tuple->hashable = 1;
        break;
      }
      default: break;
    }
  }
  return true;
}

// Of every `step`-th value.
template <class Folds>
bool Machine<Folds>::freeze_keys(std::span<const Value> values, std::size_t step) {
  for (std::size_t i = 0; i < values.size(); i += step) {
    const Tag tag = values[i].tag();
    const bool is_plain = tag < Tag::ByteArray || tag > Tag::Object;
    if (!is_plain && !freeze_key(values[i])) return false;
  }
  return true;
}

// Gives the last values to the list, dict, set or object below them.
template <class Folds>
auto Machine<Folds>::add(Block::Kind kind, std::size_t count) -> Step {
  if (!stack_.has(count + 1)) return underflow();
  const bool pairs = kind == Block::Kind::SetItem || kind == Block::Kind::SetItems;
  if (pairs && count % 2 != 0) return fail("a key without a value");
  const Value to = stack_.last(count + 1).front();
  const Tag fitting = pairs ? Tag::Dict : kind == Block::Kind::AddItems ? Tag::Set : Tag::List;
  if (to.is(fitting)) {
    if (count == 0) return Step::Next;
    auto* const container = to.node<Container>();
    if (container->frozen || container->taken) return changed_late();
    if (fitting != Tag::List && !freeze_keys(stack_.last(count), pairs ? 2 : 1)) return fail("an unhashable key");
    container->blocks.push(make_block(kind, count));
    container->count = (container->count + count) & Container::kMaxCount;
  } else if (to.is(Tag::Object)) {
    if (count == 0) return Step::Next;
    if (to.node<Object>()->frozen) return changed_late();
    if (pairs && !freeze_keys(stack_.last(count), 2)) return fail("an unhashable key");
    to.node<Object>()->blocks.push(make_block(kind, count));
  } else {
    return is_folded(to) ? Step::Gone : fail("the value below cannot take it");
  }
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::persistent_id() -> Step {
  if (!dialect_.persistent_ids) return refuse("it refers to an object outside of the file");
  if (!stack_.has(1)) return underflow();
  return push(Value(Tag::PersistentId, heap_.make(stack_.pop())));
}

template <class Folds>
auto Machine<Folds>::global_line() -> Step {
  std::string_view module;
  std::string_view name;
  if (!cursor_.take_line(module) || !cursor_.take_line(name)) return truncated();
  if (module.empty() || name.empty()) return fail("an empty name");
  return push_global(module, name);
}

template <class Folds>
auto Machine<Folds>::stack_global() -> Step {
  if (!stack_.has(2)) return underflow();
  const auto name = heap_.text(stack_.pop());
  const auto module = heap_.text(stack_.pop());
  if (!module || !name) return fail("a name that is not str");
  return push_global(*module, *name);
}

template <class Folds>
auto Machine<Folds>::push_global(std::string_view module, std::string_view name) -> Step {
  if (!dialect_.names) return refuse("a pickle of plain values names nothing");
  if (!is_strict_utf8(module) || !is_strict_utf8(name)) return fail("a name that is not UTF-8");
  constexpr int kFirstOfPython3 = 3;
  constexpr int kFirstOfDots = 4;
  if (protocol_ < kFirstOfDots && name.find('.') != std::string_view::npos) {
    return fail("a name inside of a name, before protocol 4");
  }
  const auto read = protocol_ < kFirstOfPython3 ? python_3_name(module, name) : ModuleAndName{module, name};
  return push(Value(Tag::Global, heap_.globals.intern(read.module, read.name)));
}

// copyreg._reconstructor(class, base, state) calls base.__init__. Of an object in the place of the class that changes
// what was made before.
template <class Folds>
bool Machine<Folds>::changes_its_argument(const Object& object) const {
  if (object.kind != Object::Kind::Reduce || !object.callable.is(Tag::Global)) return false;
  const GlobalName& name = heap_.globals[object.callable.number()];
  if (name.module != "copyreg" || name.name != "_reconstructor") return false;
  const auto arguments = object.args.template node<Tuple>()->values();
  return arguments.size() >= 2 && !(arguments[0].is(Tag::Global) && arguments[1].is(Tag::Global));
}

template <class Folds>
auto Machine<Folds>::make_object(Object::Kind kind) -> Step {
  const bool with_kwargs = kind == Object::Kind::NewEx;
  if (!stack_.has(with_kwargs ? 3 : 2)) return underflow();
  Object object{};
  object.kind = kind;
  if (with_kwargs) object.kwargs = stack_.pop();
  object.args = stack_.pop();
  object.callable = stack_.pop();
  if (with_kwargs && !object.kwargs.is(Tag::Dict)) return fail("the keyword arguments are not a dict");
  if (!object.args.is(Tag::Tuple)) return fail("the arguments are not a tuple");
  if (is_folded(object.callable)) return Step::Gone;
  if (!is_callable(object.callable)) return fail("what would be called is not a name");
  if (changes_its_argument(object)) return fail("it makes an object by another one");
  freeze(object.callable);
  freeze(object.args);
  if (with_kwargs) freeze(object.kwargs);
  return push(Value(Tag::Object, heap_.make(object)));
}

template <class Folds>
auto Machine<Folds>::build() -> Step {
  if (!stack_.has(2)) return underflow();
  const Value to = stack_.last(2).front();
  if (!to.is(Tag::Object)) return is_folded(to) ? Step::Gone : fail("only an object has a state");
  if (to.node<Object>()->frozen) return changed_late();
  freeze_state(stack_.top());
  to.node<Object>()->blocks.push(make_block(Block::Kind::Build, 1));
  return Step::Next;
}

template <class Folds>
auto Machine<Folds>::memoize() -> Step {
  if (!stack_.has(1)) return underflow();
  if (memo_.size() >= limits_.max_memo) return exceed("max_memo", limits_.max_memo);
  folds_.learn(stack_.top(), memo_.size());
  memo_.memoize(stack_.top());
  return Step::Next;
}

template <class Folds>
template <class Id>
auto Machine<Folds>::put() -> Step {
  Id id = 0;
  return cursor_.take_number(id) ? put_at(id) : truncated();
}

template <class Folds>
auto Machine<Folds>::put_line() -> Step {
  std::string_view line;
  if (!cursor_.take_line(line)) return truncated();
  const auto id = parse_int(line);
  if (!id || *id < 0) return fail("not a memo index");
  return put_at(static_cast<std::uint64_t>(*id));
}

template <class Folds>
auto Machine<Folds>::put_at(std::uint64_t id) -> Step {
  if (!stack_.has(1)) return underflow();
  if (id >= limits_.max_memo) return exceed("max_memo", limits_.max_memo);
  // Picklers number their entries one by one. Numbers far apart would take a page of the memo each.
  if (id >= std::max<std::uint64_t>(heap_.input.size(), Memo::kPage)) {
    return fail(fmt::format("memo index {} in a pickle of {} bytes", id, heap_.input.size()));
  }
  if (folds_.has_entries()) return Step::Gone;
  folds_.close();
  memo_.put(id, stack_.top());
  return Step::Next;
}

template <class Folds>
template <class Id>
auto Machine<Folds>::get() -> Step {
  Id id = 0;
  if (!cursor_.take_number(id)) return truncated();
  if (folds_.begins(id) && folds_.run(opcode_at_, opcodes_)) return Step::Next;
  return get_at(id);
}

template <class Folds>
auto Machine<Folds>::get_line() -> Step {
  std::string_view line;
  if (!cursor_.take_line(line)) return truncated();
  const auto id = parse_int(line);
  if (!id || *id < 0) return fail("not a memo index");
  return get_at(static_cast<std::uint64_t>(*id));
}

template <class Folds>
auto Machine<Folds>::get_at(std::uint64_t id) -> Step {
  const Value value = memo_.peek(id);
  if (!value.is(Tag::Unset)) {
    share(value);
    return push(value);
  }
  const MemoAnswer answer = folds_.get(id);
  if (answer.kind == MemoAnswer::Kind::Gone) return Step::Gone;
  if (answer.kind == MemoAnswer::Kind::Absent) return fail(fmt::format("the memo has no entry {}", id));
  return push(answer.value);
}

}  // namespace flatpoint::pickle
