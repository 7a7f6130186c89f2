// flatpoint/torch.hpp - at::Tensor (torch::Tensor) as a tensor. The one header that needs PyTorch's, and its libraries
// torch_cpu and c10.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <array>
#include <string>

#include "flatpoint/tensor_like.hpp"

namespace flatpoint {

namespace detail {

/// torch's dtypes by c10's number: found by name, so that neither numbering has to follow the other.
class TorchDtypes {
 public:
  static const TorchDtypes& get() {
    static const TorchDtypes dtypes;
    return dtypes;
  }
  [[nodiscard]] ScalarType type(c10::ScalarType dtype) const { return types_[static_cast<std::size_t>(dtype)]; }
  [[nodiscard]] std::string_view name(c10::ScalarType dtype) const { return names_[static_cast<std::size_t>(dtype)]; }

 private:
  static constexpr std::size_t kCount = static_cast<std::size_t>(c10::ScalarType::NumOptions);

  TorchDtypes() {
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto dtype = static_cast<c10::ScalarType>(i);
      if (dtype == c10::ScalarType::Undefined) continue;
      names_[i] = c10::getDtypeNames(dtype).first;
      types_[i] = scalar_type_from_name(names_[i]).value_or(ScalarType::Other);
    }
  }

  std::array<std::string, kCount> names_;
  std::array<ScalarType, kCount> types_{};
};

inline Layout layout_of(c10::Layout layout) noexcept {
  switch (layout) {
    case c10::Layout::Strided: return Layout::Strided;
    case c10::Layout::Sparse: return Layout::Sparse_coo;
    case c10::Layout::SparseCsr: return Layout::Sparse_csr;
    case c10::Layout::SparseCsc: return Layout::Sparse_csc;
    case c10::Layout::SparseBsr: return Layout::Sparse_bsr;
    case c10::Layout::SparseBsc: return Layout::Sparse_bsc;
    case c10::Layout::Mkldnn: return Layout::Mkldnn;
    case c10::Layout::Jagged: return Layout::Jagged;
    default: return Layout::Other;
  }
}

}  // namespace detail

/// Asks what Python's create_from_tensor asks, in its order. A c10::Error becomes InvalidArgument with its text: the
/// tensor has no strides or no storage. So do undefined tensors, and symbolic strides (jagged ones), which no file can
/// hold. What Python raises inside a tensor subclass passes through, as Python's interpreter needs it to.
template <>
struct TensorTraits<at::Tensor> {
  [[nodiscard]] static Result<TensorDescriptor> describe(const at::Tensor& tensor) {
    try {
      const auto& dtypes = detail::TorchDtypes::get();
      const c10::ScalarType dtype = tensor.scalar_type();
      if (dtype == c10::ScalarType::Undefined) return fail(ErrorCode::InvalidArgument, "an undefined tensor");
      TensorDescriptor descriptor;
      descriptor.dtype = dtypes.type(dtype);
      descriptor.dtype_name = dtypes.name(dtype);
      descriptor.layout = detail::layout_of(tensor.layout());
      descriptor.requires_grad = tensor.requires_grad();
      descriptor.pinned = tensor.is_pinned();
      if (tensor.layout() == c10::Layout::Jagged || tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides()) {
        return fail(ErrorCode::InvalidArgument, "a tensor with symbolic strides");
      }
      const at::IntArrayRef strides = tensor.strides();
      const at::IntArrayRef size = tensor.sizes();
      descriptor.strides = std::span(strides.data(), strides.size());
      descriptor.size = {size.data(), size.size()};
      return descriptor;
    } catch (const c10::Error& error) {
      return fail(ErrorCode::InvalidArgument, error.what_without_backtrace());
    }
  }
};

}  // namespace flatpoint
