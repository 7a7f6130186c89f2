// bench/write/measure.hpp - times and memory of one step, and checkpoints to measure with.
//
// Each program prints lines "case, quantity, value", parted by tabs, for bench/write/report.py: times in nanoseconds,
// medians of the rounds.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "flatpoint/builder.hpp"

namespace bench {

/// The value; a benchmark that fails has nothing to say.
template <class T>
T expect(flatpoint::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline double seconds(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// A step that is measured several times: how long it took, and how much of that the processor worked for it. On a busy
/// machine the two part.
class Series {
 public:
  template <class Work>
  void measure(Work&& work) {
    const double start = seconds();
    const double cpu_start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    work();
    cpu_.push_back(seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start);
    times_.push_back(seconds() - start);
  }
  /// Adds the last round of another series to this one's last round, or to a new one.
  void add_last(const Series& other, bool new_round) {
    if (new_round) times_.push_back(0), cpu_.push_back(0);
    times_.back() += other.times_.back();
    cpu_.back() += other.cpu_.back();
  }
  /// Nanoseconds.
  [[nodiscard]] double median() const { return middle(times_) * 1e9; }
  [[nodiscard]] double cpu() const { return middle(cpu_) * 1e9; }

 private:
  static double middle(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
  std::vector<double> times_;
  std::vector<double> cpu_;
};

inline void print(const std::string& of, const char* quantity, double value) {
  std::printf("%s\t%s\t%.0f\n", of.c_str(), quantity, value);
}

inline std::uint64_t status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

/// Memory that a step takes at its peak beyond what was there before. Anonymous pages count, mapped files do not.
class PeakMemory {
 public:
  PeakMemory() : before_(status_bytes("VmRSS")) { std::ofstream("/proc/self/clear_refs") << "5"; }
  [[nodiscard]] double bytes() const {
    return static_cast<double>(status_bytes("VmHWM") - std::min(before_, status_bytes("VmHWM")));
  }

 private:
  std::uint64_t before_;
};

/// Has the system bring in that much memory, and gives it back. A virtual machine whose host takes free memory away
/// pays for its return at the first touch (2.4 s per GB were seen, against 0.1 s), which is nobody's cost but the
/// host's. Called right before each of the steps that are compared.
inline void warm_memory(std::size_t bytes) {
  void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) std::perror("mmap"), std::exit(1);
  ::madvise(pages, bytes, MADV_HUGEPAGE);
  for (std::size_t i = 0; i < bytes; i += 4096) static_cast<volatile char*>(pages)[i] = 1;
  ::munmap(pages, bytes);
}

/// Writes blocks one after the other into a new file and syncs it.
inline void write_and_sync(const std::string& path, std::span<const std::span<const std::byte>> blocks) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  for (std::span<const std::byte> block : blocks) {
    while (!block.empty()) {
      const auto written = ::write(file, block.data(), std::min<std::size_t>(block.size(), 1U << 30));
      if (written <= 0) std::perror(path.c_str()), std::exit(1);
      block = block.subspan(static_cast<std::size_t>(written));
    }
  }
  if (::fsync(file) != 0 || ::close(file) != 0) std::perror(path.c_str()), std::exit(1);
}

enum class Sharding {
  Even,      // Shard(0) of even pieces: FSDP
  Permuted,  // a grid of two dimensions whose chunks come in the order of a mesh: FSDP over TP
  Ragged,    // bands of rows, each cut at another column: no grid
};

/// The columns of a checkpoint: `tensors` of two dimensions, `ranks` chunks each, one file per rank; 52 bytes per
/// chunk.
struct Checkpoint {
  std::vector<std::string> names;
  std::vector<std::string_view> fqns;
  std::vector<std::int64_t> tensor_sizes;
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> sizes;
  std::vector<std::uint32_t> files;
  std::vector<std::uint64_t> byte_offsets;
  std::vector<std::uint64_t> lengths;
  std::uint32_t ranks = 0;

  Checkpoint(std::uint32_t tensors, std::uint32_t rank_count, Sharding sharding) : ranks(rank_count) {
    const std::size_t chunks = std::size_t{tensors} * ranks;
    offsets.reserve(2 * chunks), sizes.reserve(2 * chunks), files.reserve(chunks), byte_offsets.reserve(chunks),
        lengths.reserve(chunks);
    std::vector<std::uint64_t> end(ranks, 0);
    for (std::uint32_t t = 0; t < tensors; ++t) {
      static constexpr const char* kNames[] = {"self_attn.q_proj.weight", "self_attn.k_proj.weight",
                                               "mlp.gate_proj.weight", "mlp.down_proj.weight"};
      names.push_back("model.layers." + std::to_string(t / 4) + "." + kNames[t % 4]);
      add_chunks(t, sharding, end);
    }
    fqns.assign(names.begin(), names.end());
  }

  [[nodiscard]] std::size_t chunks() const { return files.size(); }

  /// The columns of chunks as raw bytes, for the rival that only writes them.
  [[nodiscard]] std::vector<std::span<const std::byte>> raw() const {
    return {std::as_bytes(std::span(offsets)), std::as_bytes(std::span(sizes)), std::as_bytes(std::span(files)),
            std::as_bytes(std::span(byte_offsets)), std::as_bytes(std::span(lengths))};
  }

  /// Adds the files, then everything in one call.
  void add_to(flatpoint::MetadataBuilder& builder) const {
    for (std::uint32_t rank = 0; rank < ranks; ++rank) builder.add_file("__" + std::to_string(rank) + "_0.distcp");
    flatpoint::TensorProperties properties;
    properties.dtype = flatpoint::ScalarType::Bfloat16;
    const std::uint8_t dimensions = 2;
    expect(builder.add_tensors({fqns,
                                {&properties, 1},
                                {&dimensions, 1},
                                tensor_sizes,
                                {&ranks, 1},
                                {chunks(), offsets, sizes, {files, byte_offsets, lengths}, files}}));
  }

 private:
  void add_chunks(std::uint32_t t, Sharding sharding, std::vector<std::uint64_t>& end) {
    constexpr std::int64_t kRows = 8;
    const std::int64_t columns = 64 + t % 7;
    std::int64_t begin = 0;
    const std::uint32_t inner = sharding == Sharding::Permuted && ranks % 4 == 0 ? 4 : 1;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const std::int64_t rows = sharding == Sharding::Ragged ? kRows + t : kRows;  // no two tensors alike
      if (sharding == Sharding::Ragged) {
        const std::int64_t cut = 1 + (rank / 2 * 13 + t) % (columns - 1);
        const bool left = rank % 2 == 0;
        offsets.insert(offsets.end(), {begin, left ? 0 : cut});
        sizes.insert(sizes.end(), {rows, left ? cut : columns - cut});
        if (left) begin -= rows;
      } else if (inner > 1) {
        const std::uint32_t outer = ranks / inner;  // rank = column * outer + row of the mesh
        offsets.insert(offsets.end(), {static_cast<std::int64_t>(rank % outer) * rows,
                                       static_cast<std::int64_t>(rank / outer) * columns});
      } else {
        offsets.insert(offsets.end(), {begin, 0});
      }
      if (sharding != Sharding::Ragged) sizes.insert(sizes.end(), {rows, columns});
      files.push_back(rank);
      byte_offsets.push_back(end[rank]);
      lengths.push_back(static_cast<std::uint64_t>(sizes.back() * rows) * 2);
      end[rank] += lengths.back();
      begin += rows;
    }
    tensor_sizes.insert(tensor_sizes.end(), {inner > 1 ? kRows * (ranks / inner) : begin, columns * inner});
  }
};

}  // namespace bench
