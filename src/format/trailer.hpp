// format/trailer.hpp - the last 24 bytes of a metadata file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace flatpoint::format {

struct Trailer {
  std::uint64_t digest;             // XXH3-64 of all bytes before the trailer
  std::uint64_t flatbuffer_length;  // bytes before the trailer
};

/// Writes digest, length and magic behind the FlatBuffer. REQUIRES: file ends with kTrailerSize bytes of room.
void write_trailer(std::span<std::byte> file) noexcept;

/// Reads the trailer's numbers. REQUIRES: file.size() >= kTrailerSize. `magic_ok` is rule F2.
Trailer read_trailer(std::span<const std::byte> file, bool& magic_ok) noexcept;

}  // namespace flatpoint::format
