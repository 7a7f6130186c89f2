// The DLPack adapter on structs with DLPack's member names, as any copy of dlpack.h brings them. tests/torch hands it
// what NumPy and torch make, and compares every type code with torch.
#include "flatpoint/dlpack.hpp"

#include <boost/test/unit_test.hpp>

#include "flatpoint/tensor_properties.hpp"

using namespace flatpoint;

namespace my {

enum DeviceType : std::int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kRocmHost = 11 };
struct Device {
  DeviceType device_type;
  std::int32_t device_id;
};
struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct Managed {
  Tensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(Managed*);
};
struct Version {
  std::uint32_t major, minor;
};
struct Versioned {
  Version version;
  void* manager_ctx;
  void (*deleter)(Versioned*);
  std::uint64_t flags;
  Tensor dl_tensor;
};

}  // namespace my

static_assert(TensorLike<my::Tensor> && TensorLike<my::Managed> && TensorLike<my::Versioned>);
static_assert(!TensorLike<my::Device> && !TensorLike<int>);

namespace {

struct Fixture {
  std::int64_t shape[2] = {2, 3};
  std::int64_t strides[2] = {1, 2};
  my::Tensor tensor{nullptr, {my::kCpu, 0}, 2, {4, 16, 1}, shape, strides, 0};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(dlpack, Fixture)

BOOST_AUTO_TEST_CASE(fields_become_properties) {
  const auto properties = TensorProperties::create_from_tensor(tensor).value();
  BOOST_TEST((properties.dtype == ScalarType::Bfloat16));
  BOOST_TEST((properties.layout == Layout::Strided));
  BOOST_TEST((properties.strides == Size{1, 2}));
  BOOST_TEST(!properties.requires_grad);
  BOOST_TEST(!properties.pin_memory);
  BOOST_TEST((create_tensor_storage_metadata(tensor).value().size == Size{2, 3}));
}

BOOST_AUTO_TEST_CASE(null_strides_are_contiguous) {
  tensor.strides = nullptr;
  BOOST_TEST((TensorProperties::create_from_tensor(tensor).value().strides == Size{3, 1}));
}

BOOST_AUTO_TEST_CASE(a_scalar_needs_neither_shape_nor_strides) {
  tensor.ndim = 0;
  tensor.shape = nullptr;
  tensor.strides = nullptr;
  const auto metadata = create_tensor_storage_metadata(tensor).value();
  BOOST_TEST((metadata.size == Size{}));
  BOOST_TEST((metadata.properties.strides == Size{}));
}

BOOST_AUTO_TEST_CASE(host_memory_of_a_device_is_pinned) {
  for (const auto device : {my::kCpu, my::kCuda, my::kCudaHost, my::kRocmHost}) {
    tensor.device.device_type = device;
    BOOST_TEST(TensorProperties::create_from_tensor(tensor).value().pin_memory ==
               (device == my::kCudaHost || device == my::kRocmHost));
  }
}

BOOST_AUTO_TEST_CASE(managed_tensors_are_read_and_not_released) {
  my::Managed managed{tensor, nullptr, [](my::Managed*) { BOOST_ERROR("released"); }};
  my::Versioned versioned{{1, 3}, nullptr, [](my::Versioned*) { BOOST_ERROR("released"); }, 0, tensor};
  BOOST_TEST(
      (TensorProperties::create_from_tensor(managed).value() == TensorProperties::create_from_tensor(tensor).value()));
  BOOST_TEST((TensorProperties::create_from_tensor(versioned).value() ==
              TensorProperties::create_from_tensor(tensor).value()));
  versioned.version = {2, 0};
  versioned.dl_tensor.ndim = -1;  // not looked at
  BOOST_TEST(TensorProperties::create_from_tensor(versioned).error().message == "DLPack version 2.0 is newer than 1.x");
}

BOOST_AUTO_TEST_CASE(what_torch_refuses_is_refused) {
  const auto message = [&] { return TensorProperties::create_from_tensor(tensor).error().message; };
  tensor.dtype = {2, 32, 4};
  BOOST_TEST(message() == "DLPack type code 2 with 32 bits and 4 lanes has no torch dtype");
  tensor.dtype = {2, 32, 1};
  tensor.ndim = -1;
  BOOST_TEST(message() == "a DLTensor of -1 dimensions");
  tensor.ndim = 2;
  tensor.shape = nullptr;
  BOOST_TEST(message() == "a DLTensor of 2 dimensions without a shape");
}

BOOST_AUTO_TEST_SUITE_END()
