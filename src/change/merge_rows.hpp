// change/merge_rows.hpp - the rows of one FQN from all fragments that have it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "change/merge_source.hpp"
#include "write/assembler.hpp"

namespace flatpoint::change {

/// Rows by rank, then in DCP's order. One instance is reused over many FQNs.
class MergeRows {
 public:
  /// Forgets all rows. `ndim`: dimensions of the tensor; 0 where it is none.
  void start(std::size_t ndim);
  /// Appends the rows of an entry that `source`, number `number`, has read; numbers become the result's.
  void add(const MergeSource& source, std::uint32_t number, const write::EntryParts& parts);

  /// Of rows with one box, keeps the first: the lowest rank's. One without storage information takes that of the next
  /// that has some. Returns how many went.
  std::size_t drop_replicas();
  /// The same for what is no tensor, whose rows are all replicas of one another.
  std::size_t keep_one();
  /// Gives a row the storage information of a loose item, if it has none. REQUIRES: row < size(), or row == size() == 0
  /// of what is no tensor.
  void lend(std::size_t row, const write::LooseParts& parts, std::uint32_t source, std::uint32_t source_row);
  /// The first row whose chunk begins at an offset; size() where none does. REQUIRES: replicas were not dropped yet.
  [[nodiscard]] std::size_t find(std::span<const std::int64_t> offset);

  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
  [[nodiscard]] const std::int64_t* offsets(std::size_t row) const noexcept { return boxes_.data() + row * 2 * ndim_; }
  [[nodiscard]] const std::int64_t* sizes(std::size_t row) const noexcept { return offsets(row) + ndim_; }
  [[nodiscard]] std::uint32_t file(std::size_t row) const noexcept { return rows_.files[row]; }
  /// Number of the fragment that a row comes from, and its row there.
  [[nodiscard]] std::uint32_t source(std::size_t row) const noexcept { return sources_[row]; }
  [[nodiscard]] std::uint32_t source_row(std::size_t row) const noexcept { return source_rows_[row]; }
  /// Fills boxes and rows. Valid until the rows change.
  void show(write::EntryParts& parts) const noexcept;

 private:
  [[nodiscard]] int compare_boxes(std::size_t a, std::size_t b) const noexcept;
  void replace(std::size_t kept, std::size_t replica);
  void copy_storage(std::size_t to, std::size_t from);
  void drop_marked();

  std::size_t ndim_ = 0;
  std::vector<std::int64_t> boxes_;
  columns::StoredRows rows_;
  std::vector<std::uint32_t> sources_;
  std::vector<std::uint32_t> source_rows_;
  std::vector<bool> is_replica_;
  std::vector<std::uint32_t> sorted_;
  std::vector<std::uint32_t> by_offset_;  // made by the first `find`
};

}  // namespace flatpoint::change
