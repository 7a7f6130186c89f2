#include "torch_checkpointing/values.hpp"

#include <algorithm>

#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint::torch_checkpointing {
namespace {

tl::unexpected<Error> wrong_type(std::string_view what, std::string_view expected, Value value) {
  return fail(ErrorCode::BadPickle, fmt::format("{} is {}, not {}", what, type_of(value), expected));
}

}  // namespace

std::string_view type_of(Value value) noexcept {
  switch (value.tag()) {
    case Tag::Unset: return "missing";
    case Tag::None: return "None";
    case Tag::False:
    case Tag::True: return "a bool";
    case Tag::Int:
    case Tag::BoxedInt:
    case Tag::BinaryInt:
    case Tag::DecimalInt: return "an int";
    case Tag::Float: return "a float";
    case Tag::Text:
    case Tag::LongText:
    case Tag::Interned: return "a str";
    case Tag::Tuple: return "a tuple";
    case Tag::List: return "a list";
    case Tag::Dict: return "a dict";
    default: return "of a type that no manifest has";
  }
}

Result<Values::Items> Values::dict(Value value, std::string_view what) const {
  if (!value.is(Tag::Dict)) return wrong_type(what, "a dict", value);
  Items items;
  for (const auto* block = value.node<pickle::Container>()->blocks.first; block != nullptr; block = block->next) {
    if (block->kind != pickle::Block::Kind::SetItem && block->kind != pickle::Block::Kind::SetItems)
      return wrong_type(what, "a plain dict", value);
    const auto values = block->values();
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) items.emplace_back(values[i], values[i + 1]);
  }
  return items;
}

Result<std::vector<Value>> Values::fields(Value value, std::string_view what,
                                          std::initializer_list<std::string_view> keys,
                                          std::vector<std::string_view>& others) const {
  const auto items = dict(value, what);
  RETURN_IF_ERROR(items);
  std::vector<Value> found(keys.size());
  for (const auto& [key, field] : *items) {
    const auto name = heap_.text(key);
    if (!name) return fail(ErrorCode::BadPickle, fmt::format("a key of {} is {}, not a str", what, type_of(key)));
    const auto* const known = std::ranges::find(keys, *name);
    if (known == keys.end()) {
      others.push_back(*name);
      continue;
    }
    Value& slot = found[static_cast<std::size_t>(known - keys.begin())];
    if (!slot.is(Tag::Unset)) return fail(ErrorCode::BadPickle, fmt::format("{} has the key '{}' twice", what, *name));
    slot = field;
  }
  return found;
}

Result<std::vector<Value>> Values::sequence(Value value, std::string_view what) const {
  if (value.is(Tag::Tuple)) {
    const auto items = value.node<pickle::Tuple>()->values();
    return std::vector<Value>(items.begin(), items.end());
  }
  if (!value.is(Tag::List)) return wrong_type(what, "a list or a tuple", value);
  std::vector<Value> items;
  for (const auto* block = value.node<pickle::Container>()->blocks.first; block != nullptr; block = block->next) {
    if (block->kind != pickle::Block::Kind::Append && block->kind != pickle::Block::Kind::Appends)
      return wrong_type(what, "a plain list", value);
    items.insert(items.end(), block->values().begin(), block->values().end());
  }
  return items;
}

Result<std::string_view> Values::text(Value value, std::string_view what) const {
  const auto text = heap_.text(value);
  if (!text) return wrong_type(what, "a str", value);
  return *text;
}

Result<std::int64_t> Values::integer(Value value, std::string_view what, std::int64_t least, std::int64_t most) const {
  const auto number = Heap::integer(value);
  if (!number && type_of(value) != "an int") return wrong_type(what, "an int", value);
  if (!number || *number < least || *number > most) {
    return fail(ErrorCode::BadPickle,
                fmt::format("{} is {}; {} to {} are possible", what,
                            number ? fmt::format("{}", *number) : std::string("beyond 64 bits"), least, most));
  }
  return *number;
}

Result<std::vector<std::int64_t>> Values::integers(Value value, std::string_view what, std::int64_t least,
                                                   std::int64_t most) const {
  const auto items = sequence(value, what);
  RETURN_IF_ERROR(items);
  std::vector<std::int64_t> numbers;
  numbers.reserve(items->size());
  for (const Value item : *items) {
    const auto number = integer(item, "an item", least, most);
    if (!number) return fail_at(what, number.error());
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace flatpoint::torch_checkpointing
