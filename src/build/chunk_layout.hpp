// build/chunk_layout.hpp - from a tensor's list of boxes to the shortest way of storing it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "flatpoint/columns.hpp"

namespace flatpoint::build {

/// A tensor's boxes as the file keeps them: a layout, its values for `boxes`, and the order of the rows.
/// One instance is reused over many tensors, so that a million of them allocate little.
class ChunkLayoutFinder {
 public:
  /// `size`: `rank` values. `boxes`: per chunk `rank` offsets, then `rank` sizes, in DCP's order; not empty.
  /// Results are valid until the next call.
  void find(std::span<const std::int64_t> size, std::span<const std::int64_t> boxes, std::uint32_t chunk_count);

  [[nodiscard]] ChunkLayout layout() const noexcept { return layout_; }
  [[nodiscard]] std::span<const std::int64_t> values() const noexcept { return values_; }
  /// Row of the i-th chunk in DCP's order; empty where DCP's order is the rows' order.
  [[nodiscard]] std::span<const std::uint32_t> order() const noexcept { return order_; }
  /// The chunk (in DCP's order) of the i-th row; empty likewise.
  [[nodiscard]] std::span<const std::uint32_t> chunk_of_row() const noexcept { return chunk_of_row_; }

  /// Two rows that begin at one offset, where there are any; `size` as in `find`.
  [[nodiscard]] std::optional<std::pair<std::uint32_t, std::uint32_t>> find_equal_offsets(
      std::span<const std::int64_t> size) const;
  /// Whether a row begins where the row before it does. REQUIRES: 0 < row < chunk count; the boxes are still there.
  [[nodiscard]] bool repeats_offset(std::size_t row) const noexcept {
    return std::equal(box(row), box(row) + rank_, box(row - 1));
  }

 private:
  [[nodiscard]] const std::int64_t* box(std::uint64_t row) const noexcept;
  void sort_rows();
  bool find_grid();
  bool count_cells();
  bool collect_splits();
  bool every_row_fits();
  void simplify_even(std::span<const std::int64_t> size);

  std::span<const std::int64_t> boxes_;
  std::uint32_t chunk_count_ = 0;
  std::size_t rank_ = 0;
  ChunkLayout layout_ = ChunkLayout::Whole;
  std::vector<std::int64_t> values_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> chunk_of_row_;
  std::vector<std::uint64_t> strides_;  // rows from one cell to the next, per dimension
  std::vector<std::size_t> first_;      // where a dimension's split points begin in values_
  std::vector<std::size_t> at_;
};

}  // namespace flatpoint::build
