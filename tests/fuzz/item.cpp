// Any bytes as an item of a data file: refused with a message, or a tensor that lies inside it, or a value as JSON.
#include "archive/pickle.hpp"
#include "archive/torch_item.hpp"
#include "base/byte_source.hpp"
#include "base/checked.hpp"
#include "fuzz/require.hpp"

using namespace flatpoint;

namespace {

std::vector<std::string> check(std::span<const std::byte> bytes) {
  const base::MemorySource memory(bytes);
  const archive::ItemSource item(memory, 0, bytes.size());
  std::vector<std::string> wrong;
  const auto tensor = archive::read_torch_tensor(item);
  if (!tensor && tensor.error().message.empty()) wrong.push_back("an error has a message");
  if (tensor) {
    if (!base::in_range(tensor->storage_begin, tensor->storage_bytes, bytes.size()))
      wrong.push_back("the storage lies inside the item");
    std::uint64_t bytes_of_elements = item_size(tensor->dtype);
    for (const std::int64_t size : tensor->size) {
      if (!base::multiply(bytes_of_elements, static_cast<std::uint64_t>(size), bytes_of_elements)) return wrong;
    }
    if (tensor->is_dense() && bytes_of_elements > 0 &&
        !base::in_range(tensor->data_begin(), bytes_of_elements, bytes.size()))
      wrong.push_back("the elements lie inside the item");
  }
  const auto value = archive::read_plain_value(item);
  if (!value && value.error().message.empty()) wrong.push_back("an error has a message");
  if (const auto literals = archive::read_plain_pickle(item)) {
    const auto text = literals->bytes();
    const auto again = archive::unpickle({reinterpret_cast<const char*>(text.data()), text.size()});
    if (!again || again->heap->globals.size() != 0) wrong.push_back("a pickle of literals names nothing");
  }
  (void)archive::check_records(item, archive::Records::All);
  return wrong;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::require_nothing(check(std::as_bytes(std::span(data, size))));
  return 0;
}
