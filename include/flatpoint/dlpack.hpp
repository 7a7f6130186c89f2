// flatpoint/dlpack.hpp - DLPack's structs as tensors: NumPy, JAX, CuPy, PyTorch and others hand them out.
//
// Brings no dlpack.h: the structs are known by their members, so this header works with whichever copy the program has
// (<dlpack/dlpack.h>, <ATen/dlpack.h>, ...), included before or after.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "flatpoint/tensor_like.hpp"

namespace flatpoint {

/// DLTensor.
template <class T>
concept DLTensorLike = requires(const T& tensor) {
  tensor.data;
  static_cast<std::int32_t>(tensor.device.device_type);
  { tensor.ndim } -> std::convertible_to<std::int32_t>;
  { tensor.dtype.code } -> std::convertible_to<std::uint8_t>;
  { tensor.dtype.bits } -> std::convertible_to<std::uint8_t>;
  { tensor.dtype.lanes } -> std::convertible_to<std::uint16_t>;
  { tensor.shape } -> std::convertible_to<const std::int64_t*>;
  { tensor.strides } -> std::convertible_to<const std::int64_t*>;
  { tensor.byte_offset } -> std::convertible_to<std::uint64_t>;
};

/// DLManagedTensor and DLManagedTensorVersioned. Ownership stays where it is: nothing here calls a deleter.
template <class T>
concept DLManagedTensorLike = requires(const T& tensor) {
  requires DLTensorLike<std::remove_cvref_t<decltype(tensor.dl_tensor)>>;
  tensor.manager_ctx;
  tensor.deleter;
};

/// The dtype that torch's from_dlpack gives a DLDataType; unset where torch refuses it.
std::optional<ScalarType> scalar_type_from_dlpack(std::uint8_t code, std::uint8_t bits, std::uint16_t lanes) noexcept;

/// The fields of a DLTensor that say something about metadata.
struct DLTensorFields {
  const std::int64_t* shape;
  const std::int64_t* strides;  // null: contiguous
  std::int32_t ndim;
  std::int32_t device_type;
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

/// Memory of kDLCUDAHost and kDLROCMHost is pinned; a DLTensor never requires a gradient. Errors: InvalidArgument for a
/// dtype that torch refuses, a negative ndim, or a null shape with dimensions.
[[nodiscard]] Result<TensorDescriptor> describe_dlpack(const DLTensorFields& tensor);

/// Another major version may lay DLManagedTensorVersioned out differently. Errors: InvalidArgument for those above 1.
[[nodiscard]] Result<void> check_dlpack_version(std::uint32_t major, std::uint32_t minor);

template <DLTensorLike T>
struct TensorTraits<T> {
  [[nodiscard]] static Result<TensorDescriptor> describe(const T& tensor) {
    return describe_dlpack({tensor.shape, tensor.strides, tensor.ndim,
                            static_cast<std::int32_t>(tensor.device.device_type), tensor.dtype.code, tensor.dtype.bits,
                            tensor.dtype.lanes});
  }
};

template <DLManagedTensorLike T>
struct TensorTraits<T> {
  [[nodiscard]] static Result<TensorDescriptor> describe(const T& tensor) {
    using Inner = TensorTraits<std::remove_cvref_t<decltype(tensor.dl_tensor)>>;
    if constexpr (requires { tensor.version.major; }) {
      return check_dlpack_version(tensor.version.major, tensor.version.minor).and_then([&] {
        return Inner::describe(tensor.dl_tensor);
      });
    } else {
      return Inner::describe(tensor.dl_tensor);
    }
  }
};

}  // namespace flatpoint
