// Rules about the data of chunks: E7, V13, and F8 of their columns.
#include <algorithm>

#include "flatpoint/box_ranges.hpp"
#include "flatpoint/verify.hpp"
#include "format/encode.hpp"
#include "hostile/rules.hpp"

using namespace flatpoint;
using namespace flatpoint::test;
using S = LookupStatus;

BOOST_AUTO_TEST_SUITE(data_columns)

/// The rich model with all of these columns, every value in its place. "reordered" has chunks of 4 x 3 float32 in
/// ranges of 90 to 92 bytes.
struct Placed {
  Columns columns;
  std::vector<std::uint32_t> begins;
  std::vector<std::uint64_t> checksums;
  std::vector<std::uint64_t> lengths;
  std::vector<std::int64_t> times;
  std::vector<FileFormat> formats;
};

using Change = std::function<void(Placed&)>;

std::uint32_t row_of(const Placed& placed, std::string_view fqn) {
  for (const EntryRow& row : placed.columns.entries) {
    if (std::ranges::equal(placed.columns.fqns.subspan(row.fqn_begin, row.fqn_length), fqn)) return row.chunk_begin;
  }
  throw std::runtime_error("no such entry");
}

EditableFile file_with(const Change& change) {
  const EditableFile source(encoded(rich_model()));
  Placed placed{*source.operator->(), {}, {}, {}, {}, {}};
  Columns& c = placed.columns;
  for (std::size_t row = 0; row < c.chunk_files.size(); ++row) {
    const bool is_plain = c.chunk_transforms[row] == 0;
    placed.begins.push_back(is_plain ? 4 : kNoDataBegin);
  }
  const std::uint32_t grid = row_of(placed, "grid");
  placed.begins[grid] = placed.begins[grid + 1] = kNoDataBegin;
  placed.checksums.assign(c.chunk_files.size(), 0xFFFFFFFF);
  placed.lengths.assign(c.file_names.ends.size(), 1000);
  placed.times.assign(c.file_names.ends.size(), 12345);
  placed.formats.assign(c.file_names.ends.size(), FileFormat::TorchSave);
  c.checksum_kind = ChecksumKind::Crc32;
  change(placed);
  c.chunk_data_begins = placed.begins;
  c.chunk_checksums = placed.checksums;
  c.file_lengths = placed.lengths;
  c.file_times = placed.times;
  c.file_formats = placed.formats;
  return EditableFile(c);
}

void breaks_placed(const Rules& rules, const Change& change) {
  EditableFile file = file_with(change);
  BOOST_TEST(join(broken_rules(file.bytes())) == join(rules));
  for (const std::string& wrong : check_any_bytes(file.bytes())) BOOST_ERROR(wrong);
}

Lookup<ChunkData> data_of(const MetadataFile& file, std::string_view fqn) {
  return file.view().find(fqn)->tensor()->chunk_by_row(0)->data();
}

LookupStatus answer(const Change& change, std::string_view fqn = "reordered") {
  EditableFile bytes = file_with(change);
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  return data_of(*file, fqn).status();
}

BOOST_AUTO_TEST_CASE(a_sound_file_says_where_the_data_lie) {
  EditableFile bytes = file_with([](Placed&) {});
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  BOOST_TEST(join(broken_rules(bytes.bytes())).empty());
  const auto data = data_of(*file, "reordered");
  const auto storage = file->view().find("reordered")->tensor()->chunk_by_row(0)->storage();
  BOOST_TEST_REQUIRE(data.found());
  BOOST_TEST(data->file == storage->file());
  BOOST_TEST(data->byte_offset == storage->byte_offset() + 4);
  BOOST_TEST(data->length == 48U);
  BOOST_TEST(data->checksum.value() == 0xFFFFFFFFU);
  const FileFacts facts = file->view().file_facts(storage->file());
  BOOST_TEST(facts.length.value() == 1000U);
  BOOST_TEST(facts.modified_ns.value() == 12345);
  BOOST_TEST((facts.format == FileFormat::TorchSave));
  const FileFacts nothing = file->view().file_facts(1000);
  BOOST_TEST((!nothing.length && !nothing.modified_ns && nothing.format == FileFormat::Unknown));
  BOOST_TEST((data_of(*file, "plain").status() == S::Absent));  // transformed, and of a dtype without item size
}

BOOST_AUTO_TEST_CASE(what_is_unknown_is_absent) {
  BOOST_TEST((answer([](Placed& p) { p.begins.clear(); }) == S::Absent));
  BOOST_TEST((answer([](Placed& p) { p.begins[row_of(p, "reordered")] = kNoDataBegin; }) == S::Absent));
  EditableFile bytes = file_with([](Placed& p) {
    std::ranges::fill(p.checksums, kNoChecksum);
    std::ranges::fill(p.lengths, kNoFileLength);
    std::ranges::fill(p.times, kNoFileTime);
  });
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  BOOST_TEST(join(broken_rules(bytes.bytes())).empty());
  BOOST_TEST(!data_of(*file, "reordered")->checksum.has_value());
  BOOST_TEST(!file->view().file_facts(0).length.has_value());
  BOOST_TEST(!file->view().file_facts(0).modified_ns.has_value());
}

BOOST_AUTO_TEST_CASE(E7) {
  for (const std::uint32_t begin : {45U, 1000U, 0xFFFFFFFEU}) {
    const Change late = [=](Placed& p) { p.begins[row_of(p, "reordered")] = begin; };
    breaks_placed({"E7"}, late);
    BOOST_TEST((answer(late) == S::Corrupt));
  }
  breaks_placed({}, [](Placed& p) { p.begins[row_of(p, "reordered")] = 42; });  // 42 + 48 = 90
  EditableFile transformed = file_with([](Placed&) {});
  const std::uint16_t plain_list = transformed->chunk_transforms[entry(transformed, "plain").chunk_begin];
  transformed.at(transformed->chunk_transforms, entry(transformed, "reordered").chunk_begin) = plain_list;
  transformed.reseal();
  BOOST_TEST(join(broken_rules(transformed.bytes())) == "E7");
  const Change short_file = [](Placed& p) { std::ranges::fill(p.lengths, 50); };
  breaks_placed({"E7"}, short_file);
  BOOST_TEST((answer(short_file) == S::Corrupt));
  // Elsewhere in the file: sizes that are negative, that leave 64 bits, and a range at the end of 64 bits.
  for (const std::int64_t step : {std::int64_t{-4}, std::int64_t{1} << 62}) {
    EditableFile file = file_with([](Placed&) {});
    file.at(file->boxes, entry(file, "reordered").box_begin + 2) = step;
    if (step > 0) file.at(file->sizes, entry(file, "reordered").size_begin) = INT64_MAX;
    file.reseal();
    BOOST_TEST(broken_rules(file.bytes()).contains("E7"));
    for (const std::string& wrong : check_any_bytes(file.bytes())) BOOST_ERROR(wrong);
  }
  EditableFile file = file_with([](Placed& p) { p.lengths.clear(); });
  file.at(file->chunk_byte_offsets, entry(file, "reordered").chunk_begin) = UINT64_MAX - 60;
  file.reseal();
  BOOST_TEST(broken_rules(file.bytes()).contains("E7"));
}

BOOST_AUTO_TEST_CASE(ranges_of_boxes_at_the_end_of_64_bits) {
  constexpr std::int64_t kSide = std::int64_t{1} << 31U;
  constexpr std::uint64_t kAll = std::uint64_t{1} << 62U;
  const auto ranges = [&](ScalarType dtype, const Size& offsets, const Size& sizes) {
    Model model;
    model.entries = {whole("huge", {kSide, kSide})};
    model.entries[0].properties.dtype = dtype;
    store_all(model);
    model.storage_data->front().info.offset = kAll;
    model.storage_data->front().info.length = kAll + 4;
    const EditableFile source(encoded(model));
    Columns columns = *source.operator->();
    constexpr std::uint32_t kBegin = 4;
    columns.chunk_data_begins = {&kBegin, 1};
    EditableFile bytes(columns);
    const auto file = MetadataFile::from_bytes(bytes.bytes());
    BOOST_TEST_REQUIRE(file.has_value());
    return box_ranges(*file->view().find("huge")->tensor(), offsets, sizes, 1000);
  };
  using Ranges = std::vector<BoxRange>;
  const std::uint64_t last = kAll + 4 + kAll - 2;
  BOOST_TEST((ranges(ScalarType::Uint8, {kSide - 1, kSide - 2}, {1, 2}).value() == Ranges{{0, last, 2, 0}}));
  BOOST_TEST((ranges(ScalarType::Uint8, {0, 0}, {kSide, kSide}).value() == Ranges{{0, kAll + 4, kAll, 0}}));
  BOOST_TEST((ranges(ScalarType::Uint8, {0, 0}, {kSide, 1}).error().code == ErrorCode::TooLarge));  // too many
  // In items of eight bytes the box, or the chunk, leaves 64 bits.
  BOOST_TEST((ranges(ScalarType::Float64, {0, 0}, {kSide, kSide}).error().code == ErrorCode::TooLarge));
  BOOST_TEST((ranges(ScalarType::Float64, {0, 0}, {1, 1}).error().code == ErrorCode::Corrupt));
}

BOOST_AUTO_TEST_CASE(V13) {
  breaks_placed({"V13"}, [](Placed& p) { p.checksums.clear(); });
  breaks_placed({"V13"}, [](Placed& p) { p.columns.checksum_kind = ChecksumKind::Absent; });
  breaks_placed({"V13"}, [](Placed& p) { p.checksums[0] = std::uint64_t{1} << 32U; });
  breaks_placed({}, [](Placed& p) {
    p.checksums[0] = std::uint64_t{1} << 32U;
    p.columns.checksum_kind = ChecksumKind::Xxh3;
  });
}

BOOST_AUTO_TEST_CASE(F8_of_these_columns) {
  const auto refuses = [](const Change& change) {
    EditableFile file = file_with([](Placed&) {});
    Placed placed{*file.operator->(), {}, {}, {}, {}, {}};
    change(placed);
    const auto encoded = format::encode(placed.columns);
    const auto opened = MetadataFile::from_bytes(encoded->bytes());
    BOOST_TEST_REQUIRE(!opened.has_value());
    BOOST_TEST(opened.error().rule == "F8");
  };
  refuses([](Placed& p) { p.columns.chunk_data_begins = p.columns.chunk_data_begins.first(2); });
  refuses([](Placed& p) { p.columns.chunk_checksums = p.columns.chunk_checksums.first(1); });
  refuses([](Placed& p) { p.columns.file_lengths = p.columns.file_lengths.first(1); });
  refuses([](Placed& p) { p.columns.file_times = p.columns.file_times.first(1); });
  refuses([](Placed& p) { p.columns.file_formats = p.columns.file_formats.first(1); });
}

BOOST_AUTO_TEST_CASE(later_versions_may_know_more) {
  EditableFile bytes = file_with([](Placed& p) {
    p.columns.checksum_kind = static_cast<ChecksumKind>(9);
    p.formats[0] = static_cast<FileFormat>(77);
  });
  const auto report = verify_bytes(bytes.bytes());
  BOOST_TEST(report->broken_rules.empty());
  BOOST_TEST(std::ranges::count(report->findings, "unknown_value", &Finding::kind) == 2);
}

BOOST_AUTO_TEST_SUITE_END()
