// flatpoint/error.hpp - how every fallible call of the library reports failure.
#pragma once

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 202002L
#error "flatpoint needs C++20: compile with -std=c++20 or later (CMake: target_compile_features(... cxx_std_20))"
#endif

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
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

/// A class whose views and spans end with it says so: `using OwnsWhatItLends = void;`.
template <class T>
concept OwnsWhatItLends = requires { typename T::OwnsWhatItLends; };

/// The value, or the Error that kept it from being made: tl::expected, which is [[nodiscard]], and for which a part of
/// a temporary owner does not compile: in `auto view = MetadataFile::open(path)->view()` the view would outlive its
/// file.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  using Base = tl::expected<T, Error>;

  template <class Self, class Next>
  static constexpr auto then(Self&& self, Next&& next) {
    if constexpr (std::is_void_v<T>) {
      using Then = decltype(next());
      return self ? next() : Then(tl::unexpect, std::forward<Self>(self).error());
    } else {
      using Then = decltype(next(*std::forward<Self>(self)));
      return self ? next(*std::forward<Self>(self)) : Then(tl::unexpect, std::forward<Self>(self).error());
    }
  }

 public:
  using Base::Base;
  constexpr Result() = default;
  constexpr Result(const Base& other) : Base(other) {}
  constexpr Result(Base&& other) noexcept(std::is_nothrow_move_constructible_v<Base>) : Base(std::move(other)) {}

  /// `next(value)`, or `next()` for Result<void>, which gives a Result itself; or this error.
  template <class Next>
  constexpr auto and_then(Next&& next) const& {
    return then(*this, std::forward<Next>(next));
  }
  template <class Next>
  constexpr auto and_then(Next&& next) && {
    return then(std::move(*this), std::forward<Next>(next));
  }

  constexpr T* operator->() & { return Base::operator->(); }
  constexpr const T* operator->() const& { return Base::operator->(); }
  constexpr T* operator->() &&
        requires(!OwnsWhatItLends<T>)
  {
    return Base::operator->();
  }
  constexpr T* operator->() &&
        requires OwnsWhatItLends<T>
      = delete;
};

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
