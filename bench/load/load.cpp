// A million opens and a billion look-ups with flat memory; a file at the format's limit of 2 GiB built, verified, asked.
//   bench_load [OPENS [LOOKUPS [CHUNKS [FOLDER]]]]     exit 1 where memory grows or an answer is wrong
#include <cstring>
#include <filesystem>
#include <numeric>

#include "../build/measure.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/overlap.hpp"
#include "flatpoint/verify.hpp"
#include "flatpoint/write_file.hpp"

namespace {

using namespace bench;

constexpr std::uint32_t kRanks = 254;  // chunks of a tensor

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::exit(1);
}

std::string name_of(std::uint32_t tensor) { return "model.layers." + std::to_string(tensor) + ".mlp.up_proj.weight"; }

/// Tensors of one dimension, each cut unevenly at places of its own into chunks of lengths of their own: 28 bytes per
/// chunk in the file, and nothing that two tensors could share.
flatpoint::Buffer build(std::uint32_t tensors) {
  auto builder = flatpoint::MetadataBuilder::create();
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) builder.add_file("__" + std::to_string(rank) + "_0.distcp");
  flatpoint::TensorProperties properties;
  properties.dtype = flatpoint::ScalarType::Bfloat16;
  std::vector<std::uint32_t> files(kRanks);
  std::iota(files.begin(), files.end(), 0U);
  std::vector<std::int64_t> offsets(kRanks);
  std::vector<std::int64_t> sizes(kRanks);
  std::vector<std::uint64_t> byte_offsets(kRanks);
  std::vector<std::uint64_t> lengths(kRanks);
  std::vector<std::uint64_t> ends(kRanks, 0);
  for (std::uint32_t t = 0; t < tensors; ++t) {
    std::int64_t begin = 0;
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) {
      offsets[rank] = begin;
      sizes[rank] = 1000 + t + (rank * 7 + t * 13) % 31;
      byte_offsets[rank] = ends[rank];
      lengths[rank] = 2 * static_cast<std::uint64_t>(sizes[rank]);
      begin += sizes[rank];
      ends[rank] += lengths[rank];
    }
    const auto tensor = expect(builder.add_tensor(name_of(t), properties, {{begin}}));
    expect(builder.add_chunks(tensor, {kRanks, offsets, sizes, files, byte_offsets, lengths, {}, files}));
  }
  return expect(std::move(builder).finish());
}

/// Opens the file again and again, with look-ups in between.
void wear(const std::string& path, std::uint64_t opens, std::uint64_t lookups) {
  std::vector<std::string> names;
  for (std::uint32_t t = 0; t < 1024; ++t) names.push_back(name_of(t));
  std::uint64_t asked = 0;
  const auto round = [&] {
    const auto file = expect(flatpoint::MetadataFile::open(path));
    const auto view = file.view();
    for (std::uint64_t i = 0; i < lookups / opens; ++i, ++asked) {
      const auto entry = view.find(names[asked % names.size()]);
      require(entry.found() && entry->row().chunk_count == kRanks, "a name is found");
    }
  };
  round();
  const std::uint64_t before = status_bytes("VmRSS");
  const double start = seconds();
  for (std::uint64_t i = 0; i < opens; ++i) round();
  const double took = seconds() - start;
  const std::uint64_t after = status_bytes("VmRSS");
  std::printf("%llu opens with %llu look-ups: %.1f s, memory %.1f MiB before, %.1f MiB after\n",
              static_cast<unsigned long long>(opens), static_cast<unsigned long long>(asked), took,
              static_cast<double>(before) / (1 << 20), static_cast<double>(after) / (1 << 20));
  require(after <= before + (1 << 20), "memory does not grow");
}

/// The largest file, from the first call of the builder to the last question.
void fill(const std::string& path, std::uint32_t tensors) {
  Series made, written, opened, checked, asked;
  const PeakMemory memory;
  {
    flatpoint::Buffer bytes;
    made.measure([&] { bytes = build(tensors); });
    written.measure([&] { expect(flatpoint::write_file(path, bytes.bytes())); });
    std::printf("%llu chunks in %u tensors: %.3f GiB, %.1f bytes per chunk, %.1f GiB of memory at the most\n",
                static_cast<unsigned long long>(tensors) * kRanks, tensors, static_cast<double>(bytes.size()) / (1 << 30),
                static_cast<double>(bytes.size()) / tensors / kRanks, memory.mib() / 1024);
  }
  std::optional<flatpoint::MetadataFile> file;
  opened.measure([&] { file = expect(flatpoint::MetadataFile::open(path)); });
  checked.measure([&] { require(flatpoint::verify(*file).sound(), "the file is sound"); });
  asked.measure([&] {
    for (std::uint32_t t = 0; t < tensors; ++t) {
      const auto tensor = file->view().find(name_of(t))->tensor();
      require(tensor.found(), "every tensor is found");
      const std::int64_t at = tensor->size()[0] / 2;
      const std::int64_t one = 1;
      const flatpoint::Overlaps hit(*tensor, {&at, 1}, {&one, 1});
      require(!hit.done() && tensor->chunk_by_row(hit.chunk())->storage().found(), "every middle has a chunk");
    }
  });
  Series::print_header("the largest file");
  made.print("build");
  written.print("write and sync");
  opened.print("open");
  checked.print("verify everything");
  asked.print("find each tensor, overlap, storage");
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  const std::uint64_t opens = argument(1, 1'000'000);
  const std::uint64_t lookups = argument(2, 1'000'000'000);
  const auto tensors = static_cast<std::uint32_t>(argument(3, 70'000'000) / kRanks);
  const std::string path = std::string(argc > 4 ? argv[4] : ".") + "/bench_load.tmp";
  expect(flatpoint::write_file(path, build(1024).bytes()));
  wear(path, opens, lookups);
  fill(path, tensors);
  std::filesystem::remove(path);
}
