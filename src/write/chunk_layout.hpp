// write/chunk_layout.hpp - from a tensor's list of boxes to the shortest way of storing it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "flatpoint/columns.hpp"

namespace flatpoint::write {

/// A tensor's boxes as the file keeps them: a layout, its values for `boxes`, and the order of the rows.
/// One instance is reused over many tensors, so that a million of them allocate little.
class ChunkLayoutFinder {
 public:
  /// `size`: `ndim` values. `boxes`: per chunk `ndim` offsets, then `ndim` sizes, in DCP's order; not empty.
  /// Results are valid until the next call, and while `boxes` are there.
  void find(std::span<const std::int64_t> size, std::span<const std::int64_t> boxes, std::uint32_t chunk_count);

  [[nodiscard]] ChunkLayout layout() const noexcept { return layout_; }
  [[nodiscard]] std::span<const std::int64_t> values() const noexcept { return stored_; }
  /// Row of the i-th chunk in DCP's order; empty where DCP's order is the rows' order.
  [[nodiscard]] std::span<const std::uint32_t> order() const noexcept { return in_order(order_); }
  /// The chunk (in DCP's order) of the i-th row; empty likewise.
  [[nodiscard]] std::span<const std::uint32_t> chunk_of_row() const noexcept { return in_order(chunk_of_row_); }

  /// Two neighbouring rows that begin at one offset, where there are any.
  [[nodiscard]] std::optional<std::pair<std::uint32_t, std::uint32_t>> equal_offsets() const noexcept {
    return equal_offsets_;
  }
  /// Whether a row begins where the row before it does. REQUIRES: 0 < row < chunk count.
  [[nodiscard]] bool repeats_offset(std::size_t row) const noexcept {
    return compare_offsets(box(row - 1), box(row)) == 0;
  }
  /// REQUIRES: row < chunk count.
  [[nodiscard]] bool has_elements(std::size_t row) const noexcept {
    return std::all_of(box(row) + ndim_, box(row) + 2 * ndim_, [](std::int64_t n) { return n > 0; });
  }
  /// REQUIRES: rows < chunk count.
  [[nodiscard]] bool equal_sizes(std::size_t row, std::size_t other) const noexcept {
    return std::equal(box(row) + ndim_, box(row) + 2 * ndim_, box(other) + ndim_);
  }

 private:
  [[nodiscard]] std::span<const std::uint32_t> in_order(std::span<const std::uint32_t> numbers) const noexcept {
    return reordered_ ? numbers : std::span<const std::uint32_t>();
  }
  [[nodiscard]] const std::int64_t* box(std::uint64_t row) const noexcept {
    return boxes_.data() + 2 * ndim_ * (reordered_ ? chunk_of_row_[row] : row);
  }
  [[nodiscard]] int compare_offsets(const std::int64_t* a, const std::int64_t* b) const noexcept {
    for (std::size_t d = 0; d < ndim_; ++d) {
      if (a[d] != b[d]) return a[d] < b[d] ? -1 : 1;
    }
    return 0;
  }
  bool is_sorted();
  void sort_rows();
  bool find_grid();
  bool count_cells();
  bool collect_splits();
  bool every_row_fits();
  void simplify_even(std::span<const std::int64_t> size);

  std::span<const std::int64_t> boxes_;
  std::uint32_t chunk_count_ = 0;
  std::size_t ndim_ = 0;
  ChunkLayout layout_ = ChunkLayout::Whole;
  std::vector<std::int64_t> values_;
  std::span<const std::int64_t> stored_;  // values_, or boxes_ where they are stored as they are
  std::optional<std::pair<std::uint32_t, std::uint32_t>> equal_offsets_;
  bool reordered_ = false;
  std::vector<std::uint32_t> order_;         // of the last tensor that was reordered: the next is often cut like it
  std::vector<std::uint32_t> chunk_of_row_;  // likewise
  std::vector<std::uint64_t> strides_;       // rows from one cell to the next, per dimension
  std::vector<std::size_t> first_;           // where a dimension's split points begin in values_
  std::vector<std::size_t> at_;
};

}  // namespace flatpoint::write
