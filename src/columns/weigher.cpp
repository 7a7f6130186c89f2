#include "columns/weigher.hpp"

#include <algorithm>

#include "base/xxh3.hpp"
#include "columns/boxes.hpp"
#include "columns/seed.hpp"

namespace flatpoint::columns {

Weigher::Weigher(std::size_t ndim) : last_(ndim) {
  const std::uint64_t seed = next_seed();
  for (std::uint64_t d = 0; d < ndim; ++d) {
    Last& last = last_[d];
    last = {XXH3_64bits_withSeed(&d, sizeof d, seed), 0, 0, {}, {}, {}};
    last.at_begin = last.at_end = number(last.seed, 0);
  }
}

Weight Weigher::number(std::uint64_t seed, std::int64_t coordinate) noexcept {
  return Weight(XXH3_64bits_withSeed(&coordinate, sizeof coordinate, seed) >> 3);
}

TilingVerdict weigh(Weigher& weigher, std::span<const std::int64_t> size, std::span<const std::int64_t> boxes,
                    std::uint32_t count) noexcept {
  const std::size_t ndim = size.size();
  TilingVerdict verdict{true, false, false};
  Weight all{0};
  const std::int64_t* at = boxes.data();
  for (std::uint32_t box = 0; box < count; ++box, at += ndim) {
    Weight weight{1};
    const std::int64_t* const offsets = at;
    bool outside = false;
    for (std::size_t d = 0; d < ndim; ++d, ++at) {
      const std::int64_t length = at[ndim];
      std::int64_t begin = at[0];
      std::int64_t end = end_of(begin, length);
      if (lies_inside(size[d], begin, length)) [[likely]] {
        verdict.any_empty |= length == 0;
      } else {
        outside = true;
        begin = std::clamp<std::int64_t>(begin, 0, size[d]);
        end = std::clamp(end, begin, size[d]);
      }
      const Weight along = weigher.interval(d, begin, end);
      weight = d == 0 ? along : weight * along;
    }
    if (outside && reaches_outside(size, offsets, offsets + ndim)) verdict.inside = false;
    all = all + weight;
  }
  Weight tensor{1};
  for (std::size_t d = 0; d < ndim; ++d) tensor = tensor * weigher.interval(d, 0, size[d]);
  verdict.tiles = all == tensor;
  return verdict;
}

}  // namespace flatpoint::columns
