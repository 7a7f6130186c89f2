// dcp/shapes.hpp - recognises the classes of DCP among values. Nothing here changes or makes a value.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dcp/heap.hpp"
#include "flatpoint/columns.hpp"

namespace flatpoint::dcp {

/// The class of an object that was made from its class alone: NEWOBJ, NEWOBJ_EX, copyreg._reconstructor and
/// copyreg.__newobj__, without arguments. Unset for anything else, folded objects included.
Value class_of(const Heap& heap, Value object);
Known known_class_of(const Heap& heap, Value object);

/// Calls visit(key, value) for each attribute in order of assignment. Stops and returns false where visit does, or
/// where something other than attributes was given to the object.
template <class Visit>
bool visit_attributes(const Object& object, Visit visit);

struct Attribute {
  std::string_view name;
  Value value{};  // Unset where the object does not have it
};
/// Whether a class may stand in the place of one of DCP's: there may be one, and its objects may take attributes.
bool may_stand_in(const Heap& heap, Value cls);

/// The values of these attributes, each Unset before. False where the object has others, was given one twice, or was
/// changed in another way. REQUIRES: an Object.
bool read_attributes(const Heap& heap, Value object, std::span<Attribute> attributes);

/// Whether this part of a state, what is set by setattr, sets nothing.
inline bool has_no_slots(Value slots) noexcept {
  return slots.is(Tag::None) || (slots.is(Tag::Dict) && slots.node<Container>()->count == 0);
}

/// Whether what was given to the object is a dict of attributes, without slots: those a class that is frozen refuses.
/// REQUIRES: an Object.
bool has_plain_state(Value object) noexcept;

/// An int, a bool, or an integer of numpy, which Python finds equal to the int.
std::optional<std::int64_t> read_integer(const Heap& heap, Value value);

/// A dict, or an OrderedDict, which is equal to it.
bool is_dict(const Heap& heap, Value value);
/// The items: key, value, key, value, ... REQUIRES: is_dict.
const BlockList& dict_blocks(Value dict) noexcept;

/// torch.Size, a tuple of ints, which is equal to it, or a list, which is not: appends the numbers and returns how
/// many. Nothing for other values, negative numbers, or more than `kMaxDimensions`.
std::optional<std::size_t> read_size(const Heap& heap, Value value, base::LargeVector<std::int64_t>& out);
inline constexpr std::size_t kMaxDimensions = 255;
/// What a tuple holds, or a torch.Size that is not folded.
std::optional<std::span<const Value>> size_items(const Heap& heap, Value value);
/// Whether a value is a torch.Size of more dimensions than a file can hold.
bool has_too_many_dimensions(const Heap& heap, Value value);

/// A name of a type of torch, kept where the type is none that this version knows.
template <class Type>
struct Named {
  Type type;
  std::string_view name;  // where type is Other
};
std::optional<Named<ScalarType>> read_dtype(const Heap& heap, Value value);
std::optional<Named<Layout>> read_layout(const Heap& heap, Value value);
/// A member of _MEM_FORMAT_ENCODING, by value or by name.
std::optional<MemoryFormat> read_memory_format(const Heap& heap, Value value);

struct PathText {
  PathType type;
  std::string text;
};
/// A path of pathlib as `str` would give it. Nothing for other values.
std::optional<PathText> read_path(const Heap& heap, Value value);

/// Calls visit(item) for each item of a list, in order. Stops and returns false where visit does.
template <class Visit>
bool visit_list(Value list, Visit visit);

template <class Visit>
bool visit_attributes(const Object& object, Visit visit) {
  const auto visit_dict = [&](Value state) {
    for (const Block* block = state.node<Container>()->blocks.first; block != nullptr; block = block->next) {
      const auto values = block->values();
      for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
        if (!visit(values[i], values[i + 1])) return false;
      }
    }
    return true;
  };
  for (const Block* block = object.blocks.first; block != nullptr; block = block->next) {
    if (block->kind != Block::Kind::Build) return false;
    const Value state = block->values()[0];
    if (state.is(Tag::Dict)) {
      if (!visit_dict(state)) return false;
    } else if (state.is(Tag::Tuple) && state.node<Tuple>()->count == 2) {  // (attributes, slots), each may be None
      // Slots are set by setattr: that of __dict__ or __class__ changes everything else. DCP's classes have none.
      const auto parts = state.node<Tuple>()->values();
      if (!has_no_slots(parts[1]) || !(parts[0].is(Tag::None) || parts[0].is(Tag::Dict))) return false;
      if (parts[0].is(Tag::Dict) && !visit_dict(parts[0])) return false;
    } else if (!state.is(Tag::None)) {
      return false;
    }
  }
  return true;
}

template <class Visit>
bool visit_list(Value list, Visit visit) {
  for (const Block* block = list.node<Container>()->blocks.first; block != nullptr; block = block->next) {
    for (const Value item : block->values()) {
      if (!visit(item)) return false;
    }
  }
  return true;
}

}  // namespace flatpoint::dcp
