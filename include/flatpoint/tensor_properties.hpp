// flatpoint/tensor_properties.hpp - TensorProperties and TensorStorageMetadata as values, made from tensors or by hand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/tensor_like.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint {

/// torch.distributed.checkpoint.metadata.TensorProperties. The defaults are torch's.
struct TensorProperties {
  ScalarType dtype = ScalarType::Float32;
  Layout layout = Layout::Strided;
  bool requires_grad = false;
  MemoryFormat memory_format = MemoryFormat::Contiguous;
  bool pin_memory = false;
  std::optional<Size> strides;     // in elements; None in files from before torch 2.15
  std::string dtype_name;          // torch's name without "torch.", where dtype is Other
  std::string layout_name;         // likewise for layout
  std::string memory_format_name;  // "torch.channels_last_3d": as torch prints it, where memory_format is Other

  /// As torch's dataclass: strides count, so properties from before 2.15 differ from those of 2.15.
  bool operator==(const TensorProperties&) const = default;

  /// The tuple that is pickled: (dtype, layout, requires_grad, memory_format, pin_memory[, strides]).
  struct State {
    ScalarType dtype = ScalarType::Float32;
    Layout layout = Layout::Strided;
    bool requires_grad = false;
    MemoryFormat memory_format = MemoryFormat::Contiguous;  // a member of _MEM_FORMAT_ENCODING
    bool pin_memory = false;
    std::optional<Size> strides;
    std::string dtype_name;          // as in TensorProperties
    std::string layout_name;         // as in TensorProperties
    std::string memory_format_name;  // what stands in its place, as Python prints it, where memory_format is Other
    int fields = 6;                  // 5: a state from before strides
    bool operator==(const State&) const = default;
  };

  /// __getstate__: `fields` is 6 (torch 2.15) or 5 (older, without strides). Errors as torch: InvalidArgument "Invalid
  /// torch.memory_format: ..." for a memory format that _MEM_FORMAT_ENCODING does not hold.
  [[nodiscard]] Result<State> get_state(int fields = 6) const;

  /// __setstate__; five fields leave strides None. Errors as torch: InvalidArgument "not enough values to unpack ..."
  /// or "too many ..." for another number of fields than 5 or 6, and "Invalid torch.memory_format encoding: ...".
  [[nodiscard]] static Result<TensorProperties> set_state(const State& state);

  /// torch's create_from_tensor: memory_format is contiguous whatever the strides are; strides and pinning as they are
  /// (sparse_coo has strides of 0). Errors: InvalidArgument, with torch's text where torch raises (sparse_csr and its
  /// kin have no strides, _mkldnn has no storage), and for strides that are negative or not one per dimension.
  [[nodiscard]] static Result<TensorProperties> create_from_tensor(const TensorDescriptor& tensor);
  template <TensorLike Tensor>
  [[nodiscard]] static Result<TensorProperties> create_from_tensor(const Tensor& tensor) {
    return TensorTraits<Tensor>::describe(tensor).and_then(
        [](const TensorDescriptor& descriptor) { return create_from_tensor(descriptor); });
  }
};

/// torch.distributed.checkpoint.metadata.TensorStorageMetadata: a tensor of the checkpoint, and its chunks.
struct TensorStorageMetadata {
  TensorProperties properties;
  Size size;
  std::vector<ChunkStorageMetadata> chunks;
  bool operator==(const TensorStorageMetadata&) const = default;
};

/// A tensor that is saved whole, as one chunk: what DCP states of a tensor that is not a DTensor. A shard's metadata
/// comes from flatpoint/sharding.hpp. Errors: as create_from_tensor, and InvalidArgument for a negative size.
[[nodiscard]] Result<TensorStorageMetadata> create_tensor_storage_metadata(const TensorDescriptor& tensor);
template <TensorLike Tensor>
[[nodiscard]] Result<TensorStorageMetadata> create_tensor_storage_metadata(const Tensor& tensor) {
  return TensorTraits<Tensor>::describe(tensor).and_then(
      [](const TensorDescriptor& descriptor) { return create_tensor_storage_metadata(descriptor); });
}

}  // namespace flatpoint
