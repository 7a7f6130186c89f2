// change/entry_reader.hpp - entries of a finished file, one after the other, as parts of a new one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "columns/stored_rows.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "write/assembler.hpp"

namespace flatpoint::change {

/// Walks one file's entries in their order. Every range and number is checked on the way (rules E1 to E6, V1, V4, and
/// that numbers are known), so what it hands out needs no other look, whatever the bytes are, and together is no larger
/// than the file says. Borrows the columns. Errors are Corrupt and begin with the rule.
class EntryReader {
 public:
  explicit EntryReader(const Columns& columns) : c_(&columns) {}

  [[nodiscard]] bool done() const noexcept { return position_ == c_->entries.size(); }
  [[nodiscard]] std::uint32_t position() const noexcept { return position_; }
  /// The current entry's FQN; valid after `open`.
  [[nodiscard]] std::string_view fqn() const noexcept { return fqn_; }
  /// First row of the current entry.
  [[nodiscard]] std::uint32_t row_begin() const noexcept { return row_.chunk_begin; }
  /// Row of the i-th chunk in DCP's order, from row_begin(); empty where the orders agree. Valid after `read`.
  [[nodiscard]] std::span<const std::uint32_t> row_of_chunk() const noexcept { return order_; }

  /// Looks at the entry that comes next and moves to it: its name, its place, its rows. REQUIRES: !done(). The first
  /// call opens the first entry.
  [[nodiscard]] Result<void> open();
  /// The current entry with its rows in DCP's order, numbers as they are in this file. Valid until the next call.
  [[nodiscard]] Result<write::EntryParts> read();
  /// Leaves the current entry.
  void advance() noexcept { ++position_; }

  /// Item i of the loose storage; numbers as they are in this file. REQUIRES: i < columns.loose_storage.size().
  [[nodiscard]] Result<write::LooseParts> read_loose(std::size_t i) const;

 private:
  [[nodiscard]] tl::unexpected<Error> corrupt(std::string_view rule, std::string_view what) const;
  [[nodiscard]] Result<void> read_tensor(write::EntryParts& parts);
  [[nodiscard]] Result<void> read_boxes();
  [[nodiscard]] Result<void> read_grid();
  void read_strides(write::EntryParts& parts);
  [[nodiscard]] Result<void> read_rows();
  [[nodiscard]] Result<void> check_data() const;
  [[nodiscard]] Result<void> read_order();
  void reorder_boxes();

  const Columns* c_;
  std::uint32_t position_ = 0;
  EntryRow row_{};
  std::string_view fqn_;
  std::uint64_t next_name_ = 0;  // V1: where the next name begins
  std::uint64_t next_row_ = 0;   // V4

  std::vector<std::int64_t> size_;
  std::vector<std::int64_t> strides_;
  std::vector<std::int64_t> boxes_;
  columns::StoredRows rows_;
  std::vector<std::uint32_t> order_;
  std::vector<std::int64_t> points_;  // a grid's split points, dimension after dimension
  std::vector<std::size_t> first_;    // per dimension where its points begin
  std::vector<std::size_t> at_;
};

}  // namespace flatpoint::change
