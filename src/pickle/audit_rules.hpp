// pickle/audit_rules.hpp - the closed list: what unpickling DCP's metadata may name, and in which form.
//
// Nothing here is shared with the exporter's own list (dcp/foreign_names.hpp): a mistake of one is caught by the other.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace flatpoint::audit {

/// What may be done with a name; the names of one form are alike.
enum class Form : std::uint8_t {
  Foreign,        // nothing
  Attributes,     // a class whose objects are made bare and given attributes, once
  Index,          // MetadataIndex: the same, with plain attributes, as it is a key of dicts
  Properties,     // TensorProperties: its state is a tuple of 5 or 6
  NoAttributes,   // BytesStorageMetadata: may be called without arguments as well
  MemoryFormat,   // an enumeration: called with a member's number, or getattr with its name
  WriteItemType,  // the same
  LoadItemType,   // the same
  Dtype,          // a value, never called
  Size,           // (a tuple of ints)
  Layout,         // _get_layout("torch....")
  Device,         // (str) or (str, int)
  Path,           // any number of str
  OrderedDict,    // (), then items
  ByteArray,      // (), (bytes) or (str, "latin-1")
  EmptyBytes,     // bytes()
  Encode,         // _codecs.encode(str, "latin1")
  Complex,        // (float, float)
  Range,          // one to three ints
  Slice,          // three of int or None
  GetAttr,        // (an enumeration, the name of one of its members)
  Reconstructor,  // copyreg._reconstructor(class, object, None)
  NewObject,      // copyreg.__newobj__(class)
  Object,         // builtins.object, for that
};

/// By the name as Python 3 has it.
Form form_of(std::string_view module, std::string_view name) noexcept;

/// The members of an enumeration: the number of the first, and the names. Empty for another form.
struct Members {
  std::uint64_t first;
  std::span<const std::string_view> names;
};
Members members_of(Form form) noexcept;

/// Whether bare objects of the class may be made.
constexpr bool is_class_of_objects(Form form) noexcept {
  return form == Form::Attributes || form == Form::Index || form == Form::Properties || form == Form::NoAttributes;
}

}  // namespace flatpoint::audit
