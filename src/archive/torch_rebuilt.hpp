// archive/torch_rebuilt.hpp - how a pickle of torch.save states a tensor. For the readers of items and of state dicts.
#pragma once

#include <cstdint>
#include <string>

#include "archive/pickle.hpp"
#include "archive/torch_item.hpp"

namespace flatpoint::archive {

/// The arguments of _rebuild_tensor_v2 and _v3, and what the storage's persistent id says.
struct Rebuilt {
  TorchTensor tensor;
  std::string key;  // of the storage's record
};

/// Errors: BadItem, NotPlain.
[[nodiscard]] Result<Rebuilt> read_rebuilt(const Unpickled& pickle, Value value);
/// What a DTensor holds on its rank, also inside of a Parameter; other values as they are.
[[nodiscard]] Value local_tensor(const Unpickled& pickle, Value value);
/// With the place of its storage. Errors: BadItem.
[[nodiscard]] Result<TorchTensor> place(const Zip& zip, const ZipRecord& record, TorchTensor tensor);
/// Errors: NotPlain.
[[nodiscard]] Result<void> check_byte_order(const Zip& zip);
/// The archive's data.pkl. Errors: BadItem, TooLarge.
[[nodiscard]] Result<Unpickled> read_pickle(const Zip& zip, std::uint64_t limit);

}  // namespace flatpoint::archive
