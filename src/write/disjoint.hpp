// write/disjoint.hpp - whether boxes overlap.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "write/chunk_layout.hpp"

namespace flatpoint::write {

/// Finds two boxes that share an element. Empty boxes share nothing. Tilings of any shape take O(n log n): space is cut
/// in two until few boxes are left on a side, and what a cut runs through goes to both. Boxes made to be cut to pieces
/// are compared pair by pair instead. One instance is reused over many tensors.
class OverlapFinder {
 public:
  /// `boxes`: per row `ndim` offsets, then `ndim` sizes, none negative, no sum beyond int64; sorted by offset. Returns
  /// the rows of two boxes that overlap, the lower first. REQUIRES: ndim > 0.
  std::optional<std::pair<std::uint32_t, std::uint32_t>> find(std::span<const std::int64_t> boxes, std::size_t ndim);

 private:
  using Pair = std::pair<std::uint32_t, std::uint32_t>;

  /// Pieces of boxes: `begins`, then `ends`, one value per dimension each, and the row that each was cut from.
  struct Pieces {
    std::vector<std::int64_t> values;
    std::vector<std::uint32_t> rows;
  };
  struct Cut {
    std::size_t dimension = 0;
    std::int64_t at = 0;
    std::size_t larger_side = 0;  // pieces
    bool found = false;
  };

  [[nodiscard]] const std::int64_t* piece(std::size_t i) const noexcept {
    return pieces_.values.data() + i * 2 * ndim_;
  }
  [[nodiscard]] bool is_empty(const std::int64_t* box) const noexcept;
  [[nodiscard]] bool boxes_overlap(const std::int64_t* a, const std::int64_t* b) const noexcept;
  [[nodiscard]] bool overlap(const std::int64_t* a, const std::int64_t* b) const noexcept;
  void push(std::uint32_t row, const std::int64_t* piece);
  void push_box(std::uint32_t row, const std::int64_t* box);
  std::optional<Pair> search_run(std::span<const std::int64_t> boxes, std::size_t begin, std::size_t end);
  std::optional<Pair> search(std::size_t begin);
  std::optional<Pair> search_side(std::size_t begin, std::size_t end, const Cut& cut, bool right);
  std::optional<Pair> compare_all(std::size_t begin) const;
  Cut best_cut(std::size_t begin);

  std::size_t ndim_ = 0;
  Pieces pieces_;                     // a stack: a search works on all from its begin
  std::vector<std::int64_t> points_;  // where a dimension may be cut
  std::vector<std::int64_t> copy_;    // the piece that is being cut
  std::size_t budget_ = 0;            // pieces that may still be made
};

/// Finds two rows of a tensor that cannot both be there: they begin at one offset, so that storage_data could name only
/// one of them, or they overlap. `layout` holds the tensor's chunks, none of which is outside it.
std::optional<std::pair<std::uint32_t, std::uint32_t>> find_conflict(const ChunkLayoutFinder& layout, std::size_t ndim,
                                                                     std::uint32_t chunk_count,
                                                                     OverlapFinder& overlaps);

}  // namespace flatpoint::write
