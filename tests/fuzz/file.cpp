// Any bytes as a metadata file: open, every look-up, verify. Once as they are, once under a right trailer, without
// which no change would get past opening.
#include <cstring>

#include "flatpoint/buffer.hpp"
#include "format/constants.hpp"
#include "format/trailer.hpp"
#include "fuzz/require.hpp"
#include "support/walk.hpp"

using namespace flatpoint;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  fuzz::require_nothing(test::check_any_bytes(bytes));

  const std::size_t body = size >= format::kTrailerSize ? size - format::kTrailerSize : 0;
  Buffer sealed((body + 7) / 8 * 8 + format::kTrailerSize);
  std::memset(sealed.mutable_bytes().data(), 0, sealed.size());
  if (body > 0) std::memcpy(sealed.mutable_bytes().data(), data, body);
  format::write_trailer(sealed.mutable_bytes());
  fuzz::require_nothing(test::check_any_bytes(sealed.bytes()));
  return 0;
}
