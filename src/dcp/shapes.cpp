#include "dcp/shapes.hpp"

#include <algorithm>

namespace flatpoint::dcp {
namespace {

std::span<const Value> tuple_values(Value tuple) { return tuple.node<Tuple>()->values(); }

/// The arguments of a call of a known name to which nothing was done afterwards.
std::optional<std::span<const Value>> arguments_of(const Heap& heap, Value value, Known callable) {
  if (!value.is(Tag::Object)) return std::nullopt;
  const auto* const object = value.node<Object>();
  if (object->kind == Object::Kind::NewEx || object->blocks.first != nullptr) return std::nullopt;
  if (heap.known(object->callable) != callable) return std::nullopt;
  return tuple_values(object->args);
}

/// The numbers of a torch.Size or tuple that the fast lane did not fold.
std::optional<std::span<const Value>> size_items(const Heap& heap, Value value) {
  if (value.is(Tag::Tuple)) return tuple_values(value);
  const auto arguments = arguments_of(heap, value, Known::Size);
  if (!arguments || arguments->size() != 1 || !arguments->front().is(Tag::Tuple)) return std::nullopt;
  return tuple_values(arguments->front());
}

}  // namespace

Value class_of(const Heap& heap, Value value) {
  if (!value.is(Tag::Object)) return {};
  const auto* const object = value.node<Object>();
  const auto arguments = tuple_values(object->args);
  if (object->kind != Object::Kind::Reduce) {
    const bool bare =
        arguments.empty() && (object->kind == Object::Kind::New || object->kwargs.node<Container>()->count == 0);
    return bare && object->callable.is(Tag::Global) ? object->callable : Value();
  }
  Value cls;
  switch (heap.known(object->callable)) {
    case Known::Reconstructor:  // (class, object, None)
      if (arguments.size() == 3 && heap.known(arguments[1]) == Known::Object && arguments[2].is(Tag::None)) {
        cls = arguments[0];
      }
      break;
    case Known::NewObj:
      if (arguments.size() == 1) cls = arguments[0];
      break;
    case Known::BytesStorageMetadata:  // has no attributes, so that calling it makes the same
      if (arguments.empty()) cls = object->callable;
      break;
    default: break;
  }
  return cls.is(Tag::Global) ? cls : Value();
}

Known known_class_of(const Heap& heap, Value object) { return heap.known(class_of(heap, object)); }

bool read_attributes(const Heap& heap, Value object, std::span<Attribute> attributes) {
  return visit_attributes(*object.node<Object>(), [&](Value key, Value value) {
    const auto name = heap.text(key);
    if (!name) return false;
    const auto found = std::ranges::find(attributes, *name, &Attribute::name);
    if (found == attributes.end()) return false;
    found->value = value;
    return true;
  });
}

std::optional<std::size_t> read_size(const Heap& heap, Value value, base::LargeVector<std::int64_t>& out) {
  if (value.is(kSizeTag)) {
    const auto& pool = in_offsets(value) ? heap.records.offsets : heap.records.boxes;
    out.reserve(out.size() + ndim_of(value));  // `out` may be the pool
    for (std::size_t i = 0; i < ndim_of(value); ++i) out.push_back(pool[begin_of(value) + i]);
    return ndim_of(value);
  }
  const auto items = size_items(heap, value);
  if (!items || items->size() > kMaxDimensions) return std::nullopt;
  const std::size_t begin = out.size();
  for (const Value item : *items) {
    auto number = Heap::integer(item);
    // torch.Size makes ints of bools; a tuple keeps them, and is equal nevertheless.
    if (item.is(Tag::True) || item.is(Tag::False)) number = item.is(Tag::True) ? 1 : 0;
    if (!number || *number < 0) {
      out.resize(begin);
      return std::nullopt;
    }
    out.push_back(*number);
  }
  return items->size();
}

bool has_too_many_dimensions(const Heap& heap, Value value) {
  const auto items = size_items(heap, value);
  return items && items->size() > kMaxDimensions;
}

std::optional<Named<ScalarType>> read_dtype(const Heap& heap, Value value) {
  if (heap.known(value) != Known::Torch) return std::nullopt;
  const std::string_view name = heap.globals[value.number()].name;
  return Named<ScalarType>{scalar_type_from_name(name).value_or(ScalarType::Other), name};
}

std::optional<Named<Layout>> read_layout(const Heap& heap, Value value) {
  constexpr std::string_view kPrefix = "torch.";
  const auto arguments = arguments_of(heap, value, Known::GetLayout);
  if (!arguments || arguments->size() != 1) return std::nullopt;
  auto name = heap.text(arguments->front());
  if (!name || !name->starts_with(kPrefix)) return std::nullopt;
  name->remove_prefix(kPrefix.size());
  return Named<Layout>{layout_from_name(*name).value_or(Layout::Other), *name};
}

std::optional<MemoryFormat> read_memory_format(const Heap& heap, Value value) {
  static constexpr std::string_view kNames[] = {"TORCH_CONTIGUOUS_FORMAT", "TORCH_CHANNELS_LAST",
                                                "TORCH_PRESERVE_FORMAT"};
  std::size_t number = std::size(kNames);
  if (const auto by_value = arguments_of(heap, value, Known::MemFormatEncoding)) {
    if (by_value->size() != 1) return std::nullopt;
    number = static_cast<std::size_t>(Heap::integer(by_value->front()).value_or(-1));
  } else if (const auto by_name = arguments_of(heap, value, Known::GetAttr)) {
    if (by_name->size() != 2 || heap.known(by_name->front()) != Known::MemFormatEncoding) return std::nullopt;
    const auto name = heap.text(by_name->back());
    if (!name) return std::nullopt;
    number = static_cast<std::size_t>(std::ranges::find(kNames, *name) - std::begin(kNames));
  }
  if (number >= std::size(kNames)) return std::nullopt;
  return static_cast<MemoryFormat>(number);
}

}  // namespace flatpoint::dcp
