// An item beyond 4 GiB, as torch.save writes one: zip64 numbers in its directory. The file is a sparse one.
#include <array>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "data/support.hpp"
#include "flatpoint/builder.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(data_large)

namespace {

constexpr std::uint64_t kElements = 5'000'000'000;

std::string number(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFFU);
  return text;
}

/// torch._utils._rebuild_tensor_v2 of a ByteStorage of all the elements.
std::string tensor_pickle() {
  const std::string long1 = "\x8a\x05" + number(kElements, 5);
  const auto text = [](const std::string& value) { return "X" + number(value.size(), 4) + value; };
  return "\x80\x02"
         "ctorch._utils\n_rebuild_tensor_v2\n((" +
         text("storage") + "ctorch\nByteStorage\n" + text("0") + text("cpu") + long1 + "tQ" + std::string("K\0", 2) +
         long1 + "\x85K\x01\x85\x89" + "ccollections\nOrderedDict\n)RtR.";
}

std::string local_header(const std::string& name, std::uint32_t size) {
  return "PK\3\4" + std::string(14, '\0') + number(size, 4) + number(size, 4) + number(name.size(), 2) + number(0, 2) +
         name;
}

std::string directory_entry(const std::string& name, std::uint32_t size, std::uint64_t header,
                            const std::string& extra) {
  return "PK\1\2" + std::string(16, '\0') + number(size, 4) + number(size, 4) + number(name.size(), 2) +
         number(extra.size(), 2) + std::string(10, '\0') + number(header, 4) + name + extra;
}

/// Writes the item at byte `begin` of the file; returns its length.
std::uint64_t write_item(std::fstream& file, std::uint64_t begin) {
  const std::string pickle = tensor_pickle();
  const std::string first = local_header("archive/data.pkl", static_cast<std::uint32_t>(pickle.size())) + pickle;
  const std::string second = local_header("archive/data/0", 0xFFFFFFFF);
  const std::uint64_t data = first.size() + second.size();
  file.seekp(static_cast<std::streamoff>(begin)) << first << second;
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{1} << 32, kElements - 1})
    file.seekp(static_cast<std::streamoff>(begin + data + at)) << static_cast<char>('a' + at % 26);
  const std::string sizes = number(1, 2) + number(16, 2) + number(kElements, 8) + number(kElements, 8);
  const std::string directory = directory_entry("archive/data.pkl", static_cast<std::uint32_t>(pickle.size()), 0, "") +
                                directory_entry("archive/data/0", 0xFFFFFFFF, first.size(), sizes);
  const std::uint64_t at = data + kElements;
  const std::string end64 = "PK\6\6" + number(44, 8) + std::string(12, '\0') + number(2, 8) + number(2, 8) +
                            number(directory.size(), 8) + number(at, 8);
  const std::string locator = "PK\6\7" + number(0, 4) + number(at + directory.size(), 8) + number(1, 4);
  const std::string end = "PK\5\6" + std::string(4, '\0') + number(2, 2) + number(2, 2) + number(directory.size(), 4) +
                          number(0xFFFFFFFF, 4) + number(0, 2);
  file.seekp(static_cast<std::streamoff>(begin + at)) << directory << end64 << locator << end;
  return at + directory.size() + end64.size() + locator.size() + end.size();
}

}  // namespace

BOOST_AUTO_TEST_CASE(elements_beyond_4_gib_are_found) {
  const test::CopiedSample copy("s01_plain_tensors");  // for its folder
  constexpr std::uint64_t kBegin = 1000;
  std::fstream file(copy.folder() / "large.distcp", std::ios::binary | std::ios::out);
  const std::uint64_t length = write_item(file, kBegin);
  file.close();
  BOOST_REQUIRE(file);
  auto builder = MetadataBuilder::create();
  const std::uint32_t number_of_file = builder.add_file("large.distcp");
  TensorProperties properties;
  properties.dtype = ScalarType::Uint8;
  const std::array<std::int64_t, 1> size{static_cast<std::int64_t>(kElements)};
  const std::array<std::int64_t, 1> start{0};
  const auto tensor = builder.add_tensor("w", properties, size);
  BOOST_REQUIRE(tensor);
  BOOST_REQUIRE(
      builder.add_chunk(*tensor, start, size, {.file = number_of_file, .byte_offset = kBegin, .length = length}));
  auto bytes = std::move(builder).finish();
  BOOST_REQUIRE(bytes);
  const auto metadata = MetadataFile::from_buffer(std::move(*bytes));
  BOOST_REQUIRE(metadata);
  const auto reader = data::Reader::open(metadata->view(), copy.folder());
  BOOST_REQUIRE(reader);
  const TensorView large = test::tensor_of(metadata->view(), "w");
  const auto found = reader->locate(large, *large.chunk(0));
  BOOST_REQUIRE_MESSAGE(found, found.error().message);
  BOOST_TEST(found->range.length == kElements);
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{1} << 32, kElements - 1}) {
    const std::array<std::int64_t, 1> offset{static_cast<std::int64_t>(at)};
    const std::array<std::int64_t, 1> one{1};
    std::byte element{};
    const auto read = reader->read(large, offset, one, {&element, {}});
    BOOST_REQUIRE_MESSAGE(read, read.error().message);
    BOOST_TEST(std::to_integer<int>(element) == static_cast<int>('a' + at % 26));
  }
}

BOOST_AUTO_TEST_SUITE_END()
