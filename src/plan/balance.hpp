// plan/balance.hpp - what all ranks of a mesh read, chunk by chunk.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/mesh_plan.hpp"
#include "plan/mesh_targets.hpp"

namespace flatpoint::plan {

/// Sums up the load of every rank and file. Who reads which chunk is found once per class; then each tensor of the
/// class costs a look at its chunks, whatever the number of ranks, as long as its chunks have one length and lie in the
/// files of the tensor before it.
class Balancer {
 public:
  Balancer(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape, std::uint32_t rank_count);

  [[nodiscard]] Result<LoadBalance> run(MeshTargets& targets);

 private:
  /// Wide enough for whatever a hostile file claims: 2^32 rows of 2^64 bytes for 2^31 ranks.
  __extension__ using Sum = unsigned __int128;

  struct RankSums {
    std::uint64_t items = 0;
    Sum needed_bytes = 0;
    Sum stored_bytes = 0;
  };

  /// The ranks that read each chunk of a class: readers[begin[chunk], begin[chunk + 1]).
  struct Readers {
    std::vector<std::uint32_t> begin;
    std::vector<std::uint32_t> ranks;
    std::vector<Sum> elements;         // per rank
    std::vector<std::uint32_t> items;  // per rank
    std::uint32_t chunks = 0;          // that someone reads
    std::string uncovered;             // what some rank wants and no chunk holds; empty where there is none
    std::vector<std::uint32_t> file;   // per chunk: of the tensor looked at last
    [[nodiscard]] std::span<const std::uint32_t> of(std::uint32_t chunk) const noexcept {
      return std::span(ranks).subspan(begin[chunk], begin[chunk + 1] - begin[chunk]);
    }
  };
  struct ClassSums {
    std::uint64_t tensors = 0;
    Sum lengths = 0;               // of tensors whose chunks have one length
    std::uint64_t item_sizes = 0;  // of tensors whose dtype is known
  };

  [[nodiscard]] Result<void> find_readers(TensorClass& tensors);
  [[nodiscard]] Result<void> add_bytes(const Target& target);
  [[nodiscard]] Result<void> add_tensor(const Target& target, ClassSums& sums);
  void add_class(const ClassSums& sums);
  void finish();
  void report(LoadIssueKind kind, bool fatal, const Target& target, std::string_view what);
  void take_off(std::span<const std::uint32_t> readers, std::uint64_t length);
  [[nodiscard]] std::uint32_t file_of(const Target& target, std::uint32_t chunk) const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> length_of(const Target& target, std::uint32_t chunk) const noexcept;
  [[nodiscard]] bool ends_inside(const Target& target, std::uint32_t chunk, std::uint64_t length) const noexcept;
  [[nodiscard]] tl::unexpected<Error> corrupt(const Target& target, std::uint32_t chunk) const;
  void mark(std::uint32_t rank, std::uint32_t file) noexcept;

  MetadataView metadata_;
  std::span<const std::int64_t> mesh_shape_;
  std::uint32_t rank_count_;
  LoadBalance balance_;
  RankSums everyone_;  // what every rank reads
  std::vector<RankSums> ranks_;
  std::vector<Sum> file_bytes_;
  Readers readers_;
  std::vector<bool> read_by_all_;     // per file
  std::vector<std::uint64_t> marks_;  // per rank, a bit per file
  std::size_t words_;                 // of marks_ per rank
};

}  // namespace flatpoint::plan
