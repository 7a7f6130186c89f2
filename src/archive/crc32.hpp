// archive/crc32.hpp - the checksum of zip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace flatpoint::archive {

/// CRC-32 (ISO 3309, as in zip) of what `crc` is of, followed by `bytes`; 0 is that of nothing. Carry-less
/// multiplications where the processor has them, chosen at run time.
std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> bytes) noexcept;

/// The same without them, for tests.
std::uint32_t crc32_by_tables(std::uint32_t crc, std::span<const std::byte> bytes) noexcept;

}  // namespace flatpoint::archive
