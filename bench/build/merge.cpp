// Merging fragments against building in one piece, and against only reading the fragments' bytes.
//   bench_merge [CHUNKS [ROUNDS]]
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
  const auto chunks = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  Series::print_header("merge");
  for (const bool shared : {true, false}) {
    for (const std::uint32_t ranks : {1U, 64U, 1024U}) {
      const Fragments fragments = make_fragments(ranks, chunks / ranks, shared);
      Series touch, merge;
      double peak = 0;
      std::size_t bytes = 0;
      std::uint64_t sum = 0;
      for (int round = 0; round < rounds; ++round) {
        touch.measure([&] {
          for (const auto& file : fragments.files) {
            const auto words = file.bytes();
            for (std::size_t i = 0; i + 8 <= words.size(); i += 8) sum += static_cast<std::uint8_t>(words[i]);
          }
        });
        const PeakMemory memory;
        merge.measure([&] { bytes = expect(flatpoint::merge(fragments.fragments)).bytes.size(); });
        peak = std::max(peak, memory.mib());
      }
      std::printf("%u fragments, %s, %u chunks: %.0f MiB become %.0f MiB%s\n", ranks,
                  shared ? "every tensor in each" : "tensors of their own", chunks / ranks * ranks,
                  static_cast<double>(fragments.bytes) / (1 << 20), static_cast<double>(bytes) / (1 << 20),
                  sum == 1 ? " " : "");
      touch.print("rival: read the fragments");
      merge.print("merge");
      std::printf("  %.0f ns of processor time per chunk, memory %.0f MiB = %.2f x the result\n",
                  merge.cpu() * 1e9 / chunks, peak, peak / (static_cast<double>(bytes) / (1 << 20)));
    }
  }
}
