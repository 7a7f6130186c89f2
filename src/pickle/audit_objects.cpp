// pickle/audit_objects.cpp - the objects that come by the million, judged in one step instead of thirty.
#include <bit>
#include <cstddef>
#include <cstring>

#include "pickle/audit_walk.hpp"

namespace flatpoint::audit {
namespace {

constexpr std::ptrdiff_t kMaxInstruction = 1 + 1 + 8;  // LONG1 of eight bytes
constexpr std::size_t kMaxMemoized = 32;

/// Values that are judged where they stand: no classes, no tuples of any, nothing that a MetadataIndex does not have.
constexpr bool is_plain(Seen value) noexcept {
  switch (value.kind()) {
    case Kind::None:
    case Kind::Bool:
    case Kind::Int:
    case Kind::Text:
    case Kind::LongText:
    case Kind::Ints:
    case Kind::Size: return true;
    default: return false;
  }
}

template <class Number>
Number number_at(const std::uint8_t* at) noexcept {
  Number number;
  std::memcpy(&number, at, sizeof number);
  return number;
}

}  // namespace

/// Reads ahead. What it memoizes becomes the walk's only once the whole object is judged.
class Walk::ObjectReader {
 public:
  ObjectReader(const Walk& walk) noexcept
      : walk_(walk), at_(walk.input_.data() + walk.at_), end_(walk.input_.data() + walk.watched_) {}

  /// `)`, NEWOBJ, `}`, MARK, names and plain values, SETITEMS, BUILD, where the class is on the stack already.
  bool read(Form cls) noexcept {
    if (!next(')') || !next(0x81) || !memoize(Seen(Kind::Instance, static_cast<std::uint64_t>(cls)))) return false;
    if (!next('}') || !memoize(Seen(Kind::Dict, walk_.dicts_.size())) || !next('(')) return false;
    do {
      Seen key;
      if (!value(key) || !key.is(Kind::Text) || !walk_.is_attribute_name(key)) return false;
      if (Seen ignored; !value(ignored)) return false;
    } while (has_room() && *at_ != 'u');
    return next('u') && next('b');
  }

  [[nodiscard]] std::uint64_t position() const noexcept {
    return static_cast<std::uint64_t>(at_ - walk_.input_.data());
  }
  void add_memoized_to(base::LargeVector<Seen>& memo) const {
    for (std::size_t i = 0; i < count_; ++i) memo.push_back(std::bit_cast<Seen>(memoized_[i]));
  }

 private:
  // Before each instruction, so that the longest one can be read. The fetch before may have left its frame already.
  [[nodiscard]] bool has_room() const noexcept { return end_ - at_ >= kMaxInstruction; }
  bool next(std::uint8_t opcode) noexcept {
    if (!has_room() || *at_ != opcode) return false;
    ++at_;
    return true;
  }
  /// Where MEMOIZE comes. False where there are too many.
  bool memoize(Seen value) noexcept {
    if (!next(0x94)) return true;
    if (count_ == kMaxMemoized) return false;
    memoized_[count_++] = std::bit_cast<std::uint64_t>(value);
    return true;
  }

  bool fetch(Seen& value) noexcept {
    const bool is_long = *at_ == 'j';
    const std::uint64_t id = is_long ? number_at<std::uint32_t>(at_ + 1) : at_[1];
    if (id >= walk_.memo_.size()) return false;
    value = walk_.memo_[id];
    at_ += is_long ? 5 : 2;
    return true;
  }

  bool integer(Seen& value) noexcept {
    switch (*at_) {
      case 'K': value = Seen::integer(at_[1]), at_ += 2; return true;
      case 'M': value = Seen::integer(number_at<std::uint16_t>(at_ + 1)), at_ += 3; return true;
      case 'J': value = Seen::integer(number_at<std::int32_t>(at_ + 1)), at_ += 5; return true;
      case 0x8a:
        if (at_[1] > 8) return false;
        value = Seen(Kind::Int, Seen::kLargeInt), at_ += 2 + at_[1];
        return true;
      default: return false;
    }
  }

  bool value(Seen& value) noexcept {
    if (!has_room()) return false;
    switch (*at_) {
      case 'N': value = Seen(Kind::None), ++at_; return true;
      case 'h':
      case 'j':
        if (!fetch(value)) return false;
        if (walk_.form_of_name(value) == Form::Size) return size(value);
        return is_plain(value);
      default: return integer(value);
    }
  }

  /// torch.Size of a tuple of ints.
  bool size(Seen& made) noexcept {
    Seen first = Seen::ints(0, 0);
    std::uint64_t count = 0;
    const bool is_marked = next('(');
    for (Seen number; has_room() && integer(number); ++count) {
      if (count == 0) first = number;
    }
    constexpr std::uint8_t kTuples[] = {')', 0x85, 0x86, 0x87};
    if (count >= (is_marked ? Seen::kMaxInts : std::size(kTuples)) || !next(is_marked ? 't' : kTuples[count]))
      return false;
    const Seen ints = Seen::ints(count, count > 0 ? first.payload() : 0);
    made = Seen(Kind::Size, count);
    return memoize(ints) && next(0x85) && memoize(Seen(Kind::HeldInts, ints.payload())) && next('R') && memoize(made);
  }

  const Walk& walk_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::uint64_t memoized_[kMaxMemoized];  // of Seen; not cleared for each object
  std::size_t count_ = 0;
};

bool Walk::take_object(Seen cls) {
  const Form form = form_of_name(cls);
  if ((form != Form::Attributes && form != Form::Index) || in_span_ || !sparse_.empty() || allowance_.one_by_one)
    return false;
  ObjectReader reader(*this);
  if (!reader.read(form)) return false;
  at_ = reader.position();
  reader.add_memoized_to(memo_);
  dicts_.push_back(0);
  stack_.push_back(Seen(Kind::Instance, static_cast<std::uint64_t>(form)));
  return true;
}

}  // namespace flatpoint::audit
