// data/checksums.hpp - the checksums of bytes in a data file, in one pass over them.
#pragma once

#include <cstdint>
#include <optional>

#include "data/copy_box.hpp"

namespace flatpoint::data {

struct Checksums {
  std::optional<std::uint32_t> crc32;
  std::optional<std::uint64_t> xxh3;

  [[nodiscard]] bool any() const noexcept { return crc32 || xxh3; }
};

/// Those checksums of `bytes` bytes from `begin` on that `wanted` has. Errors: those of the source.
[[nodiscard]] Result<Checksums> checksums_of(CopySource& source, std::uint64_t begin, std::uint64_t bytes,
                                             const Checksums& wanted, Scratch& scratch);

}  // namespace flatpoint::data
