#include "dcp/fast_lane.hpp"

#include "dcp/opcode.hpp"
#include "dcp/text_forms.hpp"

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

template <std::size_t kWords>
void append_opcodes(Stretch<kWords>& stretch, std::initializer_list<Opcode> opcodes) {
  for (const Opcode opcode : opcodes) stretch.append(byte(opcode));
}

/// Fetches a class, makes an object of it and begins its state.
template <std::size_t kWords>
void begin_object(Stretch<kWords>& stretch, std::uint64_t class_id) {
  stretch.clear();
  append_fetch(stretch, class_id);
  append_opcodes(stretch, {Opcode::EMPTY_TUPLE, Opcode::NEWOBJ, Opcode::MEMOIZE, Opcode::EMPTY_DICT, Opcode::MEMOIZE,
                           Opcode::MARK});
}

constexpr std::uint64_t kObjectOpcodes = 9;  // of begin_object and the state_tail
constexpr std::uint64_t kSizeOpcodes = 5;    // fetching torch.Size and the size_tail
constexpr std::uint64_t kMaxFormOpcodes = 128;
constexpr std::uint64_t kMaxFormSlots = 16;
constexpr std::uint64_t kMaxFormMarks = 2;

}  // namespace

FastLane::FastLane(Heap& heap, Cursor& cursor, Stack& stack, Memo& memo, const ImportLimits& limits, bool open)
    : heap_(heap), cursor_(cursor), stack_(stack), memo_(memo), limits_(limits), open_(open) {
  append_opcodes(size_tail_, {Opcode::TUPLE1, Opcode::MEMOIZE, Opcode::REDUCE, Opcode::MEMOIZE});
  append_opcodes(state_tail_, {Opcode::SETITEMS, Opcode::BUILD});
}

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
  switch (name.known) {
    case Known::Size: return is(heap_.size_class, names_.size_class);
    case Known::ChunkStorageMetadata: return is(heap_.chunk_class, names_.chunk_class);
    case Known::MetadataIndex: return is(heap_.index_class, names_.index_class);
    case Known::StorageInfo: return is(heap_.info_class, names_.info_class);
    default: break;
  }
  // Other storage layers bring a class of that name with the same attributes.
  if (name.name == "_StorageInfo") is(heap_.info_class, names_.info_class);
}

// Spells out what is known by now.
void FastLane::prepare() {
  const auto known = [](std::initializer_list<std::uint64_t> ids) {
    for (const std::uint64_t id : ids) {
      if (id == kUnknown) return false;
    }
    return true;
  };
  const Names& n = names_;
  if (chunk_class_ == kUnknown && known({n.chunk_class, n.offsets, n.sizes, n.size_class})) {
    chunk_class_ = n.chunk_class;
    begin_object(chunk_head_, n.chunk_class);
    append_fetch(chunk_head_, n.offsets);
    append_fetch(chunk_head_, n.size_class);
    append_fetch(chunk_sizes_, n.sizes);
    append_fetch(chunk_sizes_, n.size_class);
  }
  if (index_class_ == kUnknown && known({n.index_class, n.fqn, n.index})) {
    index_class_ = n.index_class;
    begin_object(index_head_, n.index_class);
    append_fetch(index_head_, n.fqn);
    append_fetch(index_key_, n.index);
  }
  if (!offsets_ready_ && known({n.offset, n.size_class})) {
    offsets_ready_ = true;
    append_fetch(offset_key_, n.offset);
    append_fetch(offset_key_, n.size_class);
  }
  if (!infos_ready_ && known({n.info_class, n.relative_path, n.offset, n.length})) {
    infos_ready_ = true;
    begin_object(info_head_, n.info_class);
    append_fetch(info_head_, n.relative_path);
    append_fetch(start_key_, n.offset);
    append_fetch(length_key_, n.length);
  }
}

bool FastLane::run(std::size_t at, std::uint64_t& opcodes) {
  const std::size_t begin = at;
  std::uint64_t folded = 0;
  while (limits_.max_opcodes - opcodes > folded + kMaxFormOpcodes) {
    const std::size_t length = fold_at(at, folded);
    if (length == 0) break;
    at += length;
  }
  if (at == begin) return false;
  cursor_.move_to(at);
  opcodes += folded - 1;
  return true;
}

std::size_t FastLane::fold_at(std::size_t at, std::uint64_t& opcodes) {
  const auto input = cursor_.input();
  if (input.size() - at < kWindow || memo_.size() + kMaxFormSlots > limits_.max_memo) return 0;
  if (stack_.marks() + kMaxFormMarks > limits_.max_depth) return 0;
  const std::size_t frame_end = cursor_.frame_end();
  if (at < frame_end && frame_end - at < kWindow) return fold_across_frame(at, frame_end, opcodes);
  const std::uint8_t* const end = fold(input.data() + at, opcodes);
  return end == nullptr ? 0 : static_cast<std::size_t>(end - (input.data() + at));
}

// A form in which the next frame begins: without the FRAME instruction it reads like any other.
std::size_t FastLane::fold_across_frame(std::size_t at, std::size_t frame_end, std::uint64_t& opcodes) {
  constexpr std::size_t kHeader = 1 + sizeof(std::uint64_t);
  const auto input = cursor_.input();
  if (input.size() - frame_end < kHeader + kWindow || input[frame_end] != byte(Opcode::FRAME)) return 0;
  const std::uint64_t length = load_word(input.data() + frame_end + 1);
  const std::size_t behind = frame_end + kHeader;
  if (length > input.size() - behind) return 0;

  std::array<std::uint8_t, kWindow> joined;
  const std::size_t head = frame_end - at;
  std::memcpy(joined.data(), input.data() + at, head);
  std::memcpy(joined.data() + head, input.data() + behind, kWindow - head);
  const std::uint8_t* const end = fold(joined.data(), opcodes);
  if (end == nullptr) return 0;
  const auto folded = static_cast<std::size_t>(end - joined.data());
  if (folded <= head) return folded;
  ++opcodes;
  cursor_.enter_frame(behind, length);
  return folded + kHeader;
}

const std::uint8_t* FastLane::fold(const std::uint8_t* at, std::uint64_t& opcodes) {
  if (chunk_class_ != kUnknown && chunk_head_.matches(at)) return fold_chunk(at, opcodes);
  if (index_class_ != kUnknown && index_head_.matches(at)) return fold_item(at, opcodes);
  return nullptr;
}

const std::uint8_t* FastLane::fold_chunk(const std::uint8_t* at, std::uint64_t& opcodes) {
  Dims offsets;
  Dims sizes;
  at = read_size(at + chunk_head_.size(), offsets);
  if (at == nullptr || !chunk_sizes_.matches(at)) return nullptr;
  at = read_size(at + chunk_sizes_.size(), sizes);
  if (at == nullptr || !state_tail_.matches(at) || sizes.rank != offsets.rank) return nullptr;

  auto& boxes = heap_.records.boxes;
  const std::size_t begin = boxes.size();
  const auto rank = offsets.rank;
  boxes.insert(boxes.end(), offsets.numbers.begin(), offsets.numbers.begin() + rank);
  boxes.insert(boxes.end(), sizes.numbers.begin(), sizes.numbers.begin() + rank);
  if (rank == 0) boxes.push_back(0);  // so that each chunk has a position of its own
  stack_.push(Value::ranked(Tag::Chunk, rank, begin));
  memo_.memoize_folded({FoldedForm::Kind::Chunk, rank, true, false}, begin, 0);
  opcodes += kObjectOpcodes + 2 + 2 * kSizeOpcodes + offsets.opcodes + sizes.opcodes;
  return at + state_tail_.size();
}

const std::uint8_t* FastLane::fold_item(const std::uint8_t* at, std::uint64_t& opcodes) {
  IndexRecord index{};
  Dims offset{};
  bool has_text = false;
  at = read_index(at + index_head_.size(), index, offset, has_text);
  if (at == nullptr) return nullptr;
  Records& records = heap_.records;
  if (records.offsets.size() > 0xFFFFFFFF - kMaxRank || records.indices.size() >= 0xFFFFFFFF) return nullptr;
  opcodes += kObjectOpcodes + (has_text ? 5 : 4) + (index.has_offset ? 1 + kSizeOpcodes + offset.opcodes : 0);

  index.rank = offset.rank;
  index.offset_begin = static_cast<std::uint32_t>(records.offsets.size());
  records.offsets.insert(records.offsets.end(), offset.numbers.begin(), offset.numbers.begin() + offset.rank);
  const std::size_t number = records.indices.size();
  records.indices.push_back(index);
  stack_.push(Value(Tag::Index, number));

  InfoRecord info;
  const std::uint8_t* const behind = infos_ready_ ? read_info(at, info) : nullptr;
  const auto kind = behind == nullptr ? FoldedForm::Kind::Index : FoldedForm::Kind::IndexAndInfo;
  memo_.memoize_folded({kind, index.rank, index.has_offset, has_text}, number, records.infos.size());
  if (behind == nullptr) return at;
  stack_.push(Value(Tag::Info, records.infos.size()));
  records.infos.push_back(info);
  opcodes += kObjectOpcodes + 6;
  return behind;
}

const std::uint8_t* FastLane::read_index(const std::uint8_t* at, IndexRecord& index, Dims& offset, bool& has_text) {
  at = read_fqn(at, index.fqn, has_text);
  if (at == nullptr || !index_key_.matches(at)) return nullptr;
  at += index_key_.size();
  std::int64_t hint = 0;
  index.has_hint = *at != byte(Opcode::NONE);
  at = index.has_hint ? read_int(at, hint) : at + 1;
  if (at == nullptr || hint > 0xFFFFFFFF) return nullptr;
  index.hint = static_cast<std::uint32_t>(hint);
  index.has_offset = offsets_ready_ && offset_key_.matches(at);
  if (index.has_offset) at = read_size(at + offset_key_.size(), offset);
  if (at == nullptr || !state_tail_.matches(at)) return nullptr;
  return at + state_tail_.size();
}

const std::uint8_t* FastLane::read_info(const std::uint8_t* at, InfoRecord& info) {
  std::int64_t offset = 0;
  std::int64_t length = 0;
  if (!info_head_.matches(at)) return nullptr;
  at = read_path(at + info_head_.size(), info.path);
  if (at == nullptr || !start_key_.matches(at)) return nullptr;
  at = read_int(at + start_key_.size(), offset);
  if (at == nullptr || !length_key_.matches(at)) return nullptr;
  at = read_int(at + length_key_.size(), length);
  if (at == nullptr || !state_tail_.matches(at)) return nullptr;
  info.offset = static_cast<std::uint64_t>(offset);
  info.length = static_cast<std::uint64_t>(length);
  return at + state_tail_.size();
}

const std::uint8_t* FastLane::read_size(const std::uint8_t* at, Dims& dims) const {
  at = read_dims(at, dims);
  if (at == nullptr || !size_tail_.matches(at)) return nullptr;
  return at + size_tail_.size();
}

const std::uint8_t* FastLane::read_fqn(const std::uint8_t* at, std::uint32_t& fqn, bool& has_text) {
  TextTable& fqns = heap_.records.fqns;
  has_text = *at == byte(Opcode::SHORT_BINUNICODE);
  if (has_text) {
    const std::size_t length = at[1];
    const std::string_view text(reinterpret_cast<const char*>(at + 2), length);
    at += 2 + length;
    if (*at != byte(Opcode::MEMOIZE)) return nullptr;
    if (!fqns.follows(text)) {
      if (!is_utf8(text)) return nullptr;
      fqns.intern(text);
    }
    fqn = fqns.last();
    return at + 1;
  }
  std::uint64_t id = 0;
  at = read_fetch(at, id);
  if (at == nullptr) return nullptr;
  const MemoAnswer answer = memo_.get(id, heap_.records);
  if (answer.kind != MemoAnswer::Kind::Found) return nullptr;
  if (answer.value.is(Tag::Fqn)) {
    fqn = answer.value.number();
    return at;
  }
  if (!answer.value.is(Tag::Text)) return nullptr;
  fqn = fqns.intern(*heap_.text(answer.value));
  memo_.replace(id, Value(Tag::Fqn, fqn));
  return at;
}

const std::uint8_t* FastLane::read_path(const std::uint8_t* at, std::uint32_t& path) {
  std::uint64_t id = 0;
  at = read_fetch(at, id);
  if (at == nullptr) return nullptr;
  if (id != path_id_) {
    const Value value = memo_.peek(id);
    if (!value.is(Tag::Text)) return nullptr;
    path_ = heap_.records.paths.intern(*heap_.text(value));
    path_id_ = id;
  }
  path = path_;
  return at;
}

const std::uint8_t* FastLane::read_fetch(const std::uint8_t* at, std::uint64_t& id) {
  const std::uint64_t word = load_word(at);
  if ((word & 0xFF) == byte(Opcode::LONG_BINGET)) {
    id = word >> 8 & 0xFFFFFFFF;
    return at + 5;
  }
  id = word >> 8 & 0xFF;
  return (word & 0xFF) == byte(Opcode::BINGET) ? at + 2 : nullptr;
}

const std::uint8_t* FastLane::read_dims(const std::uint8_t* at, Dims& dims) {
  dims.rank = 0;
  if (*at == byte(Opcode::EMPTY_TUPLE)) {
    dims.opcodes = 1;
    return at + 1;
  }
  const bool marked = *at == byte(Opcode::MARK);
  at += marked ? 1 : 0;
  while (const std::uint8_t* const behind = read_int(at, dims.numbers[dims.rank])) {
    at = behind;
    if (++dims.rank == kMaxRank) break;
  }
  const std::uint8_t make = marked ? byte(Opcode::TUPLE) : static_cast<std::uint8_t>(byte(Opcode::TUPLE1) + dims.rank - 1);
  if (dims.rank == 0 || (!marked && dims.rank > 3) || at[0] != make || at[1] != byte(Opcode::MEMOIZE)) return nullptr;
  dims.opcodes = static_cast<std::uint8_t>(dims.rank + (marked ? 3 : 2));
  return at + 2;
}

// A number that is not negative; nullptr where another instruction stands.
const std::uint8_t* FastLane::read_int(const std::uint8_t* at, std::int64_t& number) {
  struct Form {
    std::uint64_t mask;
    std::uint8_t size;
  };
  static constexpr auto kForms = [] {
    std::array<Form, 256> forms{};
    forms[byte(Opcode::BININT1)] = {0xFF, 1};
    forms[byte(Opcode::BININT2)] = {0xFFFF, 2};
    forms[byte(Opcode::BININT)] = {0xFFFFFFFF, 4};
    return forms;
  }();
  const Form form = kForms[*at];
  if (form.size != 0) {
    const std::uint64_t value = load_word(at + 1) & form.mask;
    if (value > 0x7FFFFFFF) return nullptr;  // a negative BININT
    number = static_cast<std::int64_t>(value);
    return at + 1 + form.size;
  }
  const std::size_t length = at[1];
  if (*at != byte(Opcode::LONG1) || length == 0 || length > 8) return nullptr;
  number = static_cast<std::int64_t>(load_word(at + 2) << (64 - 8 * length)) >> (64 - 8 * length);
  return number < 0 ? nullptr : at + 2 + length;
}

}  // namespace flatpoint::dcp
