// A metadata file whose bytes can be changed: how hostile files are made.
#pragma once

#include <cstdint>
#include <cstring>
#include <set>
#include <span>
#include <string>

#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/generated.hpp"

namespace flatpoint::test {

class EditableFile {
 public:
  /// Takes a file that opens.
  explicit EditableFile(Buffer file);
  /// Columns that need not belong together.
  explicit EditableFile(const Columns& columns);

  /// The columns as they were when the file was taken.
  const Columns* operator->() const { return &columns_; }
  [[nodiscard]] std::span<std::byte> bytes() { return file_.mutable_bytes(); }

  /// Element i of one of its columns.
  template <class T>
  T& at(std::span<const T> column, std::size_t i = 0) {
    return const_cast<T&>(column[i]);
  }
  /// Any number at a position.
  template <class T>
  T& raw(std::size_t position) {
    return *reinterpret_cast<T*>(bytes().data() + position);
  }
  /// How many elements a column says it has.
  template <class T>
  std::uint32_t& length_of(std::span<const T> column) {
    return raw<std::uint32_t>(position_of(column) - sizeof(std::uint32_t));
  }
  template <class T>
  [[nodiscard]] std::size_t position_of(std::span<const T> column) {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(column.data()) - bytes().data());
  }
  /// The root table through the generated accessors.
  fb::Metadata* root() { return fb::GetMutableMetadata(bytes().data()); }
  /// Where the offset of one of the root's fields lies. REQUIRES: the field is there.
  [[nodiscard]] std::size_t field_position(flatbuffers::voffset_t field);

  /// Makes `fqn_slots` what the names give.
  void refill_slots();
  /// Makes the trailer's digest right again.
  void reseal();

 private:
  Buffer file_;
  Columns columns_;
};

/// The rules that `verify_bytes` finds broken; "F1" where the bytes are not recognised.
std::set<std::string> broken_rules(std::span<const std::byte> bytes);

}  // namespace flatpoint::test
