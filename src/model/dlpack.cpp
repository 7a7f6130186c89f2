// model/dlpack.cpp - DLPack's type codes in torch's terms.
#include "flatpoint/dlpack.hpp"

#include <algorithm>
#include <array>

#include "base/format.hpp"

namespace flatpoint {
namespace {

struct Row {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
  ScalarType type;
};

// The codes are DLDataTypeCode's. tests/torch compares every code and width with torch's from_dlpack.
constexpr std::array kRows = std::to_array<Row>({
    {0, 8, 1, ScalarType::Int8},  // kDLInt
    {0, 16, 1, ScalarType::Int16},
    {0, 32, 1, ScalarType::Int32},
    {0, 64, 1, ScalarType::Int64},
    {1, 8, 1, ScalarType::Uint8},  // kDLUInt
    {1, 16, 1, ScalarType::Uint16},
    {1, 32, 1, ScalarType::Uint32},
    {1, 64, 1, ScalarType::Uint64},
    {2, 16, 1, ScalarType::Float16},  // kDLFloat
    {2, 32, 1, ScalarType::Float32},
    {2, 64, 1, ScalarType::Float64},
    {4, 16, 1, ScalarType::Bfloat16},   // kDLBfloat
    {5, 32, 1, ScalarType::Complex32},  // kDLComplex
    {5, 64, 1, ScalarType::Complex64},
    {5, 128, 1, ScalarType::Complex128},
    {6, 8, 1, ScalarType::Bool},               // kDLBool
    {10, 8, 1, ScalarType::Float8_e4m3fn},     // kDLFloat8_e4m3fn
    {11, 8, 1, ScalarType::Float8_e4m3fnuz},   // kDLFloat8_e4m3fnuz
    {12, 8, 1, ScalarType::Float8_e5m2},       // kDLFloat8_e5m2
    {13, 8, 1, ScalarType::Float8_e5m2fnuz},   // kDLFloat8_e5m2fnuz
    {14, 8, 1, ScalarType::Float8_e8m0fnu},    // kDLFloat8_e8m0fnu
    {17, 4, 2, ScalarType::Float4_e2m1fn_x2},  // kDLFloat4_e2m1fn
});

constexpr std::int32_t kCudaHost = 3;   // kDLCUDAHost
constexpr std::int32_t kRocmHost = 11;  // kDLROCMHost
constexpr std::uint32_t kMaxMajor = 1;  // of DLManagedTensorVersioned

}  // namespace

std::optional<ScalarType> scalar_type_from_dlpack(std::uint8_t code, std::uint8_t bits, std::uint16_t lanes) noexcept {
  const auto row = std::ranges::find_if(
      kRows, [&](const Row& each) { return each.code == code && each.bits == bits && each.lanes == lanes; });
  if (row == kRows.end()) return std::nullopt;
  return row->type;
}

Result<TensorDescriptor> describe_dlpack(const DLTensorFields& tensor) {
  const auto dtype = scalar_type_from_dlpack(tensor.code, tensor.bits, tensor.lanes);
  if (!dtype) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("DLPack type code {} with {} bits and {} lanes has no torch dtype", tensor.code,
                            tensor.bits, tensor.lanes));
  }
  if (tensor.ndim < 0) {
    return fail(ErrorCode::InvalidArgument, fmt::format("a DLTensor of {} dimensions", tensor.ndim));
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) {
    return fail(ErrorCode::InvalidArgument, fmt::format("a DLTensor of {} dimensions without a shape", tensor.ndim));
  }
  const auto ndim = static_cast<std::size_t>(tensor.ndim);
  TensorDescriptor descriptor;
  descriptor.size = {tensor.shape, ndim};
  descriptor.dtype = *dtype;
  descriptor.pinned = tensor.device_type == kCudaHost || tensor.device_type == kRocmHost;
  if (tensor.strides != nullptr) descriptor.strides = std::span(tensor.strides, ndim);
  return descriptor;
}

Result<void> check_dlpack_version(std::uint32_t major, std::uint32_t minor) {
  if (major <= kMaxMajor) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("DLPack version {}.{} is newer than {}.x", major, minor, kMaxMajor));
}

}  // namespace flatpoint
