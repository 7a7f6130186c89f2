// flatpoint/tensor_properties.hpp - TensorProperties as a value, with the state that DCP pickles.
#pragma once

#include <optional>
#include <string>

#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint {

/// torch.distributed.checkpoint.metadata.TensorProperties. The defaults are torch's.
struct TensorProperties {
  ScalarType dtype = ScalarType::Float32;
  Layout layout = Layout::Strided;
  bool requires_grad = false;
  MemoryFormat memory_format = MemoryFormat::Contiguous;
  bool pin_memory = false;
  std::optional<Size> strides;  // in elements; None in files from before torch 2.15
  std::string dtype_name;       // torch's name without "torch.", where dtype is Other
  std::string layout_name;      // likewise for layout

  /// As torch's dataclass: strides count, so properties from before 2.15 differ from those of 2.15.
  bool operator==(const TensorProperties&) const = default;

  /// What __getstate__ returns: (dtype, layout, requires_grad, memory_format, pin_memory[, strides]).
  struct State {
    ScalarType dtype;
    Layout layout;
    bool requires_grad;
    MemoryFormat memory_format;
    bool pin_memory;
    std::optional<Size> strides;
    int fields = 6;  // 5: a state from before strides
    bool operator==(const State&) const = default;
  };

  /// `fields` is 6 (torch 2.15) or 5 (older). Errors as torch: InvalidArgument "Invalid torch.memory_format: ..." for a
  /// memory format that _MEM_FORMAT_ENCODING does not hold.
  [[nodiscard]] Result<State> get_state(int fields = 6) const;

  /// What __setstate__ accepts. Errors as torch: InvalidArgument for another number of fields than 5 or 6, or for
  /// "Invalid torch.memory_format encoding: ...". Five fields leave strides None.
  [[nodiscard]] static Result<TensorProperties> set_state(const State& state);
};

}  // namespace flatpoint
