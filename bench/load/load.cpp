// A million opens and a billion look-ups with flat memory; a file at the format's limit of 2 GiB built, verified,
// asked.
//   bench_load [OPENS [LOOKUPS [CHUNKS [FOLDER]]]]     exit 1 where memory grows or an answer is wrong
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "flatpoint/builder.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/overlap.hpp"
#include "flatpoint/verify.hpp"
#include "flatpoint/write_file.hpp"

namespace {

constexpr std::uint32_t kRanks = 254;  // chunks of a tensor

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::exit(1);
}

/// The value; a benchmark that fails has nothing to say.
template <class T>
T expect(flatpoint::Result<T> result) {
  require(result.has_value(), result ? "" : result.error().message.c_str());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// "VmRSS": now; "VmHWM": at the most so far.
double mib_of_memory(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::strtod(line.c_str() + key.size() + 1, nullptr) / 1024;
  }
  return 0;
}

template <class Work>
double seconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Work>
void timed(const char* what, Work&& work) {
  const double seconds = seconds_of(work);
  std::printf("| %s | %.3f s |\n", what, seconds);
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
    expect(builder.add_chunks(tensor, {kRanks, offsets, sizes, {files, byte_offsets, lengths}, files}));
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
  const double before = mib_of_memory("VmRSS");
  const double seconds = seconds_of([&] {
    for (std::uint64_t i = 0; i < opens; ++i) round();
  });
  const double after = mib_of_memory("VmRSS");
  std::printf("| %llu opens with %llu look-ups | %.1f s |\n| memory before, after | %.1f, %.1f MiB |\n",
              static_cast<unsigned long long>(opens), static_cast<unsigned long long>(asked), seconds, before, after);
  require(after <= before + 1, "memory does not grow");
}

/// The largest file, from the first call of the builder to the last question.
void fill(const std::string& path, std::uint32_t tensors) {
  const auto chunks = static_cast<double>(tensors) * kRanks;
  {
    flatpoint::Buffer bytes;
    timed("build", [&] { bytes = build(tensors); });
    timed("write and sync", [&] { expect(flatpoint::write_file(path, bytes.bytes())); });
    const auto size = static_cast<double>(bytes.size());
    std::printf("| %.0f chunks in %u tensors | %.3f GiB, %.1f bytes per chunk |\n| memory at the most | %.1f GiB |\n",
                chunks, tensors, size / (1 << 30), size / chunks, mib_of_memory("VmHWM") / 1024);
  }
  std::optional<flatpoint::MetadataFile> file;
  timed("open", [&] { file = expect(flatpoint::MetadataFile::open(path)); });
  timed("verify everything", [&] { require(flatpoint::verify(*file).sound(), "the file is sound"); });
  timed("find each tensor, a chunk by overlap, its storage", [&] {
    for (std::uint32_t t = 0; t < tensors; ++t) {
      const auto tensor = file->view().find(name_of(t))->tensor();
      require(tensor.found(), "every tensor is found");
      const std::int64_t at = tensor->size()[0] / 2;
      const std::int64_t one = 1;
      const flatpoint::Overlaps hit(*tensor, {&at, 1}, {&one, 1});
      require(!hit.done() && tensor->chunk_by_row(hit.chunk())->storage().found(), "every middle has a chunk");
    }
  });
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
  const auto small = build(1024);
  expect(flatpoint::write_file(path, small.bytes()));
  std::puts("| load | |\n| --- | --- |");
  wear(path, opens, lookups);
  fill(path, tensors);
  std::filesystem::remove(path);
}
