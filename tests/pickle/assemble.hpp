// Pickles written by hand, instruction by instruction.
#pragma once

#include <string>
#include <string_view>

#include "flatpoint/pickle_opcode.hpp"

namespace flatpoint::test {

using pickle::Opcode;

inline std::string op(Opcode opcode, std::string_view operand = {}) {
  return std::string(1, static_cast<char>(opcode)).append(operand);
}
template <class... More>
std::string ops(Opcode first, More... more) {
  if constexpr (sizeof...(more) == 0) {
    return op(first);
  } else {
    return op(first) + ops(more...);
  }
}

template <class Number>
std::string little_endian(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

inline std::string str(std::string_view text) {
  return op(Opcode::SHORT_BINUNICODE, little_endian(static_cast<std::uint8_t>(text.size()))).append(text);
}
inline std::string number(std::uint8_t value) { return op(Opcode::BININT1, little_endian(value)); }
inline std::string global(std::string_view module, std::string_view name) {
  return op(Opcode::GLOBAL, std::string(module) + "\n" + std::string(name) + "\n");
}
inline std::string dcp_class(std::string_view name) { return global("torch.distributed.checkpoint.metadata", name); }

/// `parts` hold the instructions of what goes in.
inline std::string tuple(std::string_view parts) { return op(Opcode::MARK, parts) + op(Opcode::TUPLE); }
inline std::string frozen_set(std::string_view parts) { return op(Opcode::MARK, parts) + op(Opcode::FROZENSET); }
inline std::string dict(std::string_view parts) {
  return op(Opcode::EMPTY_DICT) + op(Opcode::MARK, parts) + op(Opcode::SETITEMS);
}
inline std::string list(std::string_view parts) {
  return op(Opcode::EMPTY_LIST) + op(Opcode::MARK, parts) + op(Opcode::APPENDS);
}
inline std::string call(std::string_view callable, std::string_view arguments) {
  return std::string(callable) + tuple(arguments) + op(Opcode::REDUCE);
}
inline std::string object(std::string_view cls, std::string_view state) {
  return std::string(cls) + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ) + std::string(state) + op(Opcode::BUILD);
}
inline std::string torch_size(std::string_view numbers) { return call(global("torch", "Size"), tuple(numbers)); }

inline std::string begin(std::uint8_t protocol = 4) { return op(Opcode::PROTO, little_endian(protocol)); }
inline std::string whole_pickle(std::string_view value) { return begin().append(value) + op(Opcode::STOP); }

/// A whole `.metadata`: the attributes beside state_dict_metadata, and what goes into that.
inline std::string metadata(std::string_view attributes, std::string_view entries = {}) {
  return whole_pickle(
      object(dcp_class("Metadata"), dict(str("state_dict_metadata") + dict(entries) + std::string(attributes))));
}
inline std::string bytes_entry(std::string_view fqn) {
  return str(fqn) + dcp_class("BytesStorageMetadata") + ops(Opcode::EMPTY_TUPLE, Opcode::NEWOBJ);
}

}  // namespace flatpoint::test
