// Any bytes under a right trailer, without which no change would get past opening.
#pragma once

#include <cstring>
#include <span>

#include "flatpoint/buffer.hpp"
#include "format/constants.hpp"
#include "format/trailer.hpp"

namespace flatpoint::fuzz {

/// The bytes with a trailer of their own in place of their last ones, padded to a multiple of 8.
inline Buffer sealed(std::span<const std::byte> bytes) {
  const std::size_t body = bytes.size() >= format::kTrailerSize ? bytes.size() - format::kTrailerSize : 0;
  Buffer file((body + 7) / 8 * 8 + format::kTrailerSize);
  std::memset(file.mutable_bytes().data(), 0, file.size());
  if (body > 0) std::memcpy(file.mutable_bytes().data(), bytes.data(), body);
  format::write_trailer(file.mutable_bytes());
  return file;
}

}  // namespace flatpoint::fuzz
