#include "archive/plain_value.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "flatpoint/pickle_writer.hpp"

namespace flatpoint::archive {
namespace {

using pickle::Opcode;
using pickle::PickleBatches;
using pickle::PickleWriter;

/// Writes one value by the instructions of literals alone. The first failure stops everything.
class LiteralWriter {
 public:
  explicit LiteralWriter(const Unpickled& pickle) : pickle_(pickle) {}

  Result<Buffer> write() {
    out_.protocol();
    auto written = value(pickle_.root, 0);
    RETURN_IF_ERROR(written);
    out_.opcode(Opcode::STOP);
    return out_.take();
  }

 private:
  Result<void> value(Value value, int depth);
  Result<void> scalar(Value value);
  Result<void> object(const Object& object, int depth, bool is_key);
  Result<void> tuple(std::span<const Value> items, int depth, bool is_key);
  Result<void> frozen_set(std::span<const Value> items, int depth);
  Result<void> list(const BlockList& blocks, int depth);
  Result<void> set(const BlockList& blocks, int depth);
  Result<void> dict(const BlockList& blocks, int depth);
  Result<void> items(const BlockList& blocks, int depth, bool are_keys, PickleBatches batches);
  /// A value that Python can hash.
  Result<void> key(Value key, int depth);

  const Unpickled& pickle_;
  PickleWriter out_;
};

constexpr std::size_t kMany = 2;  // PickleBatches: not one alone
constexpr const char* kUnhashable = "a key or an item of a set that cannot be hashed";

Result<void> LiteralWriter::value(Value value, int depth) {
  RETURN_IF_ERROR(check_plain_size(depth, out_.size()));
  switch (value.tag()) {
    case Tag::Tuple: return tuple(value.node<Tuple>()->values(), depth, false);
    case Tag::FrozenSet: return frozen_set(value.node<Tuple>()->values(), depth);
    case Tag::List: return list(value.node<Container>()->blocks, depth);
    case Tag::Set: return set(value.node<Container>()->blocks, depth);
    case Tag::Dict: return dict(value.node<Container>()->blocks, depth);
    case Tag::Object: return object(*value.node<Object>(), depth, false);
    default: return scalar(value);
  }
}

Result<void> LiteralWriter::scalar(Value value) {
  switch (value.tag()) {
    case Tag::None: out_.none(); return {};
    case Tag::False: out_.boolean(false); return {};
    case Tag::True: out_.boolean(true); return {};
    case Tag::Float: out_.real(*value.node<double>()); return {};
    case Tag::BinaryInt: out_.long_integer(value.node<TextNode>()->view()); return {};
    case Tag::Bytes:
    case Tag::ByteArray: out_.bytes(value.node<TextNode>()->view()); return {};
    case Tag::Global: return not_plain_value(pickle_.global(value));
    default: break;
  }
  if (const auto number = Heap::integer(value)) {
    out_.integer(*number);
  } else if (const auto text = pickle_.heap->text(value)) {
    out_.text(*text);
  } else {
    return not_plain_value("a number as protocol 0 writes it");
  }
  return {};
}

Result<void> LiteralWriter::object(const Object& object, int depth, bool is_key) {
  const auto form = plain_form(pickle_, object);
  RETURN_IF_ERROR(form);
  switch (form->kind) {
    case PlainForm::Kind::Tuple: return tuple(form->values, depth, is_key);
    case PlainForm::Kind::Bytes: out_.bytes(form->bytes); return {};
    case PlainForm::Kind::FrozenSet:
      out_.mark();
      for (const Block* block = form->items->first; block != nullptr; block = block->next) {
        for (const Value item : block->values()) {
          RETURN_IF_ERROR(key(item, depth + 1));
        }
      }
      out_.opcode(Opcode::FROZENSET);
      return {};
    case PlainForm::Kind::Dict:
    case PlainForm::Kind::Set: break;
  }
  if (is_key) return not_plain_value(kUnhashable);
  return form->kind == PlainForm::Kind::Dict ? dict(*form->items, depth) : set(*form->items, depth);
}

Result<void> LiteralWriter::tuple(std::span<const Value> items, int depth, bool is_key) {
  if (items.size() > 3) out_.mark();
  for (const Value item : items) {
    RETURN_IF_ERROR(is_key ? key(item, depth + 1) : value(item, depth + 1));
  }
  out_.tuple(items.size());
  return {};
}

Result<void> LiteralWriter::frozen_set(std::span<const Value> items, int depth) {
  out_.mark();
  for (const Value item : items) {
    RETURN_IF_ERROR(key(item, depth + 1));
  }
  out_.opcode(Opcode::FROZENSET);
  return {};
}

Result<void> LiteralWriter::items(const BlockList& blocks, int depth, bool are_keys, PickleBatches batches) {
  for (const Block* block = blocks.first; block != nullptr; block = block->next) {
    for (const Value item : block->values()) {
      batches.next();
      RETURN_IF_ERROR(are_keys ? key(item, depth + 1) : value(item, depth + 1));
    }
  }
  batches.finish();
  return {};
}

Result<void> LiteralWriter::list(const BlockList& blocks, int depth) {
  out_.opcode(Opcode::EMPTY_LIST);
  return items(blocks, depth, false, PickleBatches(out_, kMany, Opcode::APPEND, Opcode::APPENDS));
}

Result<void> LiteralWriter::set(const BlockList& blocks, int depth) {
  out_.opcode(Opcode::EMPTY_SET);
  return items(blocks, depth, true, PickleBatches(out_, kMany, Opcode::ADDITEMS, Opcode::ADDITEMS));
}

Result<void> LiteralWriter::dict(const BlockList& blocks, int depth) {
  out_.opcode(Opcode::EMPTY_DICT);
  PickleBatches batches(out_, kMany, Opcode::SETITEM, Opcode::SETITEMS);
  for (const Block* block = blocks.first; block != nullptr; block = block->next) {
    if (block->kind != Block::Kind::SetItem && block->kind != Block::Kind::SetItems)
      return not_plain_value("a dict with a state of its own");
    const auto values = block->values();
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
      batches.next();
      RETURN_IF_ERROR(key(values[i], depth + 1));
      RETURN_IF_ERROR(value(values[i + 1], depth + 1));
    }
  }
  batches.finish();
  return {};
}

Result<void> LiteralWriter::key(Value key, int depth) {
  RETURN_IF_ERROR(check_plain_size(depth, out_.size()));
  switch (key.tag()) {
    case Tag::FrozenSet: return frozen_set(key.node<Tuple>()->values(), depth);
    case Tag::Tuple: return tuple(key.node<Tuple>()->values(), depth, true);
    case Tag::Object: return object(*key.node<Object>(), depth, true);
    case Tag::List:
    case Tag::Set:
    case Tag::Dict:
    case Tag::ByteArray: return not_plain_value(kUnhashable);
    default: return scalar(key);
  }
}

}  // namespace

Result<Buffer> to_plain_pickle(const Unpickled& pickle) { return LiteralWriter(pickle).write(); }

}  // namespace flatpoint::archive
