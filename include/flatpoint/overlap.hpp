// flatpoint/overlap.hpp - which saved chunks overlap a box.
//
//   for (Overlaps hit(tensor, offsets, sizes); !hit.done(); hit.next()) ... hit.chunk(), hit.length(0) ...
//
// A chunk and a box overlap as torch decides it (_check_shard_metadata_pair_overlap): in every dimension each begins
// before the other ends. So an empty chunk that lies strictly inside the box overlaps it, with a length of 0, and one
// at its edge does not. Tensors without dimensions overlap always.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "flatpoint/views.hpp"

namespace flatpoint {

namespace detail {

/// One dimension of an overlap query.
struct OverlapDimension {
  std::int64_t box_begin;
  std::int64_t box_end;
  std::int64_t chunk_begin;  // of the chunk that the cursor stands on
  std::int64_t chunk_end;
  std::int64_t size;    // of a grid: the tensor's
  std::int64_t cut;     // of a grid: the step, or where the split points lie
  std::uint32_t cells;  // of a grid: how many, and which of them overlap
  std::uint32_t first;
  std::uint32_t last;
  std::uint32_t at;
};

}  // namespace detail

/// Boxes in a tree, for tensors whose chunks form no grid and that are asked often. A copy: it borrows nothing.
/// Immutable; safe to use from any number of threads.
class OverlapIndex {
 public:
  /// An index of nothing.
  OverlapIndex() = default;
  /// O(n log n). For a grid the index stays empty: arithmetic beats it.
  explicit OverlapIndex(const TensorView& tensor);
  /// The same for `count` boxes, each `ndim` offsets, then `ndim` sizes. REQUIRES: that many values.
  OverlapIndex(std::uint8_t ndim, std::uint32_t count, std::span<const std::int64_t> boxes);

  [[nodiscard]] bool empty() const noexcept { return chunks_.empty(); }

 private:
  friend class Overlaps;

  /// A range of boxes and the node that follows where the range is passed over. Nodes lie in preorder.
  struct Node {
    std::uint32_t begin;
    std::uint32_t end;
    std::uint32_t skip;
    bool is_leaf;
  };

  std::uint32_t build(std::uint32_t begin, std::uint32_t end, std::span<const std::int64_t> boxes);
  std::size_t best_dimension(std::uint32_t begin, std::uint32_t end, std::span<const std::int64_t> boxes) const;

  std::size_t ndim_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::int64_t> bounds_;   // per node, per dimension: lowest begin, highest end
  std::vector<std::uint32_t> chunks_;  // in tree order
  std::vector<std::int64_t> ends_;     // in tree order, per dimension: begin, end
};

/// A cursor over the chunks of a tensor that overlap a box, in ascending order of rows; with an index in the index's
/// order, which is fixed by the chunks. Allocates nothing. Grids take O(log n) to begin and O(1) per hit; other tilings
/// are linear in the chunks that begin before the box ends along dimension 0; with an index less, as the tiling allows.
/// Borrows the tensor's file and the index; the box is copied.
class Overlaps {
 public:
  /// `index`: of this tensor, or null. REQUIRES: offsets and sizes have tensor.ndim() values.
  Overlaps(const TensorView& tensor, std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes,
           const OverlapIndex* index = nullptr) noexcept;
  /// Over the boxes of an index alone. REQUIRES: offsets and sizes have as many values as the index has dimensions.
  Overlaps(const OverlapIndex& index, std::span<const std::int64_t> offsets,
           std::span<const std::int64_t> sizes) noexcept;

  [[nodiscard]] bool done() const noexcept { return done_; }
  /// REQUIRES: !done().
  void next() noexcept;

  // REQUIRES of all that follow: !done(), dimension < ndim.

  /// The chunk's number for TensorView::chunk_by_row; of an index alone, the box's number.
  [[nodiscard]] std::uint32_t chunk() const noexcept { return chunk_; }

  /// Where the shared region begins: in the tensor, in the chunk (ReadItem.storage_offsets), in the box (dest_offsets).
  [[nodiscard]] std::int64_t begin(std::size_t dimension) const noexcept;
  [[nodiscard]] std::int64_t chunk_offset(std::size_t dimension) const noexcept;
  [[nodiscard]] std::int64_t box_offset(std::size_t dimension) const noexcept;
  /// Elements of the shared region (ReadItem.lengths). Negative only where the file states boxes of negative size.
  [[nodiscard]] std::int64_t length(std::size_t dimension) const noexcept;

 private:
  enum class Walk : std::uint8_t { Grid, Rows, Index };

  void set_box(std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes) noexcept;
  void start_grid(const TensorView& tensor) noexcept;
  void start_rows(const TensorView& tensor) noexcept;
  void start_index(const OverlapIndex& index) noexcept;
  void set_cell(std::size_t dimension, std::uint32_t cell) noexcept;
  void next_cell() noexcept;
  void next_row() noexcept;
  void next_in_index() noexcept;

  std::span<const std::int64_t> boxes_;  // the file's, or the index's
  const OverlapIndex* index_ = nullptr;
  std::size_t ndim_ = 0;
  std::uint32_t chunk_ = 0;
  std::uint32_t row_ = 0;   // the next to look at
  std::uint32_t end_ = 0;   // the last of these, and one
  std::uint32_t node_ = 0;  // of the index
  Walk walk_ = Walk::Grid;
  ChunkLayout layout_ = ChunkLayout::Whole;
  bool done_ = true;
  // Last, and only the first `ndim_` are ever set.
  std::array<detail::OverlapDimension, std::numeric_limits<std::uint8_t>::max()> dimensions_;
};

}  // namespace flatpoint
