#include "plan/weigher.hpp"

#include <unistd.h>

#include <chrono>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace flatpoint::plan {
namespace {

/// A number that whoever made the chunks could not know.
std::uint64_t draw_secret() noexcept {
  std::uint64_t secret = 0;
  if (getentropy(&secret, sizeof secret) == 0) return secret;
  const std::uint64_t clock_and_place[] = {
      static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()),
      reinterpret_cast<std::uintptr_t>(&secret)};
  return XXH3_64bits(clock_and_place, sizeof clock_and_place);
}

/// A new seed for every call. The secret is drawn once per thread: asking the system takes longer than weighing a
/// tensor.
std::uint64_t next_seed() noexcept {
  thread_local const std::uint64_t secret = draw_secret();
  thread_local std::uint64_t calls = 0;
  ++calls;
  return XXH3_64bits_withSeed(&calls, sizeof calls, secret);
}

}  // namespace

Weigher::Weigher(std::size_t rank) : last_(rank) {
  const std::uint64_t seed = next_seed();
  for (std::uint64_t d = 0; d < rank; ++d) {
    Last& last = last_[d];
    last = {XXH3_64bits_withSeed(&d, sizeof d, seed), 0, 0, {}, {}, {}};
    last.at_begin = last.at_end = number(last.seed, 0);
  }
}

Weight Weigher::number(std::uint64_t seed, std::int64_t coordinate) noexcept {
  return Weight(XXH3_64bits_withSeed(&coordinate, sizeof coordinate, seed) >> 3);
}

}  // namespace flatpoint::plan
