#include "plan/weigher.hpp"

#include "plan/seed.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace flatpoint::plan {

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

}  // namespace flatpoint::plan
