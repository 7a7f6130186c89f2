#include "dcp/shapes.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace flatpoint::dcp {
namespace {

std::span<const Value> tuple_values(Value tuple) { return tuple.node<Tuple>()->values(); }

/// The arguments of a call of a known name to which nothing was done afterwards.
std::optional<std::span<const Value>> arguments_of(const Heap& heap, Value value, Known callable) {
  if (!value.is(Tag::Object)) return std::nullopt;
  const auto* const object = value.node<Object>();
  if (object->kind != Object::Kind::Reduce || object->blocks.first != nullptr) return std::nullopt;
  if (heap.known(object->callable) != callable) return std::nullopt;
  return tuple_values(object->args);
}

/// numpy.dtype of an integer, little-endian, as numpy 1 and 2 pickle it: its size in bytes, negative where signed.
std::optional<int> read_integer_dtype(const Heap& heap, Value value) {
  if (!value.is(Tag::Object)) return std::nullopt;
  const auto* const object = value.node<Object>();
  if (object->kind != Object::Kind::Reduce || heap.known(object->callable) != Known::NumpyDtype) return std::nullopt;
  const auto arguments = tuple_values(object->args);
  if (arguments.size() != 3 || !arguments[1].is(Tag::False) || !arguments[2].is(Tag::True)) return std::nullopt;
  const auto name = heap.text(arguments[0]);
  if (!name || name->size() != 2 || ((*name)[0] != 'i' && (*name)[0] != 'u')) return std::nullopt;
  const int size = (*name)[1] - '0';
  if (size != 1 && size != 2 && size != 4 && size != 8) return std::nullopt;
  // BUILD with (3, byte order, None, None, None, -1, -1, 0)
  const Block* const build = object->blocks.first;
  if (build == nullptr || build->next != nullptr || build->kind != Block::Kind::Build) return std::nullopt;
  if (!build->values()[0].is(Tag::Tuple)) return std::nullopt;
  const auto state = tuple_values(build->values()[0]);
  if (state.size() != 8 || Heap::integer(state[0]) != 3) return std::nullopt;
  const auto order = heap.text(state[1]);
  if (order != "<" && !(order == "|" && size == 1)) return std::nullopt;
  for (const std::size_t none : {2, 3, 4}) {
    if (!state[none].is(Tag::None)) return std::nullopt;
  }
  if (Heap::integer(state[5]) != -1 || Heap::integer(state[6]) != -1 || Heap::integer(state[7]) != 0) {
    return std::nullopt;
  }
  return (*name)[0] == 'i' ? -size : size;
}

/// numpy._core.multiarray.scalar(dtype, bytes), and numpy.core... of numpy 1.
std::optional<std::int64_t> read_numpy_integer(const Heap& heap, Value value) {
  const auto arguments = arguments_of(heap, value, Known::NumpyScalar);
  if (!arguments || arguments->size() != 2 || !arguments->back().is(Tag::Bytes)) return std::nullopt;
  const auto dtype = read_integer_dtype(heap, arguments->front());
  if (!dtype) return std::nullopt;
  const auto size = static_cast<std::size_t>(std::abs(*dtype));
  const std::string_view bytes = arguments->back().node<TextNode>()->view();
  if (bytes.size() != size) return std::nullopt;
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes.data(), size);
  const auto unused = static_cast<int>(64 - 8 * size);
  if (*dtype < 0) return static_cast<std::int64_t>(bits << unused) >> unused;
  if (bits > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(bits);
}

}  // namespace

std::optional<std::span<const Value>> size_items(const Heap& heap, Value value) {
  if (value.is(Tag::Tuple)) return tuple_values(value);
  const auto arguments = arguments_of(heap, value, Known::Size);
  if (!arguments || arguments->size() != 1 || !arguments->front().is(Tag::Tuple)) return std::nullopt;
  return tuple_values(arguments->front());
}

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

bool may_stand_in(const Heap& heap, Value cls) {
  const GlobalName& name = heap.globals[cls.number()];
  const bool is_of_python_2 = pickle::python_3_name(name.module, name.name).module != name.module;
  return heap.known(cls) == Known::Other && name.module != "builtins" && !is_of_python_2;
}

// A pickler gives an object its state once, and names an attribute once. What does otherwise is not read, however often
// a pickle shares it, to its end.
bool read_attributes(const Heap& heap, Value object, std::span<Attribute> attributes) {
  const BlockList& blocks = object.node<Object>()->blocks;
  if (blocks.first != blocks.last) return false;
  return visit_attributes(*object.node<Object>(), [&](Value key, Value value) {
    const auto name = heap.text(key);
    if (!name) return false;
    const auto found = std::ranges::find(attributes, *name, &Attribute::name);
    if (found == attributes.end() || !found->value.is(Tag::Unset)) return false;
    found->value = value;
    return true;
  });
}

// torch.Size makes ints of bools and of numpy's integers; a tuple keeps them, and is equal nevertheless.
std::optional<std::int64_t> read_integer(const Heap& heap, Value value) {
  if (value.is(Tag::True) || value.is(Tag::False)) return value.is(Tag::True) ? 1 : 0;
  const auto number = Heap::integer(value);
  return number ? number : read_numpy_integer(heap, value);
}

bool has_plain_state(Value object) noexcept {
  const BlockList& blocks = object.node<Object>()->blocks;
  if (blocks.first == nullptr || blocks.first != blocks.last || blocks.first->kind != Block::Kind::Build) return false;
  const Value state = blocks.first->values()[0];
  if (!state.is(Tag::Tuple) || state.node<Tuple>()->count != 2) return state.is(Tag::Dict);
  return has_no_slots(state.node<Tuple>()->values()[1]);
}

bool is_dict(const Heap& heap, Value value) {
  if (value.is(Tag::Dict)) return true;
  if (!value.is(Tag::Object)) return false;
  const auto* const object = value.node<Object>();
  if (object->kind != Object::Kind::Reduce || heap.known(object->callable) != Known::OrderedDict) return false;
  if (!tuple_values(object->args).empty()) return false;
  for (const Block* block = object->blocks.first; block != nullptr; block = block->next) {
    if (block->kind != Block::Kind::SetItem && block->kind != Block::Kind::SetItems) return false;
  }
  return true;
}

const BlockList& dict_blocks(Value dict) noexcept {
  return dict.is(Tag::Dict) ? dict.node<Container>()->blocks : dict.node<Object>()->blocks;
}

std::optional<std::size_t> read_size(const Heap& heap, Value value, base::LargeVector<std::int64_t>& out) {
  if (value.is(kSizeTag)) {
    const auto& pool = in_offsets(value) ? heap.records.offsets : heap.records.boxes;
    out.reserve(out.size() + ndim_of(value));  // `out` may be the pool
    for (std::size_t i = 0; i < ndim_of(value); ++i) out.push_back(pool[begin_of(value) + i]);
    return ndim_of(value);
  }
  const std::size_t begin = out.size();
  const auto append = [&](Value item) {
    const auto number = out.size() - begin < kMaxDimensions ? read_integer(heap, item) : std::nullopt;
    if (!number || *number < 0) return false;
    out.push_back(*number);
    return true;
  };
  const auto items = size_items(heap, value);
  const bool fits = value.is(Tag::List) ? visit_list(value, append) : items && std::ranges::all_of(*items, append);
  if (fits) return out.size() - begin;
  out.resize(begin);
  return std::nullopt;
}

bool has_too_many_dimensions(const Heap& heap, Value value) {
  const auto items = size_items(heap, value);
  return items && items->size() > kMaxDimensions;
}

std::optional<Named<ScalarType>> read_dtype(const Heap& heap, Value value) {
  if (heap.known(value) != Known::Torch) return std::nullopt;
  const std::string_view name = heap.globals[value.number()].name;
  if (name.find('.') != std::string_view::npos) return std::nullopt;  // a part of something else
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
