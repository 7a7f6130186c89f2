// base/seeded_hash.hpp - hashes for tables of one process.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/xxh3.hpp"

namespace flatpoint::base {

/// Differs from process to process: keys that collide for everybody would make a hostile file slow.
inline std::uint64_t hash_seed() noexcept {
  static const std::uint64_t seed = [] {
    std::uint64_t random = 0;
    if (getentropy(&random, sizeof random) != 0) {
      random = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    }
    return random;
  }();
  return seed;
}

inline std::uint64_t seeded_hash(const void* data, std::size_t size) noexcept {
  return XXH3_64bits_withSeed(data, size, hash_seed());
}

}  // namespace flatpoint::base
