// Merging fragments against only reading their bytes.
//   bench_merge CHUNKS FRAGMENTS shared|own ROUNDS     shared: every tensor is in each; own: each has tensors of its
//   own
#include "flatpoint/merge.hpp"

#include "flatpoint/metadata_file.hpp"
#include "measure.hpp"

namespace {

using namespace bench;

struct Fragments {
  std::vector<flatpoint::MetadataFile> files;
  std::vector<flatpoint::Fragment> fragments;
  std::size_t bytes = 0;

  void add(flatpoint::Buffer buffer, std::uint32_t rank) {
    bytes += buffer.size();
    files.push_back(expect(flatpoint::MetadataFile::from_buffer(std::move(buffer))));
    fragments.push_back({&files.back().view().columns(), rank, {}});
  }
};

/// One fragment per rank. `shared`: each rank has a chunk of every tensor; otherwise tensors of its own, as in a
/// pipeline.
Fragments make_fragments(std::uint32_t ranks, std::uint32_t per_rank, bool shared) {
  Fragments out;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    auto builder = flatpoint::MetadataBuilder::create_fragment(rank);
    const std::uint32_t file = builder.add_file("__" + std::to_string(rank) + "_0.distcp");
    for (std::uint32_t i = 0; i < per_rank; ++i) {
      const std::string stage = shared ? "" : "stage." + std::to_string(rank) + ".";
      const std::int64_t size[] = {shared ? std::int64_t{ranks} * 8 : 8, 64 + i % 7};
      const std::int64_t offsets[] = {shared ? std::int64_t{rank} * 8 : 0, 0};
      const std::int64_t sizes[] = {8, size[1]};
      const auto tensor = expect(builder.add_tensor(
          "model.layers." + stage + std::to_string(i / 4) + ".self_attn." + std::to_string(i % 4) + ".weight", {},
          size));
      const auto length = static_cast<std::uint64_t>(8 * size[1]) * 4;
      expect(builder.add_chunk(tensor, offsets, sizes, {.file = file, .byte_offset = i * length, .length = length}));
    }
    out.add(expect(std::move(builder).finish()), rank);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto chunks = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  const auto ranks = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  const std::string kind = argv[3];
  const int rounds = std::atoi(argv[4]);
  const Fragments fragments = make_fragments(ranks, std::max(1U, chunks / ranks), kind == "shared");
  Series read, merge;
  double peak = 0;
  std::size_t bytes = 0;
  std::uint64_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    read.measure([&] {
      for (const auto& file : fragments.files) {
        const auto words = file.bytes();
        for (std::size_t i = 0; i + 8 <= words.size(); i += 8) sum += static_cast<std::uint8_t>(words[i]);
      }
    });
    const PeakMemory memory;
    merge.measure([&] { bytes = expect(flatpoint::merge(fragments.fragments)).bytes.size(); });
    peak = std::max(peak, memory.bytes());
  }
  print(kind, "fragments", static_cast<double>(fragments.bytes));
  print(kind, "result", static_cast<double>(bytes));
  print(kind, "rival", read.median() + (sum == 1 ? 1 : 0));  // the sum keeps the compiler from leaving it out
  print(kind, "merge", merge.median());
  print(kind, "cpu", merge.cpu());
  print(kind, "memory", peak);
}
