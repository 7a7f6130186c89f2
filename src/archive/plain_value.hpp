// archive/plain_value.hpp - a plain Python value as JSON, and as a pickle of literals.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "archive/pickle.hpp"
#include "flatpoint/buffer.hpp"

namespace flatpoint::archive {

/// See read_plain_value. Errors: NotPlain names the class of what is no plain value; TooLarge for values that are
/// shared so often that writing them out would take all memory, or that hold themselves.
[[nodiscard]] Result<std::string> to_json(const Unpickled& pickle);

/// See read_plain_pickle. Errors: as `to_json`.
[[nodiscard]] Result<Buffer> to_plain_pickle(const Unpickled& pickle);

/// What an object is that a call makes, where it is a plain value nevertheless. torch.save writes protocol 2, which has
/// no instructions for sets and bytes.
struct PlainForm {
  enum class Kind : std::uint8_t { Dict, Tuple, Set, FrozenSet, Bytes } kind;
  const BlockList* items = nullptr;  // of a dict or a set
  std::span<const Value> values;     // of a tuple
  std::string bytes;
};

/// An OrderedDict is a dict, a torch.Size a tuple; set, frozenset and bytes are themselves. Nothing else that would be
/// made by a call is plain.
[[nodiscard]] Result<PlainForm> plain_form(const Unpickled& pickle, const Object& object);

inline constexpr int kMaxPlainDepth = 200;
inline constexpr std::size_t kMaxPlainOutput = std::size_t{1} << 28;

tl::unexpected<Error> not_plain_value(std::string_view what);
/// Errors: TooLarge for a value at a depth, or one that was written out so far, that is beyond all reason.
[[nodiscard]] Result<void> check_plain_size(int depth, std::size_t written);

}  // namespace flatpoint::archive
