#include "flatpoint/pickle_audit.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "pickle/audit_walk.hpp"

namespace flatpoint::audit {
namespace {

/// Python's int() of more digits takes quadratic time, or is an error.
constexpr std::size_t kMaxDigits = 4300;

std::optional<std::int64_t> decimal(std::string_view line) noexcept {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return number;
}

}  // namespace

Walk::Walk(std::span<const std::uint8_t> pickle, const Allowance& allowance) : input_(pickle), allowance_(allowance) {}

PickleAudit Walk::run() {
  watch();
  Step done = Step::Next;
  while (done == Step::Next) {
    opcode_at_ = at_;
    if (at_ >= watched_) [[unlikely]] {
      if (done = boundary(); done != Step::Next) break;
    }
    done = at_ < input_.size() ? execute(input_[at_++]) : broken("the pickle ends without STOP");
  }
  return std::move(audit_);
}

void Walk::watch() noexcept {
  watched_ = frame_end_ != 0 ? frame_end_ : input_.size();
  if (next_span_ == allowance_.unjudged.size()) return;
  const Span span = allowance_.unjudged[next_span_];
  watched_ = std::min(watched_, in_span_ ? span.end : span.begin);
}

Walk::Step Walk::boundary() {
  // Python drops what is left of a frame that ends inside an instruction: it reads other instructions then.
  if (frame_end_ != 0 && at_ > frame_end_) return broken("a frame ended inside the instruction before");
  if (at_ == frame_end_) frame_end_ = 0;
  const Step done = enter_or_leave_span();
  watch();
  return done;
}

Walk::Step Walk::enter_or_leave_span() {
  if (in_span_) {
    const std::uint64_t end = allowance_.unjudged[next_span_].end;
    if (at_ < end) return Step::Next;
    const bool one_more = at_ == end && stack_.size() == floor_ + 1 && marks_.size() == mark_floor_;
    if (!one_more) return broken("an unjudged record leaves something other than one value");
    stack_.back() = Seen(Kind::Kept);
    in_span_ = false;
    floor_ = mark_floor_ = 0;
    ++next_span_;
  }
  if (next_span_ == allowance_.unjudged.size()) return Step::Next;
  const std::uint64_t begin = allowance_.unjudged[next_span_].begin;
  if (at_ < begin) return Step::Next;
  if (at_ > begin) return broken("an instruction reaches into an unjudged record");
  in_span_ = true;
  floor_ = stack_.size();
  mark_floor_ = marks_.size();
  if (!allowance_.unjudged[next_span_].continues) memo_floor_ = memo_.size() + sparse_.size();
  return Step::Next;
}

Walk::Step Walk::execute(std::uint8_t opcode) {
  switch (opcode) {
    case 0x80: return protocol();
    case 0x95: return frame();
    case '.': return stop();

    case 'N': return push(Seen(Kind::None));
    case 0x88:
    case 0x89: return push(Seen(Kind::Bool));
    case 'K': return push_int<std::uint8_t>();
    case 'M': return push_int<std::uint16_t>();
    case 'J': return push_int<std::int32_t>();
    case 0x8a: return push_long<std::uint8_t>();
    case 0x8b: return push_long<std::int32_t>();
    case 'I': return push_int_line(false);
    case 'L': return push_int_line(true);
    case 'G': return skip_number(8, Kind::Float);
    case 'F': return skip_line(Kind::Float);

    case 0x8c: return push_text<std::uint8_t>();
    case 'X': return push_text<std::uint32_t>();
    case 0x8d: return push_text<std::uint64_t>();
    case 'V': return push_text_line(false);
    case 'U': return push_text<std::uint8_t>();
    case 'T': return push_text<std::int32_t>();
    case 'S': return push_text_line(true);
    case 'C': return push_bytes<std::uint8_t>(Kind::Bytes);
    case 'B': return push_bytes<std::uint32_t>(Kind::Bytes);
    case 0x8e: return push_bytes<std::uint64_t>(Kind::Bytes);
    case 0x96: return push_bytes<std::uint64_t>(Kind::ByteArray);

    case '(': marks_.push_back(stack_.size()); return Step::Next;
    case '0': return pop_one();
    case '1':
      return marked([this](std::size_t count) {
        stack_.resize(stack_.size() - count);
        return Step::Next;
      });
    case '2': return has(1) ? push(stack_.back()) : underflow();

    case ')': return push(Seen::ints(0, 0));
    case 0x85: return tuple(1);
    case 0x86: return tuple(2);
    case 0x87: return tuple(3);
    case 't': return marked([this](std::size_t count) { return tuple(count); });
    case 0x91: return marked([this](std::size_t count) { return frozen_set(count); });
    case ']': return push(Seen(Kind::List));
    case 'l': return marked([this](std::size_t count) { return list(count); });
    case '}': return dict(0);
    case 'd': return marked([this](std::size_t count) { return dict(count); });
    case 0x8f: return push(Seen(Kind::Set));
    case 'a': return append(1, Kind::List);
    case 'e': return marked([this](std::size_t count) { return append(count, Kind::List); });
    case 0x90: return marked([this](std::size_t count) { return append(count, Kind::Set); });
    case 's': return set_items(2);
    case 'u': return marked([this](std::size_t count) { return set_items(count); });

    case 'c': return global_line();
    case 0x93: return stack_global();
    case 'R': return reduce();
    case 0x81: return new_object();
    case 0x92: return new_object_ex();
    case 'i': return old_object(true);
    case 'o': return old_object(false);
    case 'b': return build();

    case 0x94: return memoize();
    case 'q': return put_numbered<std::uint8_t>();
    case 'r': return put_numbered<std::uint32_t>();
    case 'p': return put_line();
    case 'h': return get_numbered<std::uint8_t>();
    case 'j': return get_numbered<std::uint32_t>();
    case 'g': return get_line();

    case 'P':
    case 'Q': return broken("it asks for an object outside of the file");
    case 0x82:
    case 0x83:
    case 0x84: return broken("it names a class by a number of the process");
    case 0x97:
    case 0x98: return broken("it asks for a buffer outside of the file");
    default: return broken("there is no such instruction");
  }
}

Walk::Step Walk::broken(std::string_view why) {
  audit_.complete = false;
  audit_.acts.push_back({{}, std::string(why), opcode_at_});
  return Step::Broken;
}

void Walk::report(std::string_view name, std::string_view what) {
  if (in_span_) return;
  std::string key(name);
  key.append(1, '\n').append(what);
  if (reported_.contains(key)) return;
  if (reported_.size() >= kMaxActs) {
    ++audit_.suppressed;
    return;
  }
  reported_.insert(std::move(key));
  audit_.acts.push_back({std::string(name), std::string(what), opcode_at_});
}

template <class Number>
bool Walk::take(Number& number) {
  if (input_.size() - at_ < sizeof number) return false;
  std::memcpy(&number, input_.data() + at_, sizeof number);
  at_ += sizeof number;
  return true;
}

bool Walk::take_bytes(std::uint64_t length, std::string_view& bytes) {
  if (input_.size() - at_ < length) return false;
  bytes = {reinterpret_cast<const char*>(input_.data()) + at_, static_cast<std::size_t>(length)};
  at_ += length;
  return true;
}

bool Walk::take_line(std::string_view& line) {
  const auto* const begin = input_.data() + at_;
  const auto* const end = static_cast<const std::uint8_t*>(std::memchr(begin, '\n', input_.size() - at_));
  if (end == nullptr) return false;
  line = {reinterpret_cast<const char*>(begin), static_cast<std::size_t>(end - begin)};
  at_ += line.size() + 1;
  return true;
}

Walk::Step Walk::protocol() {
  std::uint8_t version = 0;
  if (!take(version)) return truncated();
  if (version > 5 || in_span_) return broken("there is no such protocol");
  protocol_ = version;
  return Step::Next;
}

Walk::Step Walk::frame() {
  std::uint64_t length = 0;
  if (!take(length)) return truncated();
  if (length > input_.size() - at_) return broken("a frame is longer than the pickle");
  if (in_span_ || frame_end_ != 0) return broken("a frame begins inside of another");
  frame_end_ = at_ + length;
  watch();
  return Step::Next;
}

Walk::Step Walk::stop() {
  if (in_span_) return broken("an unjudged record ends the pickle");
  if (!has(1)) return underflow();
  if (next_span_ != allowance_.unjudged.size()) return broken("an unjudged record lies behind the end");
  place(pop());
  return Step::Stop;
}

template <class Number>
Walk::Step Walk::push_int() {
  Number number = 0;
  return take(number) ? push(Seen::integer(number)) : truncated();
}

template <class Length>
Walk::Step Walk::push_long() {
  Length length = 0;
  std::string_view bytes;
  if (!take(length) || (std::is_signed_v<Length> && length < 0)) return truncated();
  if (!take_bytes(static_cast<std::uint64_t>(length), bytes)) return truncated();
  return push(bytes.size() > 8 ? Seen(Kind::LongInt) : Seen(Kind::Int, Seen::kLargeInt));
}

Walk::Step Walk::push_int_line(bool is_long) {
  std::string_view line;
  if (!take_line(line)) return truncated();
  if (line.size() > kMaxDigits) report({}, "an int has more than 4300 digits");
  if (!is_long && (line == "00" || line == "01")) return push(Seen(Kind::Bool));
  if (is_long && line.ends_with('L')) line.remove_suffix(1);
  const auto number = decimal(line);
  return push(number ? Seen::integer(*number) : Seen(Kind::LongInt));
}

Walk::Step Walk::skip_number(std::uint64_t bytes, Kind kind) {
  std::string_view skipped;
  return take_bytes(bytes, skipped) ? push(Seen(kind)) : truncated();
}

Walk::Step Walk::skip_line(Kind kind) {
  std::string_view line;
  return take_line(line) ? push(Seen(kind)) : truncated();
}

Seen Walk::text_at(std::string_view text) const noexcept {
  const auto position = static_cast<std::uint64_t>(reinterpret_cast<const std::uint8_t*>(text.data()) - input_.data());
  constexpr std::uint64_t kMaxPosition = (std::uint64_t{1} << (Seen::kPayloadBits - Seen::kLengthBits)) - 1;
  if (text.size() > Seen::kMaxLength || position > kMaxPosition) {
    return Seen(Kind::LongText, text.size() << 1 | (text.starts_with("__") ? 1 : 0));
  }
  return Seen(Kind::Text, position << Seen::kLengthBits | text.size());
}

template <class Length>
Walk::Step Walk::push_text() {
  Length length = 0;
  std::string_view bytes;
  if (!take(length) || (std::is_signed_v<Length> && length < 0)) return truncated();
  if (!take_bytes(static_cast<std::uint64_t>(length), bytes)) return truncated();
  return push(text_at(bytes));
}

template <class Length>
Walk::Step Walk::push_bytes(Kind kind) {
  Length length = 0;
  std::string_view bytes;
  if (!take(length) || !take_bytes(length, bytes)) return truncated();
  return push(Seen(kind, bytes.size()));
}

// What an escape stands for does not matter: no name that the list knows is written with one.
Walk::Step Walk::push_text_line(bool quoted) {
  std::string_view line;
  if (!take_line(line)) return truncated();
  if (quoted) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() < 2) return broken("a text without quotes");
    line = line.substr(1, line.size() - 2);
  }
  if (line.find('\\') != std::string_view::npos) return push(Seen(Kind::LongText, line.size() << 1 | 1));
  return push(text_at(line));
}

Walk::Step Walk::pop_one() {
  if (has(1)) {
    stack_.pop_back();
  } else if (marks_.size() > mark_floor_) {
    marks_.pop_back();
  } else {
    return underflow();
  }
  return Step::Next;
}

Walk::Step Walk::tuple(std::size_t count) {
  if (!has(count)) return underflow();
  const std::span<const Seen> items(stack_.data() + stack_.size() - count, count);
  Seen made;
  if (count <= Seen::kMaxInts && std::ranges::all_of(items, [](Seen item) { return item.is(Kind::Int); })) {
    made = Seen::ints(count, count > 0 ? items[0].payload() : 0);
  } else if (count == 1 && items[0].is(Kind::Ints)) {
    made = Seen(Kind::HeldInts, items[0].payload());
  } else {
    if (count > Tuples::kMaxCount) return broken("a tuple of more than 2^32 values");
    std::uint64_t heavy = 1;
    bool holds_class = false;
    for (const Seen item : items) {
      heavy += weight(item);
      holds_class |= is_class(item) || (item.is(Kind::Tuple) && tuples_.holds_class(item));
    }
    made = tuples_.add(items, heavy, holds_class);
  }
  stack_.resize(stack_.size() - count);
  return push(made);
}

Walk::Step Walk::frozen_set(std::size_t count) {
  if (!has(count)) return underflow();
  for (std::size_t i = 0; i < count; ++i) place_key(pop());
  return push(Seen(Kind::FrozenSet));
}

Walk::Step Walk::list(std::size_t count) {
  if (!has(count)) return underflow();
  for (std::size_t i = 0; i < count; ++i) place(pop());
  return push(Seen(Kind::List));
}

Walk::Step Walk::dict(std::size_t count) {
  if (!has(count)) return underflow();
  if (count % 2 != 0) return broken("a key without a value");
  std::uint8_t flags = 0;
  for (std::size_t i = 0; i < count; i += 2) {
    const Seen value = pop();
    place_item(flags, pop(), value);
  }
  dicts_.push_back(flags);
  return push(Seen(Kind::Dict, dicts_.size() - 1));
}

Walk::Step Walk::append(std::size_t count, Kind to) {
  if (!has(count + 1)) return underflow();
  for (std::size_t i = 0; i < count; ++i) {
    const Seen item = pop();
    to == Kind::Set ? place_key(item) : place(item);
  }
  const Seen target = stack_.back();
  if (!target.is(to) && !target.is(Kind::Refused)) report({}, "items are given to what is no list or set");
  return Step::Next;
}

Walk::Step Walk::set_items(std::size_t count) {
  if (!has(count + 1)) return underflow();
  if (count % 2 != 0) return broken("a key without a value");
  const Seen target = stack_[stack_.size() - count - 1];
  const bool takes_items = target.is(Kind::Dict) || target.is(Kind::OrderedDict);
  if (!takes_items && !target.is(Kind::Refused)) report({}, "items are given to what is no dict");
  std::uint8_t ignored = 0;
  std::uint8_t& flags = target.is(Kind::Dict) ? dicts_[target.payload()] : ignored;
  for (std::size_t i = stack_.size() - count; i < stack_.size(); i += 2) place_item(flags, stack_[i], stack_[i + 1]);
  stack_.resize(stack_.size() - count);
  return Step::Next;
}

Walk::Step Walk::put(std::uint64_t id) {
  if (!has(1)) return underflow();
  if (in_span_ && id < memo_floor_) return broken("an unjudged record changes a memo entry of others");
  const Seen value = in_span_ ? Seen(Kind::InSpan) : stack_.back();
  if (id == memo_.size() && sparse_.empty()) [[likely]] {
    memo_.push_back(value);
  } else if (id < memo_.size()) {
    memo_[id] = value;
  } else {
    sparse_[id] = value;
  }
  return Step::Next;
}

template <class Id>
Walk::Step Walk::put_numbered() {
  Id id = 0;
  return take(id) ? put(id) : truncated();
}

Walk::Step Walk::put_line() {
  std::string_view line;
  if (!take_line(line)) return truncated();
  const auto id = decimal(line);
  return id && *id >= 0 ? put(static_cast<std::uint64_t>(*id)) : broken("not a number");
}

Walk::Step Walk::get(std::uint64_t id) {
  Seen value;
  if (id < memo_.size()) [[likely]] {
    value = memo_[id];
  } else if (const auto found = sparse_.find(id); found != sparse_.end()) {
    value = found->second;
  } else {
    return broken("the memo has no such entry");
  }
  if (in_span_ && id < memo_floor_) return broken("an unjudged record reaches for a value of others");
  if (!in_span_ && value.is(Kind::InSpan)) return broken("it reaches into an unjudged record");
  if (value.is(Kind::Name) && take_object(value)) return Step::Next;
  return push(in_span_ ? Seen(Kind::Refused) : value);
}

template <class Id>
Walk::Step Walk::get_numbered() {
  Id id = 0;
  return take(id) ? get(id) : truncated();
}

Walk::Step Walk::get_line() {
  std::string_view line;
  if (!take_line(line)) return truncated();
  const auto id = decimal(line);
  return id && *id >= 0 ? get(static_cast<std::uint64_t>(*id)) : broken("not a number");
}

}  // namespace flatpoint::audit

namespace flatpoint {

PickleAudit audit_pickle(std::span<const std::byte> pickle) {
  return audit::Walk({reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size()}, {}).run();
}

}  // namespace flatpoint
