// format/table_reader.hpp - reads FlatBuffers tables, each number once, each range checked.
//
// FlatBuffers' own verifier and accessors read an offset to check it and again to follow it; in a shared mapping it may
// have changed in between. This reader takes the field numbers from the generated code, checks what that verifier
// checks (rule F5) and what it does not (F6), and keeps nothing that it did not check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/byte_source.hpp"
#include "base/checked.hpp"
#include "base/failing.hpp"

namespace flatpoint::format {

/// One FlatBuffer: columns will lie in `bytes`, numbers come from `source`. Keeps the first thing that is wrong.
class BufferReader {
 public:
  BufferReader(std::span<const std::byte> bytes, const base::ByteSource& source) : bytes_(bytes), source_(source) {}

  /// The first thing that is wrong; fine where nothing is so far.
  [[nodiscard]] const Result<void>& status() const noexcept { return status_; }

  void report(const char* rule, const char* what, const char* name = "", const char* rest = "") {
    if (status_) status_ = base::broken_rule(rule, std::string(what).append(name).append(rest));
  }

  [[nodiscard]] bool contains(std::uint64_t position, std::uint64_t count) const noexcept {
    return base::in_range(position, count, bytes_.size());
  }

  /// The number at a position; unset where it is not inside or not aligned.
  template <class T>
  std::optional<T> read(std::uint64_t position) {
    if (!contains(position, sizeof(T)) || position % alignof(T) != 0) {
      report("F5", "an offset points outside the file or to a misaligned number");
      return std::nullopt;
    }
    T number;
    if (!source_.read(position, std::as_writable_bytes(std::span(&number, 1)))) {
      report("F5", "the file ends early or could not be read");
      return std::nullopt;
    }
    return number;
  }

  /// The position that the offset at `position` refers to.
  std::optional<std::uint64_t> follow(std::uint64_t position) {
    const auto distance = read<std::uint32_t>(position);
    if (!distance) return std::nullopt;
    if (*distance == 0 || !contains(position, *distance)) {
      report("F5", "an offset points outside the file or to itself");
      return std::nullopt;
    }
    return position + *distance;
  }

  /// The vector at a position. Its elements lie inside the buffer, aligned for T.
  template <class T>
  std::optional<std::span<const T>> vector(std::uint64_t position, const char* name) {
    const auto count = read<std::uint32_t>(position);
    if (!count) return std::nullopt;
    const std::uint64_t begin = position + sizeof *count;
    if (!contains(begin, std::uint64_t{*count} * sizeof(T))) {
      report("F5", "column ", name, " ends outside the file");
      return std::nullopt;
    }
    if (begin % alignof(T) != 0) {
      report("F6", "column ", name, " is not aligned to its elements");
      return std::nullopt;
    }
    return std::span(reinterpret_cast<const T*>(bytes_.data() + begin), *count);
  }

 private:
  std::span<const std::byte> bytes_;
  const base::ByteSource& source_;
  Result<void> status_;
};

class TableReader {
 public:
  /// The table at `position`. Where its frame is wrong, that is reported and every field reads as absent.
  TableReader(BufferReader& buffer, std::uint64_t position) : buffer_(buffer), table_(position) {
    const auto to_vtable = buffer.read<std::int32_t>(position);
    if (!to_vtable) return;
    // A difference below 0 wraps to a position far outside.
    const auto vtable = static_cast<std::uint64_t>(static_cast<std::int64_t>(position) - *to_vtable);
    const auto vtable_size = buffer.read<std::uint16_t>(vtable);
    if (!vtable_size) return;
    if (*vtable_size % 2 != 0 || !buffer.contains(vtable, *vtable_size)) {
      buffer.report("F5", "a vtable ends outside the file");
      return;
    }
    vtable_ = vtable;
    vtable_size_ = *vtable_size;
  }

  template <class T>
  T scalar(std::uint16_t field, T fallback) {
    const auto at = position_of(field);
    return at ? buffer_.read<T>(*at).value_or(fallback) : fallback;
  }

  /// The position of the table or vector that a field refers to; unset where absent.
  std::optional<std::uint64_t> reference(std::uint16_t field) {
    const auto at = position_of(field);
    return at ? buffer_.follow(*at) : std::nullopt;
  }

  /// A vector of scalars or structs; unset where absent.
  template <class T>
  std::optional<std::span<const T>> vector(std::uint16_t field, const char* name) {
    const auto at = reference(field);
    return at ? buffer_.vector<T>(*at, name) : std::nullopt;
  }

  /// The same, empty where absent.
  template <class T>
  std::span<const T> column(std::uint16_t field, const char* name) {
    return vector<T>(field, name).value_or(std::span<const T>());
  }

  /// The same, an error where absent.
  template <class T>
  std::span<const T> required(std::uint16_t field, const char* name) {
    const auto found = vector<T>(field, name);
    if (!found) buffer_.report("F5", "column ", name, " is missing");
    return found.value_or(std::span<const T>());
  }

 private:
  /// Where a field's value lies; unset where the table does not have it.
  std::optional<std::uint64_t> position_of(std::uint16_t field) {
    if (field >= vtable_size_) return std::nullopt;
    const std::uint16_t at = buffer_.read<std::uint16_t>(vtable_ + field).value_or(0);
    return at != 0 ? std::optional(table_ + at) : std::nullopt;
  }

  BufferReader& buffer_;
  std::uint64_t table_;
  std::uint64_t vtable_ = 0;
  std::uint16_t vtable_size_ = 0;
};

}  // namespace flatpoint::format
