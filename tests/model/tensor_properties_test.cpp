// States as torch pickles them, and properties made from tensors.
#include "flatpoint/tensor_properties.hpp"

#include <boost/test/unit_test.hpp>

using namespace flatpoint;

namespace {

TensorProperties example() {
  TensorProperties properties;
  properties.dtype = ScalarType::Bfloat16;
  properties.requires_grad = true;
  properties.memory_format = MemoryFormat::ChannelsLast;
  properties.pin_memory = true;
  properties.strides = Size{4, 1};
  return properties;
}

template <class T>
void check_error(const Result<T>& result, std::string_view text) {
  BOOST_REQUIRE(!result);
  BOOST_TEST((result.error().code == ErrorCode::InvalidArgument));
  BOOST_TEST(result.error().message == text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tensor_properties)

BOOST_AUTO_TEST_CASE(defaults_are_torchs) {
  const TensorProperties properties;
  BOOST_TEST((properties.dtype == ScalarType::Float32));
  BOOST_TEST((properties.layout == Layout::Strided));
  BOOST_TEST((properties.memory_format == MemoryFormat::Contiguous));
  BOOST_TEST(!properties.requires_grad);
  BOOST_TEST(!properties.pin_memory);
  BOOST_TEST(!properties.strides);
}

BOOST_AUTO_TEST_CASE(six_fields_give_everything_back) {
  const auto state = example().get_state();
  BOOST_REQUIRE(state);
  BOOST_TEST(state->fields == 6);
  BOOST_TEST((TensorProperties::set_state(*state).value() == example()));
}

BOOST_AUTO_TEST_CASE(five_fields_lose_the_strides_alone) {
  const auto state = example().get_state(5);
  BOOST_REQUIRE(state);
  BOOST_TEST(!state->strides);
  auto expected = example();
  expected.strides.reset();
  BOOST_TEST((TensorProperties::set_state(*state).value() == expected));
  BOOST_TEST((expected != example()));  // strides count in equality

  auto odd = example().get_state().value();
  odd.fields = 5;
  BOOST_TEST((TensorProperties::set_state(odd).value() == expected));
}

BOOST_AUTO_TEST_CASE(unknown_names_travel_with_the_state) {
  auto properties = example();
  properties.dtype = ScalarType::Other;
  properties.dtype_name = "float3";
  properties.layout = Layout::Other;
  properties.layout_name = "sparse_xyz";
  const auto state = properties.get_state();
  BOOST_REQUIRE(state);
  BOOST_TEST(state->dtype_name == "float3");
  BOOST_TEST((TensorProperties::set_state(*state).value() == properties));
  auto other = properties;
  other.dtype_name = "float5";
  BOOST_TEST((other != properties));
}

BOOST_AUTO_TEST_CASE(errors_are_torchs) {
  auto properties = example();
  properties.memory_format = MemoryFormat::Other;
  properties.memory_format_name = "torch.channels_last_3d";
  check_error(properties.get_state(), "Invalid torch.memory_format: torch.channels_last_3d");
  check_error(example().get_state(7), "TensorProperties has states of 5 and of 6 fields, not of 7");

  auto state = example().get_state().value();
  state.memory_format = MemoryFormat::Other;
  state.memory_format_name = "0";
  check_error(TensorProperties::set_state(state), "Invalid torch.memory_format encoding: 0");
  state.fields = 4;
  check_error(TensorProperties::set_state(state), "not enough values to unpack (expected 6, got 4)");
  state.fields = 7;
  check_error(TensorProperties::set_state(state), "too many values to unpack (expected 6, got 7)");
}

BOOST_AUTO_TEST_CASE(a_plain_descriptor_is_contiguous_by_default) {
  const Size size{2, 0, 3};
  const auto properties = TensorProperties::create_from_tensor(
      TensorDescriptor{.size = size, .dtype = ScalarType::Int8, .requires_grad = true, .pinned = true});
  BOOST_REQUIRE(properties);
  TensorProperties expected;
  expected.dtype = ScalarType::Int8;
  expected.requires_grad = true;
  expected.pin_memory = true;
  expected.strides = Size{3, 3, 1};
  BOOST_TEST((*properties == expected));
}

BOOST_AUTO_TEST_CASE(strides_are_kept_as_they_are_and_the_format_stays_contiguous) {
  const Size size{2, 3, 4, 5};
  const Size channels_last{60, 1, 15, 3};
  const auto properties = TensorProperties::create_from_tensor({.size = size, .strides = channels_last}).value();
  BOOST_TEST((properties.memory_format == MemoryFormat::Contiguous));
  BOOST_TEST((properties.strides == channels_last));
}

BOOST_AUTO_TEST_CASE(layouts_as_torch) {
  const Size size{2, 3};
  const auto make = [&](Layout layout) {
    return TensorProperties::create_from_tensor({.size = size, .layout = layout});
  };
  BOOST_TEST((make(Layout::Sparse_coo).value().strides == Size{0, 0}));
  check_error(make(Layout::Sparse_csr), "Sparse CSR tensors do not have strides");
  check_error(make(Layout::Sparse_csc), "Sparse CSC tensors do not have strides");
  check_error(make(Layout::Sparse_bsr), "Sparse BSR tensors do not have strides");
  check_error(make(Layout::Sparse_bsc), "Sparse BSC tensors do not have strides");
  check_error(make(Layout::Mkldnn), "Cannot access storage of OpaqueTensorImpl");
  check_error(make(Layout::Jagged), "a jagged tensor has no contiguous strides");

  const Size strides{3, 1};
  BOOST_TEST(
      TensorProperties::create_from_tensor({.size = size, .layout = Layout::Jagged, .strides = strides}).has_value());
  const auto other = TensorProperties::create_from_tensor(
      {.size = size, .dtype = ScalarType::Other, .layout = Layout::Other, .dtype_name = "x1", .layout_name = "x2"});
  BOOST_TEST(other.value().dtype_name == "x1");
  BOOST_TEST(other.value().layout_name == "x2");
}

BOOST_AUTO_TEST_CASE(impossible_tensors_are_refused) {
  const Size size{2, 3};
  const Size short_strides{1};
  const Size negative{-3, 1};
  check_error(TensorProperties::create_from_tensor({.size = size, .strides = short_strides}),
              "1 strides for 2 dimensions");
  check_error(TensorProperties::create_from_tensor({.size = size, .strides = negative}), "negative strides: [-3, 1]");
  check_error(create_tensor_storage_metadata(TensorDescriptor{.size = negative}),
              "dimension 0 has the negative size -3");
}

BOOST_AUTO_TEST_CASE(a_whole_tensor_is_one_chunk) {
  const Size size{2, 3};
  const auto metadata = create_tensor_storage_metadata(TensorDescriptor{.size = size}).value();
  BOOST_TEST((metadata.size == size));
  BOOST_REQUIRE(metadata.chunks.size() == 1U);
  BOOST_TEST((metadata.chunks[0] == ChunkStorageMetadata{{0, 0}, {2, 3}}));
  BOOST_TEST((metadata.properties.strides == Size{3, 1}));

  const auto scalar = create_tensor_storage_metadata(TensorDescriptor{}).value();
  BOOST_TEST((scalar.chunks[0] == ChunkStorageMetadata{}));
}

BOOST_AUTO_TEST_SUITE_END()
