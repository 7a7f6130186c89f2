// Each way to contradict oneself is an error that names the FQN and the numbers, and leaves the builder as it was.
#include <limits>

#include "flatpoint/builder.hpp"
#include "write/checkpoints.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

using Values = std::vector<std::int64_t>;

template <class T>
void check_error(const Result<T>& result, ErrorCode code, std::string_view message) {
  BOOST_REQUIRE(!result.has_value());
  BOOST_TEST(to_string(result.error().code) == to_string(code));
  BOOST_TEST(result.error().message == message);
}

struct Fixture {
  MetadataBuilder builder = MetadataBuilder::create();
  TensorId tensor = expect(builder.add_tensor("w", {}, Values{4, 6}));

  Result<void> chunk(const Values& offsets, const Values& sizes, const StoredAt& stored = {}) {
    return builder.add_chunk(tensor, offsets, sizes, stored);
  }
  Result<Buffer> finish() { return std::move(builder).finish(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(builder_errors, Fixture)

BOOST_AUTO_TEST_CASE(chunks_outside) {
  const std::string tail = " is not inside the tensor of size [4, 6]";
  check_error(chunk({0, 5}, {4, 2}), ErrorCode::InvalidArgument,
              "FQN 'w': chunk with offsets [0, 5] sizes [4, 2]" + tail);
  check_error(chunk({-1, 0}, {1, 1}), ErrorCode::InvalidArgument,
              "FQN 'w': chunk with offsets [-1, 0] sizes [1, 1]" + tail);
  check_error(chunk({0, 0}, {-1, 1}), ErrorCode::InvalidArgument,
              "FQN 'w': chunk with offsets [0, 0] sizes [-1, 1]" + tail);
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  check_error(chunk({1, kMax}, {1, kMax}), ErrorCode::InvalidArgument,
              "FQN 'w': chunk with offsets [1, 9223372036854775807] sizes [1, 9223372036854775807]" + tail);
  check_error(chunk({5, 0}, {0, 6}), ErrorCode::InvalidArgument,
              "FQN 'w': chunk with offsets [5, 0] sizes [0, 6]" + tail);
  const auto file = expect(MetadataFile::from_buffer(expect(finish())));
  BOOST_TEST(file.view().find("w")->tensor()->chunk_count() == 0);
}

BOOST_AUTO_TEST_CASE(chunks_that_overlap) {
  expect(chunk({0, 0}, {4, 3}));
  expect(chunk({1, 2}, {1, 4}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 'w': chunks with offsets [0, 0] sizes [4, 3] and offsets [1, 2] sizes [1, 4] overlap");
}

BOOST_AUTO_TEST_CASE(a_chunk_twice) {
  expect(chunk({0, 0}, {4, 3}, {.rank = 0}));
  expect(chunk({0, 0}, {4, 3}, {.rank = 1}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 'w': chunks with offsets [0, 0] sizes [4, 3] and offsets [0, 0] sizes [4, 3] begin at one offset");
}

BOOST_AUTO_TEST_CASE(an_overlap_names_the_chunks_whatever_their_order) {
  expect(chunk({2, 0}, {2, 6}, {.rank = 0}));
  expect(chunk({0, 0}, {3, 6}, {.rank = 1}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 'w': chunks with offsets [0, 0] sizes [3, 6] and offsets [2, 0] sizes [2, 6] overlap");
}

BOOST_AUTO_TEST_CASE(the_first_of_several_conflicts) {
  for (std::int64_t row : {3, 1, 1, 3}) expect(chunk({row, 0}, {1, 6}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 'w': chunks with offsets [1, 0] sizes [1, 6] and offsets [1, 0] sizes [1, 6] begin at one offset");
}

BOOST_AUTO_TEST_CASE(an_empty_chunk_where_another_begins) {
  expect(chunk({0, 0}, {0, 6}));
  expect(chunk({0, 0}, {4, 6}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 'w': chunks with offsets [0, 0] sizes [0, 6] and offsets [0, 0] sizes [4, 6] begin at one offset");
}

BOOST_AUTO_TEST_CASE(two_chunks_of_a_scalar) {
  const TensorId scalar = expect(builder.add_tensor("s", {}, Values{}));
  expect(builder.add_chunk(scalar, {}, {}));
  expect(builder.add_chunk(scalar, {}, {}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 's': chunks with offsets [] sizes [] and offsets [] sizes [] begin at one offset");
}

BOOST_AUTO_TEST_CASE(declared_twice) {
  expect(builder.add_tensor("w", {}, Values{4, 6}));
  check_error(finish(), ErrorCode::Conflict, "FQN 'w' is declared twice, as a float32 tensor of size [4, 6]");
}

BOOST_AUTO_TEST_CASE(declared_differently) {
  TensorProperties properties;
  properties.dtype = ScalarType::Bfloat16;
  expect(builder.add_tensor("w", properties, Values{4}));
  check_error(finish(), ErrorCode::Conflict,
              "FQN 'w' is declared as a bfloat16 tensor of size [4] and as a float32 tensor of size [4, 6]");
}

BOOST_AUTO_TEST_CASE(tensor_and_bytes) {
  expect(builder.add_bytes("w"));
  check_error(finish(), ErrorCode::Conflict, "FQN 'w' is declared as a float32 tensor of size [4, 6] and as bytes");
}

BOOST_AUTO_TEST_CASE(ranks_that_differ) {
  check_error(chunk({0}, {4}), ErrorCode::InvalidArgument,
              "FQN 'w': columns offsets and sizes have 1 and 1 values; 1 chunks need 2");
  TensorProperties properties;
  properties.strides = Size{1};
  check_error(builder.add_tensor("x", properties, Values{4, 6}), ErrorCode::InvalidArgument,
              "FQN 'x': strides [1] do not fit size [4, 6]");
  const TensorStorageMetadata odd{{}, {2, 3}, {{{0, 0}, {2}}}};
  check_error(builder.add_tensor("x", odd), ErrorCode::InvalidArgument,
              "FQN 'x': chunk with offsets [0, 0] sizes [2] in a tensor of size [2, 3]");
}

BOOST_AUTO_TEST_CASE(sizes_that_no_tensor_has) {
  check_error(builder.add_tensor("x", {}, Values{4, -6}), ErrorCode::InvalidArgument,
              "FQN 'x': size [4, -6] has a negative dimension");
  check_error(builder.add_tensor("x", {}, Values{1LL << 32, 1LL << 31}), ErrorCode::InvalidArgument,
              "FQN 'x': size [4294967296, 2147483648] has more than 2^63 - 1 elements");
  check_error(builder.add_tensor("x", {}, Values{0, 1LL << 62, 4}), ErrorCode::InvalidArgument,
              "FQN 'x': size [0, 4611686018427387904, 4] has more than 2^63 - 1 elements");
  check_error(builder.add_tensor("x", {}, Values(256, 1)), ErrorCode::InvalidArgument,
              "FQN 'x': 256 dimensions; the format's limit is 255");
  expect(builder.add_tensor("y", {}, Values(255, 1)));
}

BOOST_AUTO_TEST_CASE(a_memory_format_without_a_number_in_dcp) {
  TensorProperties properties;
  properties.memory_format = MemoryFormat::Other;
  check_error(builder.add_tensor("x", properties, Values{1}), ErrorCode::InvalidArgument,
              "FQN 'x': a memory format that DCP cannot write");
  expect(MetadataBuilder::create(Checks::Preserve).add_tensor("x", properties, Values{1}));
}

BOOST_AUTO_TEST_CASE(names_that_no_file_holds) {
  const std::string_view name("x", std::size_t{1} << 31);  // refused before a byte of it is read
  const std::string_view message = "an FQN of 2147483648 bytes passes the format's limit of 2 GiB";
  check_error(builder.add_tensor(name, {}, Values{1}), ErrorCode::TooLarge, message);
  check_error(builder.add_bytes(name), ErrorCode::TooLarge, message);
}

BOOST_AUTO_TEST_CASE(storage_that_cannot_be) {
  check_error(chunk({0, 0}, {1, 1}, {.file = 3}), ErrorCode::InvalidArgument,
              "FQN 'w': file 3 is unknown: there are 0");
  const std::uint32_t file = builder.add_file("f");
  check_error(chunk({0, 0}, {1, 1}, {.file = file, .transforms = 1}), ErrorCode::InvalidArgument,
              "FQN 'w': transform list 1 is unknown: there are 1");
  check_error(chunk({0, 0}, {1, 1}, {.file = file, .byte_offset = ~0ULL, .length = 1}), ErrorCode::InvalidArgument,
              "FQN 'w': 1 bytes at 18446744073709551615 reach beyond 2^64");
}

BOOST_AUTO_TEST_CASE(columns_that_do_not_fit) {
  const Values offsets{0, 0, 2, 0}, sizes{2, 6, 2, 6};
  const std::uint32_t file = builder.add_file("f");
  const std::vector<std::uint64_t> three(3, 0), two(2, 0);
  check_error(builder.add_chunks(tensor, {2, offsets, sizes, {{&file, 1}, three, two}}), ErrorCode::InvalidArgument,
              "FQN 'w': column byte_offsets has 3 values for 2 chunks");
  check_error(builder.add_chunks(tensor, {2, offsets, sizes, {{&file, 1}, two, {}}}), ErrorCode::InvalidArgument,
              "FQN 'w': column lengths has 0 values for 2 chunks");
  check_error(builder.add_chunks(TensorId{9}, {}), ErrorCode::InvalidArgument, "tensor 9 is unknown to this builder");
  check_error(builder.add_chunks(tensor, {std::size_t{1} << 60, offsets, sizes}), ErrorCode::TooLarge,
              "FQN 'w': 1152921504606846976 chunks pass the format's limit of 2 GiB");
}

BOOST_AUTO_TEST_CASE(columns_of_tensors_that_do_not_fit) {
  const std::string_view fqns[] = {"a", "b"};
  const TensorProperties properties;
  const std::uint8_t dimensions = 1;
  const std::int64_t sizes[] = {4, 2};
  const std::uint32_t counts[] = {1, 1};
  const std::int64_t offsets[] = {0, 0};
  const std::int64_t chunk_sizes[] = {4, 3};
  check_error(builder.add_tensors({fqns, {&properties, 1}, {&dimensions, 1}, {sizes, 1}, counts, {2, offsets, sizes}}),
              ErrorCode::InvalidArgument, "FQN 'b': column sizes ends at 1 values, before this tensor's");
  check_error(
      builder.add_tensors({fqns, {&properties, 1}, {&dimensions, 1}, sizes, counts, {1, {offsets, 1}, {sizes, 1}}}),
      ErrorCode::InvalidArgument, "chunk_counts add up to 2, but there are 1 chunks");
  check_error(builder.add_tensors({fqns, {&properties, 1}, {&dimensions, 1}, sizes, counts, {2, offsets, chunk_sizes}}),
              ErrorCode::InvalidArgument,
              "FQN 'b': chunk with offsets [0] sizes [3] is not inside the tensor of size [2]");
  check_error(builder.add_tensors(
                  {{fqns, 1}, {&properties, 1}, {&dimensions, 1}, sizes, {counts, 1}, {1, {offsets, 1}, {sizes, 1}}}),
              ErrorCode::InvalidArgument, "column sizes has 2 values; 1 tensors need 1");
  check_error(builder.add_tensors({fqns, {}, {&dimensions, 1}, sizes, counts, {}}), ErrorCode::InvalidArgument,
              "column properties has 0 values for 2 tensors");
  const auto file = expect(MetadataFile::from_buffer(expect(finish())));
  BOOST_TEST(file.view().size() == 1);
}

BOOST_AUTO_TEST_CASE(planner_paths) {
  const PlannerKey path[] = {std::string_view("w"), std::int64_t{0}};
  check_error(builder.set_planner_path("w", path), ErrorCode::InvalidArgument,
              "FQN 'w': its planner path, joined with dots, is 'w.0'");
  const std::string dots(65535, '.');
  const PlannerKey many[] = {std::string_view(dots)};
  check_error(builder.set_planner_path(dots, many), ErrorCode::InvalidArgument,
              "FQN '" + dots + "': a planner key with 65535 dots");
  expect(builder.set_planner_path("w.0", path));
  check_error(finish(), ErrorCode::InvalidArgument, "FQN 'w.0' has a planner path, but is not declared");
}

BOOST_AUTO_TEST_CASE(two_planner_paths) {
  const PlannerKey whole[] = {std::string_view("a.b")};
  const PlannerKey cut[] = {std::string_view("a"), std::string_view("b")};
  expect(builder.add_bytes("a.b"));
  expect(builder.set_planner_path("a.b", whole));
  expect(builder.set_planner_path("a.b", whole));
  expect(builder.set_planner_path("a.b", cut));
  check_error(finish(), ErrorCode::Conflict, "FQN 'a.b' has two planner paths");
}

BOOST_AUTO_TEST_CASE(set_twice) {
  expect(builder.set_version("1"));
  expect(builder.set_version("1"));
  check_error(builder.set_version("2"), ErrorCode::Conflict, "version is set twice, to '1' and '2'");
  StorageMeta meta;
  expect(builder.set_storage_meta(meta));
  meta.save_id = "b";
  check_error(builder.set_storage_meta(meta), ErrorCode::Conflict, "storage_meta is set twice, to different values");
}

BOOST_AUTO_TEST_CASE(shardings) {
  const auto sharding = expect(Sharding::create(Values{8}, Values{2}, std::vector<Placement>{Shard{0}}));
  check_error(builder.add_sharded(tensor, sharding), ErrorCode::InvalidArgument,
              "FQN 'w': a sharding of size [8] for a tensor of size [4, 6]");
  auto fragment = MetadataBuilder::create_fragment(0);
  const TensorId id = expect(fragment.add_tensor("t", {}, Values{8}));
  check_error(fragment.add_sharded(id, sharding), ErrorCode::InvalidArgument,
              "a fragment holds one rank's chunk, not all of a sharding");
}

BOOST_AUTO_TEST_CASE(fragment_ranks) {
  for (const std::uint32_t rank : {1U << 31, 0xFFFFFFFE}) {
    check_error(MetadataBuilder::create_fragment(rank).finish(), ErrorCode::InvalidArgument,
                "a fragment's rank must lie below 2^31");
  }
  expect(MetadataBuilder::create_fragment((1U << 31) - 1).finish());
}

BOOST_AUTO_TEST_SUITE_END()
