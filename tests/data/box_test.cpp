// Boxes: any part of a tensor, into any memory, however the bytes lie.
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>

#include "data/copy_box.hpp"
#include "data/coverage.hpp"
#include "data/support.hpp"
#include "flatpoint/mesh_plan.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(data_boxes)

namespace {

using Random = std::mt19937_64;

std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

class MemorySource final : public data::CopySource {
 public:
  explicit MemorySource(std::size_t size) : bytes(size) {
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 131 + (i >> 8U));
  }
  Result<void> read(std::span<const data::RangeReader::Request> batch) override {
    for (const auto& request : batch) {
      BOOST_REQUIRE(request.offset + request.to.size() <= bytes.size());
      std::memcpy(request.to.data(), bytes.data() + request.offset, request.to.size());
    }
    return {};
  }
  std::vector<std::byte> bytes;
};

/// Element by element.
void copy_slowly(const std::vector<std::byte>& from, const data::BoxCopy& copy) {
  std::vector<std::int64_t> at(copy.dimensions.size(), 0);
  for (const auto& dimension : copy.dimensions) {
    if (dimension.length == 0) return;
  }
  for (;;) {
    auto source = static_cast<std::int64_t>(copy.begin);
    std::byte* to = copy.to;
    for (std::size_t i = 0; i < at.size(); ++i) {
      source += at[i] * copy.dimensions[i].from;
      to += at[i] * copy.dimensions[i].to;
    }
    std::memcpy(to, from.data() + source, copy.element);
    std::size_t i = at.size();
    while (i > 0 && ++at[i - 1] == copy.dimensions[i - 1].length) at[--i] = 0;
    if (i == 0) return;
  }
}

/// A box with strides in any order on both sides, now and then dense, expanded or empty.
data::BoxCopy random_copy(Random& random, std::size_t& from_size, std::size_t& to_size) {
  data::BoxCopy copy{{}, std::uint64_t{1} << static_cast<unsigned>(pick(random, 0, 4)), 0, nullptr};
  const auto ndim = static_cast<std::size_t>(pick(random, 0, 4));
  const auto element = static_cast<std::int64_t>(copy.element);
  copy.dimensions.resize(ndim);
  for (auto& dimension : copy.dimensions) dimension.length = pick(random, pick(random, 0, 9) == 0 ? 0 : 1, 6);
  const auto lay = [&](std::int64_t data::BoxDimension::*stride, bool may_expand) {
    std::vector<std::size_t> order(ndim);
    for (std::size_t i = 0; i < ndim; ++i) order[i] = i;
    if (pick(random, 0, 1) == 0) std::ranges::shuffle(order, random);
    std::int64_t step = element;
    for (std::size_t i = ndim; i-- > 0;) {
      auto& dimension = copy.dimensions[order[i]];
      dimension.*stride = may_expand && pick(random, 0, 19) == 0 ? 0 : step;
      step *= std::max<std::int64_t>(dimension.length, 1) + (pick(random, 0, 2) == 0 ? pick(random, 0, 3) : 0);
    }
    return static_cast<std::size_t>(step) + 64;
  };
  from_size = lay(&data::BoxDimension::from, true) + 8;
  to_size = lay(&data::BoxDimension::to, false);
  copy.begin = static_cast<std::uint64_t>(pick(random, 0, 8));
  return copy;
}

}  // namespace

BOOST_AUTO_TEST_CASE(any_box_is_copied_as_element_by_element) {
  Random random(20261130);
  data::Scratch scratch;
  for (int i = 0; i < 4000; ++i) {
    std::size_t from_size = 0;
    std::size_t to_size = 0;
    data::BoxCopy copy = random_copy(random, from_size, to_size);
    MemorySource source(from_size);
    std::vector<std::byte> expected(to_size, std::byte{0xEE});
    std::vector<std::byte> actual(to_size, std::byte{0xEE});
    copy.to = expected.data();
    copy_slowly(source.bytes, copy);
    copy.to = actual.data();
    data::ReadOptions options;
    options.block =
        static_cast<std::uint64_t>(std::array{1, 40, 300, 1 << 20}[static_cast<std::size_t>(pick(random, 0, 3))]);
    options.max_over_read = static_cast<double>(pick(random, 1, 4));
    data::ReadReport report;
    BOOST_REQUIRE(data::copy_box(source, copy, options, scratch, report));
    BOOST_REQUIRE(actual == expected);
  }
}

BOOST_AUTO_TEST_CASE(rows_are_read_without_a_byte_too_many) {
  MemorySource source(1 << 16);
  std::vector<std::byte> to(1 << 12);
  data::Scratch scratch;
  data::ReadReport report;
  const data::BoxCopy rows{{{16, 256, 256}, {64, 4, 4}}, 4, 1024, to.data()};
  BOOST_REQUIRE(data::copy_box(source, rows, {}, scratch, report));
  BOOST_TEST(report.needed_bytes == 4096U);
  BOOST_TEST(report.read_bytes == 4096U);
}

BOOST_AUTO_TEST_CASE(holes_are_found_where_they_are) {
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    const auto ndim = static_cast<std::size_t>(pick(random, 1, 3));
    const ChunkStorageMetadata box{Size(ndim, 0), Size(ndim, 4)};
    std::vector<ChunkStorageMetadata> parts(static_cast<std::size_t>(pick(random, 0, 12)));
    std::size_t cells = 1;
    for (std::size_t d = 0; d < ndim; ++d) cells *= 4;
    std::vector<bool> held(cells);
    for (auto& part : parts) {
      for (std::size_t d = 0; d < ndim; ++d) {
        part.offsets.push_back(pick(random, 0, 3));
        part.sizes.push_back(pick(random, 0, 4 - part.offsets.back()));
      }
    }
    const auto inside = [&](std::size_t cell, const ChunkStorageMetadata& part) {
      for (std::size_t d = 0; d < ndim; ++d, cell /= 4) {
        const auto at = static_cast<std::int64_t>(cell % 4);
        if (at < part.offsets[d] || at >= part.offsets[d] + part.sizes[d]) return false;
      }
      return true;
    };
    for (std::size_t cell = 0; cell < cells; ++cell)
      held[cell] = std::ranges::any_of(parts, [&](const auto& part) { return inside(cell, part); });
    const auto hole = data::find_hole(box, parts);
    BOOST_REQUIRE(hole.has_value() == (std::ranges::find(held, false) != held.end()));
    for (std::size_t cell = 0; hole && cell < cells; ++cell) BOOST_REQUIRE(!(inside(cell, *hole) && held[cell]));
  }
}

BOOST_AUTO_TEST_CASE(boxes_of_samples_are_parts_of_the_whole) {
  Random random(3);
  for (const std::string name : {"d01_dtensor_1d", "d02_dtensor_2d", "d04_fsdp2", "s10_zstd"}) {
    const auto opened = test::open_sample(name);
    const auto reader = data::Reader::open(opened);
    for (std::uint32_t e = 0; e < opened.file.view().size(); ++e) {
      const auto tensor = opened.file.view().entry(e)->tensor();
      if (!tensor) continue;
      const auto whole = test::read_whole(*reader, *tensor);
      BOOST_REQUIRE_MESSAGE(whole, whole.error().message);
      const auto element = static_cast<std::int64_t>(item_size(tensor->dtype()));
      Size offsets;
      Size sizes;
      data::BoxCopy slow{{}, static_cast<std::uint64_t>(element), 0, nullptr};
      std::vector<std::int64_t> strides;
      std::int64_t volume = element;
      const Size from = contiguous_strides(tensor->size());
      for (std::size_t d = 0; d < tensor->size().size(); ++d) {
        offsets.push_back(pick(random, 0, tensor->size()[d]));
        sizes.push_back(pick(random, 0, tensor->size()[d] - offsets[d]));
        slow.begin += static_cast<std::uint64_t>(offsets[d] * from[d] * element);
      }
      for (std::size_t d = 0; d < sizes.size(); ++d) {  // column-major
        strides.push_back(volume);
        volume *= std::max<std::int64_t>(sizes[d], 1);
        slow.dimensions.push_back({sizes[d], from[d] * element, strides[d]});
      }
      std::vector<std::byte> expected(static_cast<std::size_t>(volume), std::byte{1});
      std::vector<std::byte> actual(static_cast<std::size_t>(volume), std::byte{1});
      slow.to = expected.data();
      copy_slowly(*whole, slow);
      const auto read = reader->read(*tensor, offsets, sizes, {actual.data(), strides});
      BOOST_REQUIRE_MESSAGE(read, read.error().message);
      BOOST_TEST((actual == expected), name << ": " << tensor->fqn());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_plan_of_a_mesh_is_read_into_its_boxes) {
  const auto opened = test::open_sample("d02_dtensor_2d");
  const auto reader = data::Reader::open(opened);
  const std::array<std::int64_t, 1> mesh{3};
  const std::array<Placement, 1> placements{Shard{0}};
  auto planner = MeshPlanner::create(opened.file.view(), mesh, placements);
  BOOST_REQUIRE(planner);
  const auto plan = planner->plan(1);
  BOOST_REQUIRE(plan);
  std::vector<std::vector<std::byte>> memory(plan->size());
  std::vector<Size> strides(plan->size());
  std::vector<data::Destination> destinations(plan->size());
  for (std::uint32_t i = 0; i < plan->size(); ++i) {  // a box per item, as large as the tensor
    const auto item = plan->item(i);
    const auto entry = opened.file.view().entry(item.wanted());
    const auto tensor = entry->tensor();
    std::size_t bytes = tensor ? item_size(tensor->dtype()) : item.length();
    if (tensor) strides[i] = contiguous_strides(tensor->size());
    for (std::size_t d = 0; tensor && d < strides[i].size(); ++d) {
      strides[i][d] *= item_size(tensor->dtype());
      bytes *= static_cast<std::size_t>(tensor->size()[d]);
    }
    memory[i].resize(bytes);
    destinations[i] = {memory[i].data(), strides[i]};
  }
  const auto report = reader->read(*plan, destinations, {.threads = 2, .stop = {}});
  BOOST_REQUIRE_MESSAGE(report, report.error().message);
  BOOST_TEST(report->needed_bytes == plan->needed_bytes());
  const auto ranges = reader->ranges(*plan);
  BOOST_REQUIRE(ranges);
  std::uint64_t in_ranges = 0;
  for (const auto& item : *ranges) {
    for (const auto& range : item) in_ranges += range.length;
  }
  BOOST_TEST(in_ranges == plan->needed_bytes());
  for (std::uint32_t i = 0; i < plan->size(); ++i) {
    const auto item = plan->item(i);
    if (item.type() == LoadItemType::Bytes) continue;
    const auto tensor = *opened.file.view().entry(item.wanted())->tensor();
    const auto chunk = tensor.chunk_by_row(item.chunk())->to_value();
    Size offsets = chunk.offsets;
    for (std::size_t d = 0; d < offsets.size(); ++d) offsets[d] += item.storage_offsets()[d];
    std::vector<std::byte> box(memory[i].size());
    const data::Destination to{box.data(), strides[i]};
    BOOST_REQUIRE(reader->read(tensor, offsets, item.lengths(), to));
    data::BoxCopy part{{}, item_size(tensor.dtype()), 0, nullptr};
    std::int64_t begin = 0;
    for (std::size_t d = 0; d < offsets.size(); ++d) {
      part.dimensions.push_back({item.lengths()[d], strides[i][d], strides[i][d]});
      begin += item.dest_offsets()[d] * strides[i][d];
    }
    std::vector<std::byte> copied(box.size());
    part.begin = static_cast<std::uint64_t>(begin);
    part.to = copied.data();
    copy_slowly(memory[i], part);
    BOOST_TEST((copied == box), tensor.fqn());
  }
  BOOST_TEST((reader->ranges(*plan, 1).error().code == ErrorCode::TooLarge));
}

// An item of four bytes with strides of 0 holds as many elements as it says: their bytes, counted in 64 bits, are four.
BOOST_AUTO_TEST_CASE(boxes_whose_bytes_leave_64_bits) {
  const auto opened = test::open_sample("../data/huge_by_strides");
  const auto reader = data::Reader::open(opened);
  BOOST_REQUIRE(reader);
  const TensorView tensor = test::tensor_of(opened.file.view(), "w");
  std::byte four[4]{};
  const auto read = reader->read(tensor, Size{0}, tensor.size(), {four, {}});
  BOOST_TEST((!read && read.error().code == ErrorCode::TooLarge));
  const auto numbers = data::statistics(*reader, tensor);
  BOOST_TEST((!numbers && numbers.error().code == ErrorCode::TooLarge));
  BOOST_TEST(!data::box_bytes(tensor, tensor.size()));
  BOOST_TEST(data::box_bytes(tensor, Size{3}).value() == 12U);
  BOOST_TEST(reader->read(tensor, Size{std::int64_t{1} << 62}, Size{1}, {four, {}}).has_value());
  BOOST_TEST(reader->read(tensor, Size{5}, Size{0}, {nullptr, {}})->needed_bytes == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
