// format/table_reader.hpp - reads one FlatBuffers table, each number once, each range checked.
//
// The generated accessors trust a buffer that was verified; bytes in a shared mapping may change after that. This reader
// takes the field numbers from the generated code and keeps nothing that it did not check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/checked.hpp"

namespace flatpoint::format {

class TableReader {
 public:
  /// The table at `position`. Where anything is out of range, `error` is set and every field reads as absent.
  TableReader(std::span<const std::byte> buffer, std::uint64_t position, std::string& error)
      : buffer_(buffer), error_(error), table_(position) {
    std::int32_t to_vtable = 0;
    std::uint16_t vtable_size = 0;
    if (!read(position, to_vtable)) return;
    const std::int64_t vtable = static_cast<std::int64_t>(position) - to_vtable;
    if (vtable < 0 || !read(static_cast<std::uint64_t>(vtable), vtable_size)) return;
    if (!base::in_range(static_cast<std::uint64_t>(vtable), vtable_size, buffer.size())) {
      report("F5: a vtable ends outside the file");
      return;
    }
    vtable_ = static_cast<std::uint64_t>(vtable);
    vtable_size_ = vtable_size;
  }

  template <class T>
  T scalar(std::uint16_t field, T fallback) {
    const std::uint16_t at = field_offset(field);
    T value = fallback;
    if (at != 0) read(table_ + at, value);
    return value;
  }

  /// Position of the table that a field refers to; unset where absent.
  std::optional<std::uint64_t> table(std::uint16_t field) {
    const std::uint16_t at = field_offset(field);
    std::uint32_t distance = 0;
    if (at == 0 || !read(table_ + at, distance)) return std::nullopt;
    return table_ + at + distance;
  }

  /// A vector of scalars or structs; unset where absent. Its data lies inside the buffer, aligned for T.
  template <class T>
  std::optional<std::span<const T>> vector(std::uint16_t field, const char* name) {
    const auto at = table(field);
    std::uint32_t count = 0;
    if (!at || !read(*at, count)) return std::nullopt;
    const std::uint64_t begin = *at + sizeof count;
    if (!base::in_range(begin, std::uint64_t{count} * sizeof(T), buffer_.size())) {
      report("F5: column ", name, " ends outside the file");
      return std::nullopt;
    }
    if (begin % alignof(T) != 0) {
      report("F6: column ", name, " is not aligned to its elements");
      return std::nullopt;
    }
    return std::span(reinterpret_cast<const T*>(buffer_.data() + begin), count);
  }

  /// The same, empty where absent.
  template <class T>
  std::span<const T> column(std::uint16_t field, const char* name) {
    return vector<T>(field, name).value_or(std::span<const T>());
  }

 private:
  template <class T>
  bool read(std::uint64_t position, T& value) {
    if (!base::in_range(position, sizeof(T), buffer_.size())) {
      report("F5: an offset points outside the file");
      return false;
    }
    value = base::read_once(reinterpret_cast<const T*>(buffer_.data() + position));
    return true;
  }

  std::uint16_t field_offset(std::uint16_t field) {
    std::uint16_t at = 0;
    if (field + sizeof at <= vtable_size_) read(vtable_ + field, at);
    return at;
  }

  void report(const char* what, const char* name = "", const char* rest = "") {
    if (error_.empty()) error_.append(what).append(name).append(rest);
  }

  std::span<const std::byte> buffer_;
  std::string& error_;
  std::uint64_t table_;
  std::uint64_t vtable_ = 0;
  std::size_t vtable_size_ = 0;
};

}  // namespace flatpoint::format
