// C functions for Python's ctypes: what a DLPack capsule holds to its metadata as JSON. The structs are those of the
// dlpack.h that torch brings.
#include <ATen/dlpack.h>

#include <cstring>

#include "describe.hpp"
#include "flatpoint/dlpack.hpp"

static_assert(flatpoint::DLTensorLike<DLTensor>);
static_assert(flatpoint::DLManagedTensorLike<DLManagedTensor> && !flatpoint::DLTensorLike<DLManagedTensor>);
static_assert(flatpoint::DLManagedTensorLike<DLManagedTensorVersioned>);

namespace {

template <class Tensor>
void answer(const Tensor* tensor, char* json, std::size_t size) {
  std::strncpy(json, flatpoint::test::describe(*tensor).dump().c_str(), size - 1);
}

}  // namespace

extern "C" {
void describe_dltensor(const DLManagedTensor* tensor, char* json, std::size_t size) { answer(tensor, json, size); }
void describe_dltensor_versioned(const DLManagedTensorVersioned* tensor, char* json, std::size_t size) {
  answer(tensor, json, size);
}
}
