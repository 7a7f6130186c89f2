#include "dcp/value_writer.hpp"

#include "base/format.hpp"

namespace flatpoint::dcp {
namespace {

/// Cuts the states that a TensorProperties is given to their first five fields.
void cut_strides(const BlockList& blocks) noexcept {
  for (const Block* block = blocks.first; block != nullptr; block = block->next) {
    if (block->kind != Block::Kind::Build || !block->values()[0].is(Tag::Tuple)) continue;
    auto* const state = block->values()[0].node<Tuple>();
    if (state->count == 6) state->count = 5;
  }
}

}  // namespace

Result<void> ValueWriter::write(Value value) {
  begin(value);
  for (;;) {
    if (frames_.size() > limits_.max_depth) {
      return fail(ErrorCode::TooLarge,
                  fmt::format("a value is nested deeper than the limit max_depth = {}", limits_.max_depth));
    }
    if (pickle_.size() > max_bytes_) {
      return fail(ErrorCode::TooLarge,
                  fmt::format("the opaque records exceed the limit max_output_bytes = {}", limits_.max_output_bytes));
    }
    if (frames_.empty()) return {};
    step();
  }
}

// Writes a value without parts; for others remembers what is to be done.
void ValueWriter::begin(Value value) {
  if (const auto known = ids_.find(value.word()); known != ids_.end()) return pickle_.fetch(known->second);
  switch (value.tag()) {
    case Tag::Unset:
    case Tag::None: return pickle_.none();
    case Tag::False:
    case Tag::True: return pickle_.boolean(value.is(Tag::True));
    case Tag::Int:
    case Tag::BoxedInt: return pickle_.integer(*Heap::integer(value));
    case Tag::BinaryInt: return pickle_.long_integer(value.node<TextNode>()->view());
    case Tag::DecimalInt: return pickle_.decimal(value.node<TextNode>()->view());
    case Tag::Float: return pickle_.real(*value.node<double>());
    case Tag::Text:
    case Tag::LongText:
    case Tag::Interned: return write_text(*heap_.text(value));
    case Tag::Bytes: pickle_.bytes(value.node<TextNode>()->view()); return memoize(value);
    case Tag::ByteArray: write_bytearray(value.node<TextNode>()->view()); return memoize(value);
    case Tag::Global: {
      const GlobalName& global = heap_.globals[value.number()];
      write_global(global.module, global.name);
      return memoize(value);
    }
    case kSizeTag: return write_size(value);
    case kChunkTag: return write_chunk(value);
    case kIndexTag: return write_index(value);
    case kInfoTag: return write_info(value);
    case Tag::Tuple:
      if (value.node<Tuple>()->count == 0) return pickle_.tuple(0);
      break;
    default: break;
  }
  frames_.push_back({value});
}

void ValueWriter::step() {
  Frame& frame = frames_.back();
  switch (frame.value.tag()) {
    case Tag::Tuple:
    case Tag::FrozenSet: return step_tuple(frame);
    case Tag::Object: return step_object(frame);
    default: return step_container(frame);
  }
}

void ValueWriter::step_tuple(Frame& frame) {
  const auto* const tuple = frame.value.node<Tuple>();
  const bool marked = frame.value.is(Tag::FrozenSet) || tuple->count > 3;
  if (frame.next == 0 && marked) pickle_.mark();
  if (frame.next < tuple->count) return begin(tuple->values()[frame.next++]);

  const Value value = frame.value;
  frames_.pop_back();
  // A part that refers back to it wrote it already.
  if (const auto known = ids_.find(value.word()); known != ids_.end()) {
    if (marked) {
      pickle_.opcode(Opcode::POP_MARK);
    } else {
      for (std::uint64_t i = 0; i < tuple->count; ++i) pickle_.opcode(Opcode::POP);
    }
    return pickle_.fetch(known->second);
  }
  if (value.is(Tag::FrozenSet)) {
    pickle_.opcode(Opcode::FROZENSET);
  } else {
    pickle_.tuple(tuple->count);
  }
  memoize(value);
}

void ValueWriter::step_container(Frame& frame) {
  if (frame.phase++ > 0) return step_blocks(frame);
  const Tag tag = frame.value.tag();
  pickle_.opcode(tag == Tag::List ? Opcode::EMPTY_LIST : tag == Tag::Dict ? Opcode::EMPTY_DICT : Opcode::EMPTY_SET);
  memoize(frame.value);
  frame.block = frame.value.node<Container>()->blocks.first;
}

void ValueWriter::step_object(Frame& frame) {
  const auto* const object = frame.value.node<Object>();
  const bool with_kwargs = object->kind == Object::Kind::NewEx;
  switch (frame.phase++) {
    case 0: return begin(object->callable);
    case 1: return begin(object->args);
    case 2: return with_kwargs ? begin(object->kwargs) : void();
    case 3:
      if (strides_left_out_ && heap_.known(object->callable) == Known::TensorProperties) cut_strides(object->blocks);
      frame.block = object->blocks.first;
      if (!call_object(frame.value, with_kwargs ? 3 : 2)) frames_.pop_back();
      return;
    default: return step_blocks(frame);
  }
}

// False: a part that refers back to the object wrote all of it already.
bool ValueWriter::call_object(Value value, std::size_t parts) {
  if (const auto known = ids_.find(value.word()); known != ids_.end()) {
    for (std::size_t i = 0; i < parts; ++i) pickle_.opcode(Opcode::POP);
    pickle_.fetch(known->second);
    return false;
  }
  static constexpr Opcode kForms[] = {Opcode::REDUCE, Opcode::NEWOBJ, Opcode::NEWOBJ_EX};
  pickle_.opcode(kForms[static_cast<std::size_t>(value.node<Object>()->kind)]);
  memoize(value);
  return true;
}

void ValueWriter::step_blocks(Frame& frame) {
  using Kind = Block::Kind;
  const Block* const block = frame.block;
  if (block == nullptr) return frames_.pop_back();
  const bool marked = block->kind == Kind::Appends || block->kind == Kind::SetItems || block->kind == Kind::AddItems;
  if (frame.next == 0 && marked) pickle_.mark();
  if (frame.next < block->count) return begin(block->values()[frame.next++]);
  static constexpr Opcode kForms[] = {Opcode::APPEND,   Opcode::APPENDS,  Opcode::SETITEM,
                                      Opcode::SETITEMS, Opcode::ADDITEMS, Opcode::BUILD};
  pickle_.opcode(kForms[static_cast<std::size_t>(block->kind)]);
  frame.block = block->next;
  frame.next = 0;
}

// Protocol 4 has no instruction for it.
void ValueWriter::write_bytearray(std::string_view bytes) {
  write_global("builtins", "bytearray");
  pickle_.bytes(bytes);
  pickle_.tuple(1);
  pickle_.opcode(Opcode::REDUCE);
}

void ValueWriter::write_global(std::string_view module, std::string_view name) {
  write_text(module);
  write_text(name);
  pickle_.opcode(Opcode::STACK_GLOBAL);
}

void ValueWriter::write_text(std::string_view text) {
  const auto known = text_ids_.find(text);
  if (known != text_ids_.end()) return pickle_.fetch(known->second);
  pickle_.text(text);
  text_ids_.emplace(text, pickle_.memoize());
}

// What follows writes folded objects with the instructions, memo entries included, that the objects would get.

void ValueWriter::write_size(Value size) {
  const Records& records = heap_.records;
  const std::int64_t* const numbers = (in_offsets(size) ? records.offsets : records.boxes).data() + begin_of(size);
  begin(heap_.size_class);
  if (ndim_of(size) > 3) pickle_.mark();
  for (std::size_t i = 0; i < ndim_of(size); ++i) pickle_.integer(numbers[i]);
  pickle_.tuple(ndim_of(size));
  if (ndim_of(size) > 0) pickle_.memoize();
  pickle_.tuple(1);
  pickle_.memoize();
  pickle_.opcode(Opcode::REDUCE);
  memoize(size);
}

void ValueWriter::begin_folded(Value value, Value cls) {
  begin(cls);
  pickle_.tuple(0);
  pickle_.opcode(Opcode::NEWOBJ);
  memoize(value);
  pickle_.opcode(Opcode::EMPTY_DICT);
  pickle_.memoize();
  pickle_.mark();
}

void ValueWriter::end_folded() {
  pickle_.opcode(Opcode::SETITEMS);
  pickle_.opcode(Opcode::BUILD);
}

void ValueWriter::write_chunk(Value chunk) {
  begin_folded(chunk, heap_.chunk_class);
  write_text("offsets");
  begin(folded(kSizeTag, ndim_of(chunk), begin_of(chunk)));
  write_text("sizes");
  begin(folded(kSizeTag, ndim_of(chunk), begin_of(chunk) + width_of(ndim_of(chunk))));
  end_folded();
}

void ValueWriter::write_index(Value index) {
  const IndexRecord& record = heap_.records.indices[index.number()];
  begin_folded(index, heap_.index_class);
  write_text("fqn");
  begin(Value(Tag::Interned, record.fqn));
  write_text("index");
  record.has_hint ? pickle_.integer(record.hint) : pickle_.none();
  if (record.has_offset) {
    write_text("offset");
    begin(folded(kSizeTag, record.ndim, record.offset_begin, true));
  }
  end_folded();
}

void ValueWriter::write_info(Value info) {
  const InfoRecord& record = heap_.records.infos[info.number()];
  begin_folded(info, heap_.info_class);
  write_text("relative_path");
  write_text(heap_.records.paths[record.path]);
  write_text("offset");
  pickle_.integer(static_cast<std::int64_t>(record.offset));
  write_text("length");
  pickle_.integer(static_cast<std::int64_t>(record.length));
  end_folded();
}

}  // namespace flatpoint::dcp
