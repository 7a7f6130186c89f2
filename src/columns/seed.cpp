#include "columns/seed.hpp"

#include <unistd.h>

#include <chrono>

#include "base/xxh3.hpp"

namespace flatpoint::columns {
namespace {

std::uint64_t draw_secret() noexcept {
  std::uint64_t secret = 0;
  if (getentropy(&secret, sizeof secret) == 0) return secret;
  const std::uint64_t clock_and_place[] = {
      static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()),
      reinterpret_cast<std::uintptr_t>(&secret)};
  return XXH3_64bits(clock_and_place, sizeof clock_and_place);
}

}  // namespace

std::uint64_t next_seed() noexcept {
  thread_local const std::uint64_t secret = draw_secret();
  thread_local std::uint64_t calls = 0;
  ++calls;
  return XXH3_64bits_withSeed(&calls, sizeof calls, secret);
}

}  // namespace flatpoint::columns
