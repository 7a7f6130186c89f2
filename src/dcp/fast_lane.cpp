#include "dcp/fast_lane.hpp"

#include <algorithm>

#include "flatpoint/pickle_opcode.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::dcp {
namespace {

constexpr std::uint8_t byte(Opcode opcode) noexcept { return static_cast<std::uint8_t>(opcode); }

std::uint64_t load_word(const std::uint8_t* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

template <std::size_t kWords>
void append_fetch(Stretch<kWords>& stretch, std::uint64_t id) {
  const bool is_short = id < 256;
  stretch.append(byte(is_short ? Opcode::BINGET : Opcode::LONG_BINGET));
  for (unsigned i = 0; i < (is_short ? 1 : 4); ++i) stretch.append(static_cast<std::uint8_t>(id >> (8 * i)));
}

/// The opcodes, each MEMOIZE among them only where objects are memoized.
template <std::size_t kWords>
void append_opcodes(Stretch<kWords>& stretch, bool memoized, std::initializer_list<Opcode> opcodes) {
  for (const Opcode opcode : opcodes) {
    if (memoized || opcode != Opcode::MEMOIZE) stretch.append(byte(opcode));
  }
}

/// Fetches a class, makes an object of it and begins its state.
template <std::size_t kWords>
void begin_object(Stretch<kWords>& stretch, bool memoized, std::uint64_t class_id) {
  append_fetch(stretch, class_id);
  append_opcodes(
      stretch, memoized,
      {Opcode::EMPTY_TUPLE, Opcode::NEWOBJ, Opcode::MEMOIZE, Opcode::EMPTY_DICT, Opcode::MEMOIZE, Opcode::MARK});
}

/// Of begin_object and the state_tail.
constexpr std::uint64_t object_opcodes(bool memoized) noexcept { return memoized ? 9 : 7; }
/// Of fetching torch.Size and the size_tail.
constexpr std::uint64_t size_opcodes(bool memoized) noexcept { return memoized ? 5 : 3; }
constexpr std::uint64_t kMaxFormOpcodes = 128;
constexpr std::uint64_t kMaxFormSlots = 16;
constexpr std::uint64_t kMaxFormMarks = 2;

}  // namespace

FastLane::FastLane(const MachineParts<Heap>& parts, bool open)
    : heap_(parts.heap),
      cursor_(parts.cursor),
      stack_(parts.stack),
      memo_(parts.memo),
      limits_(parts.limits),
      open_(open) {}

void FastLane::close() noexcept {
  open_ = false;
  chunk_class_ = index_class_ = kUnknown;
}

void FastLane::note(Value value, std::uint64_t id) {
  if (id > 0xFFFFFFFF) return;
  if (value.is(Tag::Global)) {
    note_class(value, id);
  } else if (value.text_length() >= 3 && value.text_length() <= 13) {
    note_text(*heap_.text(value), id);
  }
}

void FastLane::note_text(std::string_view text, std::uint64_t id) {
  const auto is = [&](std::string_view name, std::uint64_t& known) {
    if (text != name) return false;
    if (known == kUnknown) {
      known = id;
      prepare();
    }
    return true;
  };
  is("offsets", names_.offsets) || is("sizes", names_.sizes) || is("fqn", names_.fqn) || is("index", names_.index) ||
      is("offset", names_.offset) || is("relative_path", names_.relative_path) || is("length", names_.length);
}

void FastLane::note_class(Value value, std::uint64_t id) {
  const auto is = [&](Value& known, std::uint64_t& known_id) {
    if (!known.is(Tag::Unset)) return;
    known = value;
    known_id = id;
    prepare();
  };
  const GlobalName& name = heap_.globals[value.number()];
  switch (heap_.known(value)) {
    case Known::Size: return is(heap_.size_class, names_.size_class);
    case Known::ChunkStorageMetadata: return is(heap_.chunk_class, names_.chunk_class);
    case Known::MetadataIndex: return is(heap_.index_class, names_.index_class);
    case Known::StorageInfo: return is(heap_.info_class, names_.info_class);
    default: break;
  }
  // Other storage layers bring a class of that name with the same attributes.
  if (name.name == names::kStorageInfo.name) is(heap_.info_class, names_.info_class);
}

// Spells out what is known by now.
void FastLane::prepare() {
  const auto known = [](std::initializer_list<std::uint64_t> ids) {
    for (const std::uint64_t id : ids) {
      if (id == kUnknown) return false;
    }
    return true;
  };
  for (auto* const stretch : {&size_tail_, &state_tail_, &index_key_, &start_key_, &length_key_}) stretch->clear();
  for (auto* const stretch : {&chunk_sizes_, &index_head_, &offset_key_, &info_head_}) stretch->clear();
  chunk_head_.clear();
  append_opcodes(size_tail_, memoized_, {Opcode::TUPLE1, Opcode::MEMOIZE, Opcode::REDUCE, Opcode::MEMOIZE});
  append_opcodes(state_tail_, memoized_, {Opcode::SETITEMS, Opcode::BUILD});
  const Names& n = names_;
  if (known({n.chunk_class, n.offsets, n.sizes, n.size_class})) {
    chunk_class_ = n.chunk_class;
    begin_object(chunk_head_, memoized_, n.chunk_class);
    append_fetch(chunk_head_, n.offsets);
    append_fetch(chunk_head_, n.size_class);
    append_fetch(chunk_sizes_, n.sizes);
    append_fetch(chunk_sizes_, n.size_class);
  }
  if (known({n.index_class, n.fqn, n.index})) {
    index_class_ = n.index_class;
    begin_object(index_head_, memoized_, n.index_class);
    append_fetch(index_head_, n.fqn);
    append_fetch(index_key_, n.index);
  }
  offsets_ready_ = known({n.offset, n.size_class});
  if (offsets_ready_) {
    append_fetch(offset_key_, n.offset);
    append_fetch(offset_key_, n.size_class);
  }
  infos_ready_ = known({n.info_class, n.relative_path, n.offset, n.length});
  if (infos_ready_) {
    begin_object(info_head_, memoized_, n.info_class);
    append_fetch(info_head_, n.relative_path);
    append_fetch(start_key_, n.offset);
    append_fetch(length_key_, n.length);
  }
}

// Python's pickler memoizes each object; NVIDIA's resiliency extension has a writer that memoizes names and texts
// alone. The first object of several says which it is.
void FastLane::choose_form(Bytes at) {
  const std::size_t fetch = *at == byte(Opcode::BINGET) ? 2 : 5;
  const bool memoized = at[fetch + 2] != byte(Opcode::EMPTY_DICT);  // behind EMPTY_TUPLE NEWOBJ
  if (memoized == memoized_) return;
  memoized_ = memoized;
  prepare();
}

bool FastLane::run(std::size_t at, std::uint64_t& opcodes) {
  const auto input = cursor_.input();
  const std::size_t begin = at;
  opcodes_ = 0;
  if (input.size() - at < kWindow || stack_.marks() + kMaxFormMarks > limits_.max_depth) return false;
  reserve();
  choose_form(input.data() + at);
  for (std::size_t before = at + 1; at != before;) {
    before = at;
    const std::size_t frame_end = cursor_.frame_end();
    const std::size_t end = at < frame_end ? frame_end : input.size();
    if (end - at >= kWindow) {
      Bytes next = input.data() + at;
      fold_all(next, input.data() + end - kWindow, budget(opcodes));
      at = static_cast<std::size_t>(next - input.data());
    }
    if (end == frame_end && end - at < kWindow && budget(opcodes) > 0) at += fold_across_frame(at);
  }
  if (at == begin) return false;
  cursor_.move_to(at);
  opcodes += opcodes_ - 1;
  return true;
}

// How many forms may be folded before one of them could exceed a limit.
std::uint64_t FastLane::budget(std::uint64_t opcodes) const noexcept {
  const std::uint64_t executed = opcodes + opcodes_;
  if (executed >= limits_.max_opcodes || memo_.size() >= limits_.max_memo) return 0;
  return std::min((limits_.max_opcodes - executed) / kMaxFormOpcodes,
                  (limits_.max_memo - memo_.size()) / kMaxFormSlots);
}

void FastLane::fold_all(Bytes& at, Bytes last, std::uint64_t budget) {
  memoized_ ? fold_forms<true>(at, last, budget) : fold_forms<false>(at, last, budget);
}

template <bool kMemoized>
void FastLane::fold_forms(Bytes& at, Bytes last, std::uint64_t budget) {
  const Bytes begin = at;
  if (chunk_class_ != kUnknown) {
    for (; at <= last && budget > 0 && fold_chunk<kMemoized>(at); --budget) {
    }
  }
  if (index_class_ != kUnknown && at == begin) {
    for (; at <= last && budget > 0 && fold_item<kMemoized>(at); --budget) {
    }
  }
}

// Whether one of a form's instructions begins at `wanted`, the first being at 0. Of other bytes the answer says
// nothing.
bool FastLane::begins_instruction(std::span<const std::uint8_t> form, std::size_t wanted) noexcept {
  std::size_t at = 0;
  while (at < wanted) {
    switch (static_cast<Opcode>(form[at])) {
      case Opcode::BINGET:
      case Opcode::BININT1: at += 2; break;
      case Opcode::BININT2: at += 3; break;
      case Opcode::BININT:
      case Opcode::LONG_BINGET: at += 5; break;
      case Opcode::LONG1:
      case Opcode::SHORT_BINUNICODE: at += 2 + std::size_t{at + 1 < form.size() ? form[at + 1] : 0U}; break;
      default: at += 1; break;  // the others have no operand
    }
  }
  return at == wanted;
}

// A form in which the next frame begins: without the FRAME instruction it reads like any other. Returns its length.
std::size_t FastLane::fold_across_frame(std::size_t at) {
  constexpr std::size_t kHeader = 1 + sizeof(std::uint64_t);
  const auto input = cursor_.input();
  const std::size_t frame_end = cursor_.frame_end();
  if (input.size() - frame_end < kHeader + kWindow || input[frame_end] != byte(Opcode::FRAME)) return 0;
  const std::uint64_t length = load_word(input.data() + frame_end + 1);
  const std::size_t behind = frame_end + kHeader;
  // Of a shorter frame the form could reach into a third one.
  if (length < kWindow || length > input.size() - behind) return 0;

  std::array<std::uint8_t, kWindow> joined;
  const std::size_t head = frame_end - at;
  std::memcpy(joined.data(), input.data() + at, head);
  std::memcpy(joined.data() + head, input.data() + behind, kWindow - head);
  if (!begins_instruction(joined, head)) return 0;
  Bytes next = joined.data();
  fold_all(next, next, 1);
  const auto folded = static_cast<std::size_t>(next - joined.data());
  if (folded <= head) return folded;
  ++opcodes_;
  cursor_.enter_frame(behind, length);
  return folded + kHeader;
}

// Room for what the rest of the pickle can hold: memory that is not touched costs nothing, growing would.
void FastLane::reserve() {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  constexpr std::size_t kShortestChunk = 40;  // bytes of a form with two dimensions
  constexpr std::size_t kShortestItem = 100;
  if (reserved_) return;
  reserved_ = true;
  const std::size_t left = std::min(cursor_.input().size() - cursor_.at(), kMost);
  heap_.records.boxes.reserve(4 * (left / kShortestChunk) + 2 * kMaxNdim);
  heap_.records.offsets.reserve(2 * (left / kShortestItem) + kMaxNdim);
  heap_.records.indices.reserve(left / kShortestItem);
  heap_.records.infos.reserve(left / kShortestItem);
}

template <bool kMemoized>
bool FastLane::fold_chunk(Bytes& at) {
  Bytes next = at;
  if (!chunk_head_.skip(next)) return false;
  auto& boxes = heap_.records.boxes;
  const std::size_t begin = boxes.size();
  boxes.resize(begin + 2 * kMaxNdim);
  Dims offsets;
  Dims sizes;
  const bool fits = read_size<kMemoized>(next, offsets, boxes.data() + begin) && chunk_sizes_.skip(next) &&
                    read_size<kMemoized>(next, sizes, boxes.data() + begin + width_of(offsets.ndim)) &&
                    state_tail_.skip(next) && sizes.ndim == offsets.ndim;
  const auto ndim = offsets.ndim;
  boxes.resize(begin + (fits ? 2 * width_of(ndim) : 0));
  if (!fits) return false;

  stack_.push(folded(kChunkTag, ndim, begin));
  folded_.add(memo_, {FoldedForm::Kind::Chunk, ndim, true, false, kMemoized}, begin, 0);
  opcodes_ += object_opcodes(kMemoized) + 2 + 2 * size_opcodes(kMemoized) + offsets.opcodes + sizes.opcodes;
  at = next;
  return true;
}

template <bool kMemoized>
bool FastLane::fold_item(Bytes& at) {
  Bytes next = at;
  if (!index_head_.skip(next)) return false;
  Records& records = heap_.records;
  const std::size_t begin = records.offsets.size();
  if (begin > 0xFFFFFFFF || records.indices.size() >= 0xFFFFFFFF) return false;
  records.offsets.resize(begin + kMaxNdim);
  IndexRecord index;
  Text fqn;
  Dims offset{0, 0};
  const bool fits = read_index<kMemoized>(next, index, fqn, offset, records.offsets.data() + begin);
  records.offsets.resize(begin + (fits && index.has_offset ? width_of(offset.ndim) : 0));
  if (!fits) return false;

  const std::size_t number = records.indices.size();
  index.fqn = fqn.number;
  index.ndim = offset.ndim;
  index.offset_begin = static_cast<std::uint32_t>(begin);
  records.indices.push_back(index);
  stack_.push(Value(kIndexTag, number));
  opcodes_ += object_opcodes(kMemoized) + (fqn.written_out ? 5 : 4) +
              (index.has_offset ? 1 + size_opcodes(kMemoized) + offset.opcodes : 0);
  at = next;

  InfoRecord info;
  const bool has_info = infos_ready_ && read_info(next, info);
  const auto kind = has_info ? FoldedForm::Kind::IndexAndInfo : FoldedForm::Kind::Index;
  folded_.add(memo_, {kind, index.ndim, index.has_offset, fqn.written_out, kMemoized}, number, records.infos.size());
  if (!has_info) return true;
  stack_.push(Value(kInfoTag, records.infos.size()));
  records.infos.push_back(info);
  opcodes_ += object_opcodes(kMemoized) + 6;
  at = next;
  return true;
}

template <bool kMemoized>
inline bool FastLane::read_index(Bytes& at, IndexRecord& index, Text& fqn, Dims& offset, std::int64_t* numbers) {
  if (!read_fqn(at, fqn) || !index_key_.skip(at)) return false;
  std::int64_t hint = 0;
  index.has_hint = *at != byte(Opcode::NONE);
  if (!index.has_hint) {
    ++at;
  } else if (!read_int(at, hint) || hint > 0xFFFFFFFF) {
    return false;
  }
  index.hint = static_cast<std::uint32_t>(hint);
  index.has_offset = offsets_ready_ && offset_key_.skip(at);
  if (index.has_offset && !read_size<kMemoized>(at, offset, numbers)) return false;
  return state_tail_.skip(at);
}

inline bool FastLane::read_info(Bytes& at, InfoRecord& info) {
  std::int64_t offset = 0;
  std::int64_t length = 0;
  const bool fits = info_head_.skip(at) && read_path(at, info.path) && start_key_.skip(at) && read_int(at, offset) &&
                    length_key_.skip(at) && read_int(at, length) && state_tail_.skip(at);
  info.offset = static_cast<std::uint64_t>(offset);
  info.length = static_cast<std::uint64_t>(length);
  return fits;
}

template <bool kMemoized>
inline bool FastLane::read_size(Bytes& at, Dims& dims, std::int64_t* numbers) const {
  return read_dims<kMemoized>(at, dims, numbers) && size_tail_.skip(at);
}

inline bool FastLane::read_fqn(Bytes& at, Text& fqn) {
  TextTable& fqns = heap_.texts;
  fqn.written_out = *at == byte(Opcode::SHORT_BINUNICODE);
  if (fqn.written_out) {
    const std::size_t length = at[1];
    const std::string_view text(reinterpret_cast<const char*>(at + 2), length);
    if (at[2 + length] != byte(Opcode::MEMOIZE)) return false;
    at += 3 + length;
    if (!fqns.follows(text)) {
      if (!is_utf8(text)) return false;
      fqns.intern(text);
    }
    fqn.number = fqns.last();
    return true;
  }
  std::uint64_t id = 0;
  if (!read_fetch(at, id)) return false;
  Value value = memo_.peek(id);
  if (value.is(Tag::Unset)) value = get(id).value;
  if (value.is(Tag::Interned)) {
    fqn.number = value.number();
    return true;
  }
  if (!value.is(Tag::Text)) return false;
  fqn.number = fqns.intern(*heap_.text(value));
  memo_.replace(id, Value(Tag::Interned, fqn.number));
  return true;
}

inline bool FastLane::read_path(Bytes& at, std::uint32_t& path) {
  std::uint64_t id = 0;
  if (!read_fetch(at, id)) return false;
  if (id != path_id_) {
    const Value value = memo_.peek(id);
    if (!value.is(Tag::Text)) return false;
    path_ = heap_.records.paths.intern(*heap_.text(value));
    path_id_ = id;
  }
  path = path_;
  return true;
}

inline bool FastLane::read_fetch(Bytes& at, std::uint64_t& id) {
  const std::uint64_t word = load_word(at);
  const bool is_long = (word & 0xFF) == byte(Opcode::LONG_BINGET);
  id = word >> 8 & (is_long ? 0xFFFFFFFF : 0xFF);
  at += is_long ? 5 : 2;
  return is_long || (word & 0xFF) == byte(Opcode::BINGET);
}

template <bool kMemoized>
[[gnu::always_inline]] inline bool FastLane::read_dims(Bytes& at, Dims& dims, std::int64_t* numbers) {
  dims = {0, 1};
  if (*at == byte(Opcode::EMPTY_TUPLE)) {
    ++at;
    return true;
  }
  const bool marked = *at == byte(Opcode::MARK);
  at += marked ? 1 : 0;
  while (dims.ndim < kMaxNdim && read_int(at, numbers[dims.ndim])) ++dims.ndim;
  const auto make = marked ? byte(Opcode::TUPLE) : static_cast<std::uint8_t>(byte(Opcode::TUPLE1) + dims.ndim - 1);
  const bool fits =
      dims.ndim > 0 && (marked || dims.ndim <= 3) && at[0] == make && (!kMemoized || at[1] == byte(Opcode::MEMOIZE));
  dims.opcodes = static_cast<std::uint8_t>(dims.ndim + (marked ? 2 : 1) + (kMemoized ? 1 : 0));
  at += kMemoized ? 2 : 1;
  return fits;
}

// A number that is not negative. Branches rather than a table: where the next instruction stands is then predicted, not
// waited for.
[[gnu::always_inline]] inline bool FastLane::read_int(Bytes& at, std::int64_t& number) {
  const std::uint64_t word = load_word(at);
  const std::uint64_t bits = word >> 8;
  if ((word & 0xFF) == byte(Opcode::BININT1)) {
    number = static_cast<std::uint8_t>(bits);
    at += 2;
  } else if ((word & 0xFF) == byte(Opcode::BININT2)) {
    number = static_cast<std::uint16_t>(bits);
    at += 3;
  } else if ((word & 0xFF) == byte(Opcode::BININT)) {
    number = static_cast<std::int32_t>(bits);
    if (number < 0) return false;
    at += 5;
  } else {
    const std::size_t length = bits & 0xFF;
    if ((word & 0xFF) != byte(Opcode::LONG1) || length == 0 || length > 8) return false;
    number = static_cast<std::int64_t>(load_word(at + 2) << (64 - 8 * length)) >> (64 - 8 * length);
    if (number < 0) return false;
    at += 2 + length;
  }
  return true;
}

}  // namespace flatpoint::dcp
