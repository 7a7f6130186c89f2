// archive/torch_item.hpp - what one item of torch.save holds: a tensor, with the place of its bytes, or a plain value.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "archive/zip.hpp"
#include "flatpoint/buffer.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::archive {

/// A tensor as its own item states it. Element (i, j, ...) lies at storage_begin + (storage_offset + i * strides[0] +
/// j * strides[1] + ...) * item size; all of them lie inside the storage, the storage inside the item.
struct TorchTensor {
  ScalarType dtype = ScalarType::Other;
  Size size;
  Size strides;                      // elements
  std::uint64_t storage_offset = 0;  // elements
  std::uint64_t storage_begin = 0;   // bytes from the item's start
  std::uint64_t storage_bytes = 0;
  std::optional<std::uint32_t> crc32;  // of the storage; unset where torch was told not to compute it

  /// Row-major without gaps: the bytes from `data_begin` on are the tensor.
  [[nodiscard]] bool is_dense() const noexcept;
  [[nodiscard]] std::uint64_t data_begin() const noexcept { return storage_begin + storage_offset * item_size(dtype); }
};

/// Reads the item's own headers; nothing is taken from the version of torch. Errors: BadItem where it is no archive of
/// torch.save or contradicts itself; NotPlain with the reason: "quantized", "subclass NAME", "conj", "neg", "byte order
/// big", "several storages", "no tensor"; TooLarge.
[[nodiscard]] Result<TorchTensor> read_torch_tensor(const ItemSource& item);

/// The tensors of an archive of many storages, by what leads to each: keys of dicts and positions of lists and tuples,
/// as Python's str() gives them, joined by dots. A DTensor is its local tensor. Places are from the archive's start;
/// the reason where one cannot be read stands in its place.
using NamedTensors = std::map<std::string, Result<TorchTensor>, std::less<>>;

/// Errors: BadItem, NotPlain (byte order), TooLarge.
[[nodiscard]] Result<NamedTensors> read_torch_tensors(const ItemSource& archive);

/// A plain Python value, as JSON: numbers, str, bool, None, lists, tuples, sets and dicts of them. A number without a
/// JSON form is a string ("nan", "inf"); a key that is not str becomes one, as json.dumps has it. Errors: as above;
/// NotPlain names the class of whatever is no plain value.
[[nodiscard]] Result<std::string> read_plain_value(const ItemSource& item);

/// The same value as a pickle of literals alone, which keeps tuples, sets, bytes and keys of other types: whoever loads
/// it runs nothing.
[[nodiscard]] Result<Buffer> read_plain_pickle(const ItemSource& item);

/// "torch FloatStorage"; empty for dtypes that have an untyped storage.
[[nodiscard]] std::string_view storage_class_of(ScalarType dtype) noexcept;

enum class Records { All, BesideStorages };  // storages are the records "data/..."

/// Compares records with their CRC-32. False where torch was told not to compute them. Errors: Checksum names the
/// record; BadItem.
[[nodiscard]] Result<bool> check_records(const ItemSource& item, Records which);

}  // namespace flatpoint::archive
