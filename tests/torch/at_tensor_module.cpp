// The operator flatpoint_test::describe, for Python: any tensor to its metadata as JSON.
#include <torch/library.h>

#include "describe.hpp"
#include "flatpoint/torch.hpp"

// No dispatch key of its own: the operator sees every tensor as it is.
TORCH_LIBRARY(flatpoint_test, library) {
  library.def("describe(Tensor tensor) -> str",
              [](const at::Tensor& tensor) { return flatpoint::test::describe(tensor).dump(); });
}
