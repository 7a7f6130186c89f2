// plan/tiling.hpp - finds where boxes fail to tile a tensor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "columns/weigher.hpp"
#include "flatpoint/coverage.hpp"

namespace flatpoint::plan {

/// The boxes of one tensor, weighed. Whatever lies outside the tensor counts as cut off.
class Tiling {
 public:
  /// REQUIRES: no size is negative; boxes as check_coverage takes them. Borrows both.
  Tiling(std::span<const std::int64_t> size, std::uint32_t count, std::span<const std::int64_t> boxes);

  [[nodiscard]] columns::TilingVerdict weigh() noexcept { return columns::weigh(weigher_, size_, boxes_, count_); }

  /// Chunks that reach outside, at most `most`.
  void find_outside(std::size_t most, std::vector<CoverageFinding>& findings) const;
  /// Overlaps and holes, until there are `most` findings. REQUIRES: !weigh().tiles.
  void find_defects(std::size_t most, std::vector<CoverageFinding>& findings);
  /// Empty chunks strictly inside others, until there are `most` findings.
  void find_empty_inside(std::size_t most, std::vector<CoverageFinding>& findings) const;

 private:
  /// A part of the tensor that its boxes do not tile, and the boxes that have elements there.
  struct Region {
    Size begin;
    Size end;
    std::vector<std::uint32_t> boxes;
  };
  struct Cut {
    std::size_t dimension;
    std::int64_t at;
  };
  struct Interval {
    std::int64_t begin, end;
  };

  [[nodiscard]] ChunkStorageMetadata stated(std::uint32_t box) const;
  [[nodiscard]] Interval interval(std::uint32_t box, std::size_t d) const noexcept;
  [[nodiscard]] Interval clipped(std::uint32_t box, std::size_t d, const Region& region) const noexcept;
  [[nodiscard]] bool reaches_into(std::uint32_t box, const Region& region) const noexcept;
  [[nodiscard]] bool is_tiled(const Region& region);
  [[nodiscard]] bool find_cut(const Region& region, Cut& cut) const;
  [[nodiscard]] Region half(const Region& region, const Cut& cut, bool upper) const;
  [[nodiscard]] bool may_lie_inside(std::uint32_t box) const noexcept;

  std::span<const std::int64_t> size_;
  std::uint32_t count_;
  std::span<const std::int64_t> boxes_;
  std::size_t ndim_;
  columns::Weigher weigher_;
};

}  // namespace flatpoint::plan
