// Any bytes as a metadata file: open, every look-up, verify. Once as they are, once under a right trailer.
#include "fuzz/require.hpp"
#include "fuzz/sealed.hpp"
#include "support/walk.hpp"

using namespace flatpoint;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  fuzz::require_nothing(test::check_any_bytes(bytes));
  const Buffer sealed = fuzz::sealed(bytes);
  fuzz::require_nothing(test::check_any_bytes(sealed.bytes()));
  return 0;
}
