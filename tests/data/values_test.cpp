// What the items of real checkpoints hold is what PyTorch reads from them (make_values.py).
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "archive/crc32.hpp"
#include "archive/plain_value.hpp"
#include "data/support.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(data_values)

namespace {

nlohmann::json torchs_values() {
  std::ifstream file(FLATPOINT_TEST_VALUES);
  return nlohmann::json::parse(file);
}

void compare_tensor(const data::Reader& reader, const TensorView& tensor, const nlohmann::json& expected,
                    const data::ReadOptions& options) {
  const auto bytes = test::read_whole(reader, tensor, options);
  if (!expected.contains("crc32")) {
    BOOST_TEST(!bytes, "PyTorch cannot read this");
    return;
  }
  BOOST_REQUIRE_MESSAGE(bytes, bytes.error().message);
  BOOST_TEST(bytes->size() == expected["bytes"].get<std::size_t>());
  BOOST_TEST(archive::crc32(0, *bytes) == expected["crc32"].get<std::uint32_t>());
}

void compare_value(const data::Reader& reader, const EntryView& entry, const nlohmann::json& expected) {
  const auto text = reader.read_value(entry);
  if (!expected.contains("value")) {
    BOOST_TEST(!text, "no plain value");
    return;
  }
  BOOST_REQUIRE_MESSAGE(text, text.error().message);
  BOOST_TEST(nlohmann::json::parse(*text) == expected["value"]);
  const auto literals = reader.read_plain_pickle(entry);
  BOOST_REQUIRE_MESSAGE(literals, literals.error().message);
  const auto bytes = literals->bytes();
  const auto again = archive::unpickle({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  BOOST_REQUIRE_MESSAGE(again, again.error().message);
  BOOST_TEST(again->heap->globals.size() == 0U, "a pickle of literals names nothing");
  BOOST_TEST(archive::to_json(*again).value() == *text);
}

void compare_all(const std::shared_ptr<data::RangeReader>& ranges, const std::string& name,
                 const nlohmann::json& values, const data::ReadOptions& options) {
  const auto opened = test::open_sample(name);
  data::ReaderOptions reader_options;
  reader_options.max_open_files = 2;
  reader_options.ranges = ranges;
  const auto reader = data::Reader::open(opened, reader_options);
  BOOST_REQUIRE(reader);
  const MetadataView metadata = opened.file.view();
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    BOOST_REQUIRE(entry);
    const std::string fqn(entry->fqn());
    BOOST_TEST_CONTEXT(name << ": " << fqn) {
      BOOST_REQUIRE(values.contains(fqn));
      if (const auto tensor = entry->tensor()) {
        compare_tensor(*reader, *tensor, values[fqn], options);
      } else {
        compare_value(*reader, *entry, values[fqn]);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_sample_has_torchs_values) {
  const auto values = torchs_values();
  BOOST_TEST(values.size() >= 20U);
  for (const auto& [name, expected] : values.items()) {
    compare_all(nullptr, name, expected, {});
    compare_all(nullptr, name, expected, {.threads = 3, .block = 64, .verify = true, .stop = {}});
    compare_all(std::make_shared<test::MemoryFiles>(test::sample(name)), name, expected, {.block = 1, .stop = {}});
  }
}

BOOST_AUTO_TEST_CASE(checks_find_nothing_wrong_in_samples) {
  const auto all = torchs_values();
  for (const auto& [name, expected] : all.items()) {
    BOOST_TEST_CONTEXT(name) {
      const auto opened = test::open_sample(name);
      const auto reader = data::Reader::open(opened);
      const auto report = data::check(*reader, opened.file.view(), {.depth = data::CheckDepth::Bytes, .progress = {}});
      BOOST_REQUIRE(report);
      const auto files = data::check_files(opened.file.view(), opened.path.parent_path());
      BOOST_REQUIRE(files);
      BOOST_TEST(files->broken.empty());
      BOOST_TEST(files->lost == 0U);
      for (const Finding& broken : report->broken) BOOST_ERROR(broken.message);
      for (const Finding& finding : report->findings) {
        BOOST_TEST(finding.kind == "not_plain", finding.message);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_plain_has_its_reason) {
  const auto quantized = test::open_sample("s05_quantized");
  const auto reader = data::Reader::open(quantized);
  std::size_t refused = 0;
  for (std::uint32_t i = 0; i < quantized.file.view().size(); ++i) {
    const auto tensor = quantized.file.view().entry(i)->tensor();
    if (!tensor) continue;
    const auto chunk = reader->locate(*tensor, *tensor->chunk(0));
    if (chunk) continue;
    BOOST_TEST((chunk.error().code == ErrorCode::NotPlain));
    BOOST_TEST(chunk.error().message.find("quantized") != std::string::npos, chunk.error().message);
    ++refused;
  }
  BOOST_TEST(refused == 3U);

  const auto compressed = test::open_sample("s10_zstd");
  const auto compressed_reader = data::Reader::open(compressed);
  const TensorView tensor = *compressed.file.view().entry(0)->tensor();
  const auto chunk = compressed_reader->locate(tensor, *tensor.chunk(0));
  BOOST_REQUIRE(!chunk);
  BOOST_TEST((chunk.error().code == ErrorCode::NotPlain));
  BOOST_TEST(chunk.error().message.find("zstd") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(mapped_chunks_and_located_ranges_are_what_is_read) {
  const auto opened = test::open_sample("d02_dtensor_2d");
  const auto reader = data::Reader::open(opened);
  for (std::uint32_t i = 0; i < opened.file.view().size(); ++i) {
    const auto tensor = opened.file.view().entry(i)->tensor();
    for (std::uint32_t c = 0; tensor && c < tensor->chunk_count(); ++c) {
      const auto chunk = *tensor->chunk(c);
      const auto mapped = reader->map(*tensor, chunk);
      const auto where = reader->locate(*tensor, chunk);
      BOOST_REQUIRE(mapped.has_value());
      BOOST_REQUIRE(where.has_value());
      const auto value = chunk.to_value();
      std::vector<std::byte> read(where->range.length);
      BOOST_REQUIRE(reader->read(*tensor, value.offsets, value.sizes, {read.data(), {}}));
      BOOST_TEST((std::ranges::equal(mapped->bytes, read)));
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(mapped->bytes.data()) % mapped->alignment == 0U);
      const std::string name(*opened.file.view().file_name(where->range.file));
      const auto file = test::file_bytes(test::sample("d02_dtensor_2d") / name);
      BOOST_TEST(
          (std::ranges::equal(std::as_bytes(std::span(file)).subspan(where->range.offset, where->range.length), read)));
      if (where->crc32) BOOST_TEST(archive::crc32(0, read) == *where->crc32);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
