// data/slabs.hpp - a box in parts that the cache holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::data {

/// Calls visit(offsets, sizes, bytes) for parts of a box, each contiguous in it, in order, until one fails. REQUIRES:
/// 64 bits hold the bytes of the box.
template <class Visit>
[[nodiscard]] Result<void> for_each_slab(std::span<const std::int64_t> box_offsets,
                                         std::span<const std::int64_t> box_sizes, std::uint32_t item_size,
                                         Visit&& visit) {
  constexpr std::uint64_t kSlab = std::uint64_t{1} << 19;
  Size offsets(box_offsets.begin(), box_offsets.end());
  Size sizes(box_sizes.begin(), box_sizes.end());
  const auto go = [&](const auto& self, std::size_t dimension) -> Result<void> {
    std::uint64_t bytes = item_size;
    for (const std::int64_t size : sizes) bytes *= static_cast<std::uint64_t>(size);
    if (bytes == 0) return {};
    if (bytes <= kSlab || dimension == sizes.size()) return visit(offsets, sizes, bytes);
    const std::int64_t count = sizes[dimension];
    const std::int64_t begin = offsets[dimension];
    const auto row = bytes / static_cast<std::uint64_t>(count);
    const auto rows = static_cast<std::int64_t>(std::max<std::uint64_t>(1, kSlab / row));
    Result<void> done;
    for (std::int64_t i = 0; i < count && done; i += rows) {
      offsets[dimension] = begin + i;
      sizes[dimension] = std::min(rows, count - i);
      done = self(self, dimension + 1);
    }
    offsets[dimension] = begin;
    sizes[dimension] = count;
    return done;
  };
  return go(go, 0);
}

}  // namespace flatpoint::data
