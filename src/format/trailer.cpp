#include "format/trailer.hpp"

#include <bit>
#include <cstring>

#include "base/checked.hpp"
#include "base/hash.hpp"
#include "format/constants.hpp"

static_assert(std::endian::native == std::endian::little, "the format is read in place, little-endian");

namespace flatpoint::format {

void write_trailer(std::span<std::byte> file) noexcept {
  const auto body = file.first(file.size() - kTrailerSize);
  const Trailer trailer{base::digest(body), body.size()};
  std::memcpy(file.data() + body.size(), &trailer, sizeof trailer);
  std::memcpy(file.data() + body.size() + sizeof trailer, kTrailerMagic, 8);
}

Trailer read_trailer(std::span<const std::byte> file, bool& magic_ok) noexcept {
  const std::byte* at = file.data() + file.size() - kTrailerSize;
  const auto trailer = base::read_once_as<Trailer>(at);
  magic_ok = std::memcmp(at + sizeof trailer, kTrailerMagic, 8) == 0;
  return trailer;
}

}  // namespace flatpoint::format
