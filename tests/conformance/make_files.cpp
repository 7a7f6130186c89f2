// Makes the metadata files of the suite: conformance_make_files FOLDER [big]
//
// Samples go through the importer, hand-made and random ones through the tests' own picture of the facts. `big` makes
// the files that are too large to be kept.

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <random>
#include <stdexcept>

#include "base/format.hpp"
#include "base/hash.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/write_file.hpp"
#include "format/encode.hpp"
#include "support/editable_file.hpp"
#include "support/random_model.hpp"
#include "support/taken.hpp"

namespace flatpoint::test {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

/// What columns borrow.
struct Data {
  std::vector<std::uint32_t> begins;
  std::vector<std::uint64_t> checksums;
  std::vector<std::uint64_t> lengths;
  std::vector<std::int64_t> times;
  std::vector<FileFormat> formats;
};

void write(const fs::path& path, const Buffer& bytes) {
  if (const auto written = write_file(path, bytes.bytes()); !written) throw std::runtime_error(written.error().message);
}

void import_sample(const fs::path& folder, const std::string& name, const std::string& pickle = ".metadata") {
  dcp::ImportOptions options;
  options.modified_ns = 0;  // a checkout's times are nobody's fact
  if (pickle != ".metadata") options.fragment_rank = pickle[2] - '0';
  const fs::path from = fs::path(FLATPOINT_TEST_SAMPLES) / name / pickle;
  const auto mapped = dcp::import_file(from, options);
  if (!mapped) throw std::runtime_error(mapped.error().message);
  std::string to = name;
  std::replace(to.begin(), to.end(), '/', '_');
  write(folder / (to + ".flatpoint"), mapped->bytes);
}

/// Every kind of tensor, name, property and storage information that the format knows, in one file.
Model features() {
  Model m;
  m.version = "1.0.0";
  m.storage_meta =
      StorageMeta{"/ckpt/\"step\" 7\\é", PathType::PosixPath, "save", std::nullopt, std::vector{"a"s, ""s}};
  m.entries = {
      whole("scalar", {}),
      whole("whole", {3, 4}),
      whole("nothing", {0, 5}),
      tensor("no_chunk", {2, 3}, {}),
      tensor("even", {10, 7}, even_grid({10, 7}, {4, 3})),
      tensor("even.cut_short", {5}, even_grid({5}, {4})),
      tensor("grid", {10, 6}, grid({{0, 3, 3, 10}, {0, 1, 6}})),
      tensor("grid.deep", {2, 2, 2, 4}, grid({{0, 1, 2}, {0, 2}, {0, 1, 2}, {0, 1, 4}})),
      tensor("explicit", {8, 8}, {{{4, 0}, {4, 8}}, {{0, 0}, {4, 4}}, {{0, 4}, {4, 4}}}),
      tensor("explicit.odd", {4}, {{{-1}, {3}}, {{2}, {0}}, {{2}, {9}}, {{INT64_MAX}, {INT64_MAX}}}),
      tensor("twice", {4}, {{{0}, {2}}, {{2}, {2}}, {{0}, {2}}}),
      tensor("scalar.twice", {}, {{{}, {}}, {{}, {}}}),
      bytes("bytes"),
      bytes("bytes.nowhere"),
      whole("", {1}),
      whole("\0"s, {1}),
      whole("a\0b"s, {1}),
      whole("a", {1}),
      whole("quote\"back\\slash\n\x7F", {1}),
      whole("ü.語.😀", {1}),
      whole("\xED\xA0\x80.\xFF.\xC0\xAF.\xF4\x90\x80\x80.\xE2\x82", {1}),
      whole(std::string(300, 'n'), {1}),
  };
  ModelEntry& opaque = m.entries.emplace_back();
  opaque.fqn = "opaque";
  opaque.type = StorageType::Opaque;
  m.opaque.push_back({OpaqueKind::StateDictValue, 22, "opaque", "\x80\x04N."s});

  ModelEntry permuted = tensor("permuted", {8, 2}, even_grid({8, 2}, {4, 1}));
  std::rotate(permuted.chunks.begin(), permuted.chunks.begin() + 3, permuted.chunks.end());
  permuted.properties.strides = contiguous_strides(permuted.chunks[0].sizes);
  m.entries.push_back(permuted);
  ModelEntry strides = whole("strides.explicit", {3, 4});
  strides.properties.strides = Size{1, 3};
  m.entries.push_back(strides);
  ModelEntry no_chunk = tensor("strides.no_chunk", {2, 0, 3}, {});
  no_chunk.properties.strides = contiguous_strides(no_chunk.size);
  m.entries.push_back(no_chunk);
  ModelEntry wild = whole("strides.beyond_int64", {INT64_MAX, INT64_MAX, 2});
  wild.properties.strides = contiguous_strides(wild.size);
  m.entries.push_back(wild);
  ModelEntry many(tensor("rank_255", Size(255, 2), even_grid(Size(255, 2), [] {
                           Size parts(255, 1);
                           parts[3] = parts[200] = 2;
                           return parts;
                         }())));
  m.entries.push_back(many);

  for (int dtype = 0; dtype <= static_cast<int>(ScalarType::Bcomplex32); ++dtype) {
    ModelEntry entry = whole(fmt::format("dtype.{}", dtype), {2});
    entry.properties.dtype = static_cast<ScalarType>(dtype);
    entry.properties.layout = static_cast<Layout>(dtype % 8);
    entry.properties.memory_format = static_cast<MemoryFormat>(dtype % 3);
    entry.properties.requires_grad = dtype % 2 != 0;
    entry.properties.pin_memory = dtype % 5 == 0;
    m.entries.push_back(entry);
  }
  ModelEntry other = whole("dtype.other", {2});
  other.properties.dtype = ScalarType::Other;
  other.properties.dtype_name = "float3_e1m1";
  other.properties.layout = Layout::Other;
  other.properties.layout_name = "sparse_new";
  m.entries.push_back(other);

  store_all(m, 7);
  auto& items = *m.storage_data;
  std::erase_if(items, [](const ModelItem& item) { return item.fqn == "bytes.nowhere" || item.fqn == "explicit.odd"; });
  items[1].info.transform_descriptors = std::vector{"stream.zstd/1"s, "x@y"s};
  items[2].info.transform_descriptors.emplace();
  items[3].info.offset = 5'000'000'000;
  items[4].info.length = ~0ULL;
  items[5].info.relative_path = "sub/ü \xFF";
  std::uint64_t place = 0;
  for (const auto& [fqn, offset] : std::vector<std::pair<std::string, std::optional<Size>>>{{"loose", std::nullopt},
                                                                                            {"loose", Size{}},
                                                                                            {"loose", Size{3}},
                                                                                            {"loose", Size{3, -1}},
                                                                                            {"whole", Size{1, 1}},
                                                                                            {"whole", std::nullopt}}) {
    ModelItem item;
    item.fqn = fqn;
    item.offset = offset;
    item.info = {"loose.distcp", place += 10, 7, std::nullopt};
    items.push_back(item);
  }
  return m;
}

/// Enough names to fill the hash column: probes meet.
Model names(int count) {
  Model m;
  for (int i = 0; i < count; ++i) m.entries.push_back(whole(fmt::format("model.layers.{}.w{}", i % 9, i), {i, 2}));
  return m;
}

/// One of each, with every column present: what the hostile files are made of.
Model small() {
  Model m;
  m.version = "1.0.0";
  m.storage_meta = StorageMeta{"c", PathType::Str, "s", "l", std::vector{"m"s, "n"s}};
  m.entries = {whole("whole", {3}),
               bytes("bytes"),
               tensor("explicit", {8}, {{{0}, {2}}, {{5}, {2}}}),
               tensor("grid", {10}, grid({{0, 3, 10}})),
               tensor("even", {8, 2}, even_grid({8, 2}, {4, 1})),
               whole("other", {3, 4})};
  std::swap(m.entries[4].chunks[1], m.entries[4].chunks[2]);
  m.entries[5].properties.strides = Size{1, 3};
  m.entries[5].properties.dtype = ScalarType::Other;
  m.entries[5].properties.dtype_name = "float3";
  ModelEntry& opaque = m.entries.emplace_back();
  opaque.fqn = "opaque";
  opaque.type = StorageType::Opaque;
  m.opaque.push_back({OpaqueKind::StateDictValue, 6, "opaque", "\x80\x04N."s});
  m.planner_data = {5, 0, 1};
  for (const std::uint32_t entry : *m.planner_data) m.entries[entry].path = {{1, 0, 0}};
  m.source = SourceRecord{1000, 1, 2, true, "tag"};
  store_all(m, 3);
  for (ModelItem& item : *m.storage_data) item.info.offset *= 20, item.info.length += 1000;
  std::swap(m.storage_data->front(), m.storage_data->back());
  m.storage_data->front().index = 7;
  m.storage_data->back().info.transform_descriptors = std::vector{"stream.zstd/1"s};
  m.storage_data->push_back({"loose", Size{2}, std::nullopt, {"loose.distcp", 1, 2, std::nullopt}});
  return m;
}

/// Tensors of every layout in items that state where their data begin: some contiguous in the box, some woven.
Model placed() {
  Model m;
  m.entries = {whole("whole", {3, 4}),
               whole("scalar", {}),
               whole("nothing", {0, 5}),
               tensor("rows", {10, 6}, even_grid({10, 6}, {4, 6})),
               tensor("columns", {6, 10}, even_grid({6, 10}, {6, 3})),
               tensor("grid", {10, 6}, grid({{0, 3, 10}, {0, 1, 6}})),
               tensor("cube", {3, 4, 5}, even_grid({3, 4, 5}, {2, 2, 5})),
               tensor("explicit", {8, 8}, {{{0, 0}, {8, 4}}, {{0, 4}, {4, 4}}, {{4, 4}, {4, 4}}}),
               tensor("hole", {8}, {{{0}, {2}}, {{5}, {3}}}),
               tensor("twice", {4}, {{{0}, {3}}, {{1}, {3}}}),
               tensor("empty_chunk", {4}, {{{0}, {2}}, {{2}, {0}}, {{3}, {1}}}),
               whole("unknown", {5}),
               whole("transformed", {5}),
               whole("named_dtype", {5}),
               bytes("bytes")};
  m.entries[3].properties.dtype = ScalarType::Bfloat16;
  m.entries[4].properties.dtype = ScalarType::Complex128;
  m.entries[5].properties.dtype = ScalarType::Float8_e4m3fn;
  m.entries[13].properties.dtype = ScalarType::Other;
  m.entries[13].properties.dtype_name = "float3";
  std::swap(m.entries[6].chunks[0], m.entries[6].chunks[3]);
  store_all(m, 3);
  std::uint64_t place = 0;
  for (ModelItem& item : *m.storage_data) {
    item.info.offset = place;
    item.info.length = 2000;
    place += item.info.length + 100;
    if (item.fqn == "transformed") item.info.transform_descriptors = std::vector{"stream.zstd/1"s};
  }
  return m;
}

/// Row by row something else: begins of stock items, of raw ranges, and unknown ones.
void add_data(Columns& c, Data& data, ChecksumKind kind) {
  for (std::size_t row = 0; row < c.chunk_files.size(); ++row) {
    const bool is_plain = c.chunk_transforms.empty() || c.chunk_transforms[row] == 0;
    data.begins.push_back(!is_plain ? kNoDataBegin : row % 5 == 4 ? 0 : row % 3 == 0 ? 448 : 704);
    data.checksums.push_back(row % 4 == 3 ? kNoChecksum : row * 0x1234567 % 0xFFFFFFFF);
  }
  for (std::size_t file = 0; file < c.file_names.ends.size(); ++file) {
    data.lengths.push_back(file % 3 == 2 ? kNoFileLength : 1'000'000'000'000 + file);
    data.times.push_back(file % 2 == 1 ? kNoFileTime : 1'764'500'000'000'000'000 + static_cast<std::int64_t>(file));
    data.formats.push_back(static_cast<FileFormat>(file % 5));
  }
  c.chunk_data_begins = data.begins;
  c.checksum_kind = kind;
  c.chunk_checksums = data.checksums;
  c.file_lengths = data.lengths;
  c.file_times = data.times;
  c.file_formats = data.formats;
}

/// The file of a model with columns that say where the data lie.
Buffer with_data(const Model& model, ChecksumKind kind, const std::function<void(Columns&, Data&)>& change = {}) {
  EditableFile file(encoded(model));
  Columns columns = *file.operator->();
  Data data;
  add_data(columns, data, kind);
  if (change) change(columns, data);
  return taken(format::encode(columns));
}

std::uint32_t row_of(const Columns& c, std::string_view fqn) {
  for (const EntryRow& row : c.entries) {
    const auto name = c.fqns.subspan(row.fqn_begin, row.fqn_length);
    if (std::ranges::equal(name, fqn)) return row.chunk_begin;
  }
  throw std::runtime_error("no such entry");
}

/// Byte i of a data file of the case "data_files"; readers write such files, of 100 bytes, to read them.
std::byte data_byte(std::string_view file_name, std::uint64_t i) {
  return static_cast<std::byte>((7 * i + static_cast<unsigned char>(file_name.front())) & 0xFFU);
}

/// Data files as a reader meets them: as they were (a), written again since (b), of another length (c), elsewhere (d).
Buffer data_files() {
  Model m;
  m.entries = {tensor("columns", {4, 6}, even_grid({4, 6}, {1, 2})), whole("rows", {2, 3}), whole("stale", {2}),
               whole("longer", {2}), whole("outside", {2})};
  for (ModelEntry& entry : m.entries) {
    entry.properties.dtype = entry.fqn == "rows" ? ScalarType::Float32 : ScalarType::Uint8;
  }
  store_all(m, 3);
  const std::array<StorageInfo, 6> infos{
      StorageInfo{"a.bin", 0, 40, std::nullopt}, {"a.bin", 40, 40, std::nullopt}, {"b.bin", 0, 40, std::nullopt},
      {"b.bin", 40, 20, std::nullopt},           {"c.bin", 0, 20, std::nullopt},  {"../d.bin", 0, 20, std::nullopt}};
  for (std::size_t i = 0; i < infos.size(); ++i) m.storage_data->at(i).info = infos[i];
  EditableFile file(encoded(m));
  Columns c = *file.operator->();
  constexpr std::uint32_t kBegin = 10;
  Data data;
  data.lengths = {100, 100, 99, kNoFileLength};
  data.times = {kNoFileTime, 1, kNoFileTime, kNoFileTime};
  data.formats.assign(4, FileFormat::TorchSave);
  data.checksums.assign(c.chunk_files.size(), kNoChecksum);
  const auto set_checksum = [&](std::uint32_t row, std::string_view name, std::uint64_t begin, std::size_t length) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < length; ++i) bytes.push_back(data_byte(name, begin + kBegin + i));
    data.checksums[row] = base::digest(bytes);
  };
  set_checksum(row_of(c, "columns"), "a.bin", 0, 12);
  data.checksums[row_of(c, "columns") + 1] = 12345;  // not theirs
  set_checksum(row_of(c, "rows"), "b.bin", 0, 24);
  c.chunk_data_begins = {&kBegin, 1};
  c.checksum_kind = ChecksumKind::Xxh3;
  c.chunk_checksums = data.checksums;
  c.file_lengths = data.lengths;
  c.file_times = data.times;
  c.file_formats = data.formats;
  return taken(format::encode(c));
}

Model sharded(int tensors, std::int64_t chunks) {
  Model m;
  for (int i = 0; i < tensors; ++i) {
    const Size size{64 * chunks - i % 3, 128};
    m.entries.push_back(tensor(fmt::format("model.layers.{}.weight", i), size, even_grid(size, {chunks, 1})));
    if (i % 4 == 3) std::swap(m.entries.back().chunks.front(), m.entries.back().chunks.back());
  }
  store_all(m, 1000);
  return m;
}

void make_kept(const fs::path& folder) {
  for (const char* sample : {"d01_dtensor_1d", "d02_dtensor_2d", "d11_zstd_dedup_lowest", "legacy/t21_py3.11.2_p4",
                             "real_t2.1.2_single", "real_t2.6.0_sharded", "s04_dtypes", "s05_quantized",
                             "s07_optimizer_bytes", "s10_zstd", "s17_empty", "s23_megatron_all_local_plans"}) {
    import_sample(folder, sample);
  }
  import_sample(folder, "d09_no_collectives", "__1.metadata");
  write(folder / "features.flatpoint", encoded(features()));
  write(folder / "small.flatpoint", with_data(small(), ChecksumKind::Xxh3));
  write(folder / "placed.flatpoint", with_data(placed(), ChecksumKind::Crc32, [](Columns& c, Data& data) {
          data.begins[row_of(c, "unknown")] = kNoDataBegin;
        }));
  write(folder / "data_files.flatpoint", data_files());
  write(folder / "placed_alike.flatpoint", with_data(placed(), ChecksumKind::Xxh3, [](Columns& c, Data& data) {
          data.begins.assign(1, 704);  // one for all rows, and then nothing may be transformed
          c.chunk_data_begins = data.begins;
          c.chunk_transforms = {};
          c.checksum_kind = ChecksumKind::Absent;
          c.chunk_checksums = {};
        }));
  write(folder / "names.flatpoint", encoded(names(120)));
  for (const unsigned seed : {1U, 2U, 5U, 8U, 13U, 21U, 34U, 55U}) {
    std::mt19937_64 random(seed);
    write(folder / fmt::format("random_{}.flatpoint", seed), encoded(random_model(random)));
  }
}

void make_big(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(FLATPOINT_TEST_SAMPLES)) {
    if (fs::exists(entry.path() / ".metadata")) import_sample(folder, entry.path().filename());
  }
  write(folder / "names_20000.flatpoint", encoded(names(20'000)));
  write(folder / "sharded_16000.flatpoint", encoded(sharded(250, 64)));
  for (unsigned seed = 100; seed < 250; ++seed) {
    std::mt19937_64 random(seed);
    write(folder / fmt::format("random_{}.flatpoint", seed), encoded(random_model(random)));
  }
}

}  // namespace
}  // namespace flatpoint::test

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw std::runtime_error("usage: conformance_make_files FOLDER [big]");
    argc == 2 ? flatpoint::test::make_kept(argv[1]) : flatpoint::test::make_big(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << "conformance_make_files: " << error.what() << '\n';
    return 1;
  }
}
