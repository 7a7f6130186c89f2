// Any bytes as a safetensors file: refused with a message, or tensors that fill the file without gaps.
#include "base/checked.hpp"
#include "fuzz/require.hpp"
#include "safetensors/header.hpp"
#include "safetensors/index.hpp"

using namespace flatpoint;

namespace {

std::vector<std::string> check(std::span<const std::byte> bytes) {
  std::vector<std::string> wrong;
  const base::MemorySource memory(bytes);
  const auto header = safetensors::read_header(memory, 0, bytes.size());
  if (!header && header.error().message.empty()) wrong.push_back("an error has a message");
  if (header) {
    std::uint64_t at = header->data_begin;
    for (const safetensors::HeaderTensor& tensor : header->tensors) {
      std::uint64_t size = item_size(tensor.dtype);
      for (const std::int64_t one : tensor.shape) {
        if (one < 0) wrong.push_back("a size is not negative");
        if (!base::multiply(size, static_cast<std::uint64_t>(one), size)) size = 0;  // behind a dimension of 0
      }
      if (header->data_begin + tensor.offset != at) wrong.push_back("tensors follow each other");
      if (size != tensor.length) wrong.push_back("a tensor's bytes are those of its shape");
      at += tensor.length;
    }
    if (at != bytes.size()) wrong.push_back("tensors fill the file");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  (void)safetensors::parse_index(text);
  (void)safetensors::parse_sharding_info(text);
  return wrong;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::require_nothing(check(std::as_bytes(std::span(data, size))));
  return 0;
}
