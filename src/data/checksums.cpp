#include "data/checksums.hpp"

#include <algorithm>

#include "archive/crc32.hpp"
#include "base/failing.hpp"
#include "base/xxh3.hpp"

namespace flatpoint::data {

Result<Checksums> checksums_of(CopySource& source, std::uint64_t begin, std::uint64_t bytes, const Checksums& wanted,
                               Scratch& scratch) {
  constexpr std::uint64_t kBlock = std::uint64_t{1} << 18;  // looked at while the cache holds it
  scratch.resize(std::max<std::uint64_t>(scratch.size(), kBlock));
  std::uint32_t crc = 0;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (std::uint64_t done = 0; done < bytes; done += kBlock) {
    const auto part = std::span(scratch).first(std::min(kBlock, bytes - done));
    const RangeReader::Request request{begin + done, part};
    RETURN_IF_ERROR(source.read({&request, 1}));
    if (wanted.crc32) crc = archive::crc32(crc, part);
    if (wanted.xxh3) XXH3_64bits_update(&state, part.data(), part.size());
  }
  Checksums found;
  if (wanted.crc32) found.crc32 = crc;
  if (wanted.xxh3) found.xxh3 = XXH3_64bits_digest(&state);
  return found;
}

}  // namespace flatpoint::data
