// flatpoint/tensor_like.hpp - what flatpoint asks of a tensor, whatever library it comes from.
//
// A tensor type joins by specialising TensorTraits. flatpoint/dlpack.hpp does so for DLPack's structs and
// flatpoint/torch.hpp for at::Tensor; TensorDescriptor is for everything else.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint {

/// A tensor without its elements. Trivially copyable; borrows its spans and names.
struct TensorDescriptor {
  std::span<const std::int64_t> size{};  // elements per dimension
  ScalarType dtype = ScalarType::Float32;
  Layout layout = Layout::Strided;
  bool requires_grad = false;
  bool pinned = false;
  std::optional<std::span<const std::int64_t>> strides{};  // in elements, one per dimension; unset: contiguous
  std::string_view dtype_name{};                           // torch's name without "torch.", where dtype is Other
  std::string_view layout_name{};                          // likewise for layout
};

/// Specialise with `static Result<TensorDescriptor> describe(const T&)`, which borrows from the tensor alone.
template <class T>
struct TensorTraits;

template <>
struct TensorTraits<TensorDescriptor> {
  [[nodiscard]] static Result<TensorDescriptor> describe(const TensorDescriptor& tensor) { return tensor; }
};

template <class T>
concept TensorLike = requires(const T& tensor) {
  { TensorTraits<T>::describe(tensor) } -> std::same_as<Result<TensorDescriptor>>;
};

}  // namespace flatpoint
