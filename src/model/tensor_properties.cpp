// model/tensor_properties.cpp - the pickled state of TensorProperties, as torch's __getstate__ and __setstate__.
#include "flatpoint/tensor_properties.hpp"

#include <fmt/format.h>

namespace flatpoint {
namespace {

constexpr int kFields = 6;
constexpr int kFieldsBeforeStrides = 5;

bool encodable(MemoryFormat format) noexcept { return !name_of(format).empty(); }

}  // namespace

Result<TensorProperties::State> TensorProperties::get_state(int fields) const {
  if (fields != kFields && fields != kFieldsBeforeStrides) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("TensorProperties has states of {} and of {} fields, not of {}", kFieldsBeforeStrides,
                            kFields, fields));
  }
  if (!encodable(memory_format)) {
    return fail(ErrorCode::InvalidArgument, fmt::format("Invalid torch.memory_format: {}", memory_format_name));
  }
  State state{dtype,      layout,     requires_grad,      memory_format, pin_memory, std::nullopt,
              dtype_name, layout_name, std::string(), fields};
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
  TensorProperties properties{state.dtype,      state.layout, state.requires_grad, state.memory_format,
                              state.pin_memory, std::nullopt, state.dtype_name,    state.layout_name, std::string()};
  if (state.fields == kFields) properties.strides = state.strides;
  return properties;
}

}  // namespace flatpoint
