// From a tensor to TensorStorageMetadata: nanoseconds of processor time per tensor, for each of the libraries that a
// tensor may come from.
//   bench_tensors TENSORS ROUNDS
#include "flatpoint/dlpack.hpp"
#include "measure.hpp"
#ifdef FLATPOINT_BENCH_TORCH
#include <ATen/ATen.h>

#include "flatpoint/torch.hpp"
#endif

namespace {

using namespace bench;

/// DLPack's struct, as its header has it.
struct DLTensor {
  void* data;
  struct {
    std::int32_t device_type;
    std::int32_t device_id;
  } device;
  std::int32_t ndim;
  struct {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
  } dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

/// Describes all tensors, once per round; the sum keeps the compiler from leaving anything out.
template <class Tensor>
void report(const char* name, const std::vector<Tensor>& tensors, int rounds) {
  std::size_t sum = 0;
  Series describe, create;
  for (int round = 0; round < rounds; ++round) {
    describe.measure([&] {
      for (const Tensor& tensor : tensors) sum += expect(flatpoint::TensorTraits<Tensor>::describe(tensor)).size.size();
    });
    create.measure([&] {
      for (const Tensor& tensor : tensors) {
        sum += expect(flatpoint::create_tensor_storage_metadata(tensor)).chunks.size();
      }
    });
  }
  const auto per_tensor = [&](const Series& series) { return series.cpu() / static_cast<double>(tensors.size()); };
  print(name, "describe", per_tensor(describe) + (sum == 1 ? 1 : 0));
  print(name, "create", per_tensor(create));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::size_t count = std::strtoul(argv[1], nullptr, 10);
  const int rounds = std::atoi(argv[2]);
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
  for (std::size_t i = 0; i < count; ++i) {
    const auto columns = static_cast<std::int64_t>(4096 + i % 64);
    sizes.insert(sizes.end(), {1024, columns}), strides.insert(strides.end(), {columns, 1});
  }
  std::vector<flatpoint::TensorDescriptor> plain;
  std::vector<DLTensor> dlpack;
  for (std::size_t i = 0; i < count; ++i) {
    plain.push_back({.size = std::span(sizes).subspan(2 * i, 2), .strides = std::span(strides).subspan(2 * i, 2)});
    dlpack.push_back({nullptr, {1, 0}, 2, {2, 32, 1}, sizes.data() + 2 * i, strides.data() + 2 * i, 0});
  }
  report("descriptor", plain, rounds);
  report("DLPack", dlpack, rounds);
#ifdef FLATPOINT_BENCH_TORCH
  std::vector<at::Tensor> torch;
  for (std::size_t i = 0; i < count; ++i) torch.push_back(at::empty({4, 8}));
  report("at::Tensor", torch, rounds);
#endif
}
