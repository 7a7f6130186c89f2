// flatpoint/error.hpp - how every fallible call of the library reports failure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace flatpoint {

/// What kind of thing went wrong. Values are stable: programs may switch on them and store them.
enum class ErrorCode : std::uint8_t {
  NotFound = 1,         // the file, folder or FQN does not exist
  Io = 2,               // the operating system refused: open, read, write, rename, no space left
  NotFlatpoint = 3,     // the bytes are not a flatpoint file
  Truncated = 4,        // a flatpoint file with bytes missing or appended
  Version = 5,          // written by a newer major version of the format
  Corrupt = 6,          // a flatpoint file that breaks a rule of docs/format.md
  TooLarge = 7,         // a limit of the format or a limit given as an option; the message names it
  InvalidArgument = 8,  // the caller's input contradicts itself or a stated precondition
  Conflict = 9,         // two inputs say different things about one FQN, chunk or file
  NotPickle = 10,       // the bytes are not a pickle of DCP's Metadata
  BadPickle = 11,       // a pickle that is truncated, malformed or hostile; the message names opcode and byte offset
  Ambiguous = 12,       // several candidates where one is needed, for example `__0.metadata` and `__1.metadata`
  OpaqueRecords = 13,   // the operation would lose or emit opaque records and was not told to
  Stale = 14,           // the `.metadata` beside the file is not the one it was imported from

  // Of data files; the message names FQN, file and byte offset of the item.
  NotPlain = 32,          // no row-major tensor or plain value; the message says why
  BadItem = 33,           // no archive of torch.save or header of safetensors, or one that contradicts itself
  DtypeMismatch = 34,     // the item has another dtype than the metadata says
  SizeMismatch = 35,      // the item has another size than the metadata says
  Changed = 36,           // a data file is not as it was when it was first opened
  Holes = 37,             // no chunk holds some of the elements that are to be read
  Checksum = 38,          // bytes that do not have their checksum
  UnknownTransform = 39,  // an item behind a transform that this version does not know
  Outside = 40,           // the path of a data file leaves the checkpoint's folder
};

/// The stable, lower-case name of a code ("not_found", "io", ...), as `--json` output shows it.
std::string_view to_string(ErrorCode code) noexcept;

/// A code for programs and a message for people. The message says what, where (path, byte offset, FQN) and which limit.
struct Error {
  ErrorCode code;
  std::string message;
  std::string rule = {};  // of docs/format.md, such as "F4", where the bytes of a file break one
};

/// The message, and the rule behind it: "...: truncated: 3 bytes, the trailer alone has 24 (rule F2)".
std::string to_string(const Error& error);

/// The value, or the Error that kept it from being made. Every function that returns one is [[nodiscard]].
template <class T>
using Result = tl::expected<T, Error>;

/// Shorthand for returning an Error from a function with a Result.
inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// The error of an inner call with the place put before its message: "FQN 'w': ...".
inline tl::unexpected<Error> fail_at(std::string_view place, Error error) {
  error.message.insert(0, ": ").insert(0, place);
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace flatpoint
