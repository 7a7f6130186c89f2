// flatpoint/torch.hpp in a C++ program that links torch_cpu and c10. test_at_tensor.py compares it with Python's torch.
#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>

#include "flatpoint/sharding.hpp"
#include "flatpoint/torch.hpp"

using namespace flatpoint;

static_assert(TensorLike<at::Tensor>);

BOOST_AUTO_TEST_SUITE(at_tensor)

BOOST_AUTO_TEST_CASE(a_tensor_becomes_metadata) {
  const auto tensor = at::empty({2, 3, 4, 5}, at::dtype(at::kBFloat16).memory_format(at::MemoryFormat::ChannelsLast));
  const auto metadata = create_tensor_storage_metadata(tensor).value();
  BOOST_TEST((metadata.size == Size{2, 3, 4, 5}));
  BOOST_TEST((metadata.chunks == std::vector<ChunkStorageMetadata>{{{0, 0, 0, 0}, {2, 3, 4, 5}}}));
  BOOST_TEST((metadata.properties.dtype == ScalarType::Bfloat16));
  BOOST_TEST((metadata.properties.memory_format == MemoryFormat::Contiguous));
  BOOST_TEST((metadata.properties.strides == Size{60, 1, 15, 3}));
  BOOST_TEST(!metadata.properties.requires_grad);
}

BOOST_AUTO_TEST_CASE(a_shard_becomes_metadata) {
  const auto sharding = Sharding::create(Size{5, 3}, Size{2}, std::vector<Placement>{Shard{0}}).value();
  const auto local = at::ones({2, 3}).set_requires_grad(true);
  const auto metadata = create_tensor_storage_metadata(local, sharding, 1).value();
  BOOST_TEST((metadata.chunks == std::vector<ChunkStorageMetadata>{{{3, 0}, {2, 3}}}));
  BOOST_TEST(metadata.properties.requires_grad);
}

BOOST_AUTO_TEST_CASE(what_torch_throws_is_an_error) {
  BOOST_TEST(TensorProperties::create_from_tensor(at::Tensor()).error().message == "an undefined tensor");
  const auto csr = at::eye(4).to_sparse_csr();
  BOOST_TEST(TensorProperties::create_from_tensor(csr).error().message == "Sparse CSR tensors do not have strides");
}

BOOST_AUTO_TEST_SUITE_END()
