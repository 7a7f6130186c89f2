// model/tensor_properties.cpp - TensorProperties from tensors, and to and from the state that is pickled.
#include "flatpoint/tensor_properties.hpp"

#include <algorithm>
#include <utility>

#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint {
namespace {

constexpr int kFields = 6;
constexpr int kFieldsBeforeStrides = 5;

bool encodable(MemoryFormat format) noexcept { return !name_of(format).empty(); }

// What torch raises when is_pinned and stride are asked of such a tensor.
Result<void> check_layout(Layout layout) {
  const auto refusal = [](const char* text) { return fail(ErrorCode::InvalidArgument, text); };
  switch (layout) {
    case Layout::Sparse_csr: return refusal("Sparse CSR tensors do not have strides");
    case Layout::Sparse_csc: return refusal("Sparse CSC tensors do not have strides");
    case Layout::Sparse_bsr: return refusal("Sparse BSR tensors do not have strides");
    case Layout::Sparse_bsc: return refusal("Sparse BSC tensors do not have strides");
    case Layout::Mkldnn: return refusal("Cannot access storage of OpaqueTensorImpl");
    case Layout::Strided:
    case Layout::Sparse_coo:
    case Layout::Jagged:
    case Layout::Other: break;
  }
  return {};
}

Result<Size> strides_of(const TensorDescriptor& tensor) {
  if (tensor.strides) {
    if (tensor.strides->size() != tensor.size.size()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("{} strides for {} dimensions", tensor.strides->size(), tensor.size.size()));
    }
    if (std::ranges::any_of(*tensor.strides, [](std::int64_t stride) { return stride < 0; })) {
      return fail(ErrorCode::InvalidArgument, fmt::format("negative strides: [{}]", fmt::join(*tensor.strides, ", ")));
    }
    return Size(tensor.strides->begin(), tensor.strides->end());
  }
  switch (tensor.layout) {
    case Layout::Sparse_coo: return Size(tensor.size.size(), 0);
    case Layout::Jagged: return fail(ErrorCode::InvalidArgument, "a jagged tensor has no contiguous strides");
    default: return contiguous_strides(tensor.size);
  }
}

}  // namespace

Result<TensorProperties::State> TensorProperties::get_state(int fields) const {
  if (fields != kFields && fields != kFieldsBeforeStrides) {
    return fail(ErrorCode::InvalidArgument, fmt::format("TensorProperties has states of {} and of {} fields, not of {}",
                                                        kFieldsBeforeStrides, kFields, fields));
  }
  if (!encodable(memory_format)) {
    return fail(ErrorCode::InvalidArgument, fmt::format("Invalid torch.memory_format: {}", memory_format_name));
  }
  State state{dtype,        layout,     requires_grad, memory_format, pin_memory,
              std::nullopt, dtype_name, layout_name,   std::string(), fields};
  if (fields == kFields) state.strides = strides;
  return state;
}

Result<TensorProperties> TensorProperties::set_state(const State& state) {
  if (state.fields != kFields && state.fields != kFieldsBeforeStrides) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} values to unpack (expected {}, got {})",
                            state.fields < kFields ? "not enough" : "too many", kFields, state.fields));
  }
  if (!encodable(state.memory_format)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("Invalid torch.memory_format encoding: {}", state.memory_format_name));
  }
  TensorProperties properties{state.dtype,         state.layout,      state.requires_grad,
                              state.memory_format, state.pin_memory,  std::nullopt,
                              state.dtype_name,    state.layout_name, std::string()};
  if (state.fields == kFields) properties.strides = state.strides;
  return properties;
}

Result<TensorProperties> TensorProperties::create_from_tensor(const TensorDescriptor& tensor) {
  RETURN_IF_ERROR(check_layout(tensor.layout));
  auto strides = strides_of(tensor);
  RETURN_IF_ERROR(strides);
  TensorProperties properties;
  properties.dtype = tensor.dtype;
  properties.layout = tensor.layout;
  properties.requires_grad = tensor.requires_grad;
  properties.pin_memory = tensor.pinned;
  properties.strides = std::move(*strides);
  if (tensor.dtype == ScalarType::Other) properties.dtype_name = tensor.dtype_name;
  if (tensor.layout == Layout::Other) properties.layout_name = tensor.layout_name;
  return properties;
}

Result<TensorStorageMetadata> create_tensor_storage_metadata(const TensorDescriptor& tensor) {
  const auto negative = std::ranges::find_if(tensor.size, [](std::int64_t n) { return n < 0; });
  if (negative != tensor.size.end()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("dimension {} has the negative size {}", negative - tensor.size.begin(), *negative));
  }
  auto properties = TensorProperties::create_from_tensor(tensor);
  RETURN_IF_ERROR(properties);
  TensorStorageMetadata metadata{std::move(*properties), Size(tensor.size.begin(), tensor.size.end()), {}};
  metadata.chunks.push_back({Size(metadata.size.size(), 0), metadata.size});
  return metadata;
}

}  // namespace flatpoint
