// base/hash.hpp - XXH3-64 with seed 0: the digest of the trailer, and of the pickle in a source record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace flatpoint::base {

std::uint64_t digest(std::span<const std::byte> bytes) noexcept;

/// The same piece by piece.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flatpoint::base
