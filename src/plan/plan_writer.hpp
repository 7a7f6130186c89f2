// plan/plan_writer.hpp - writes a LoadPlan: regions once per pattern, items into their files, reads over items.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flatpoint/load_plan.hpp"
#include "flatpoint/overlap.hpp"

namespace flatpoint::plan {

/// What a tensor's saved boxes are made of. The format stores equal ranges once, so tensors of one shape and sharding
/// share theirs; a model has a dozen of them, whatever its depth.
struct Geometry {
  std::uint32_t size_begin;
  std::uint32_t box_begin;
  std::uint32_t chunk_count;
  std::uint8_t ndim;
  ChunkLayout layout;
  bool operator==(const Geometry&) const = default;

  static Geometry of(const TensorView& tensor) noexcept;
  [[nodiscard]] std::uint64_t hash(std::uint64_t seed) const noexcept;
};

/// Wanted boxes against a geometry: computed once, used by every tensor that has both.
struct Pattern {
  enum class Fault : std::uint8_t { None, Outside, Overflow, Corrupt };
  std::uint32_t region_begin = 0;
  std::uint32_t region_end = 0;
  std::uint64_t wanted_elements = 0;
  std::uint64_t found_elements = 0;  // in the regions; more than wanted where saved chunks overlap
  std::size_t shared_files =
      0;  // not 0: where in PlanWriter::files_ the regions' files begin, the same for all targets
  Fault fault = Fault::None;
  std::uint32_t fault_box = 0;
};

/// An FQN whose chunks are to be read.
struct Target {
  std::uint32_t wanted;  // LoadPlan::entries_ names its entry; where that is empty this is the entry
  std::uint32_t chunk_begin;
  std::uint32_t length_begin;
  std::uint32_t pattern;
  std::uint8_t item_size;  // bytes per element; 0: unknown, and of bytes
  bool lengths_differ;
};

inline std::uint8_t item_size_of(const TensorView& tensor) noexcept {
  return static_cast<std::uint8_t>(item_size(tensor.dtype()));
}

/// The pattern of bytes: one region, [0] everywhere.
inline constexpr std::uint32_t kBytesPattern = 0;

}  // namespace flatpoint::plan

namespace flatpoint {

/// Fills a plan. The plan's memory is used again where it was filled before; until `write` succeeds its items mean
/// nothing.
class PlanWriter {
 public:
  PlanWriter(const MetadataView& metadata, LoadPlan& plan);

  /// Adds the pattern of boxes (as Wanted lists them) against a tensor's chunks. `index`: of the tensor, or null.
  /// REQUIRES: boxes have the tensor's dimensions.
  std::uint32_t add_pattern(const TensorView& tensor, std::uint32_t box_count, std::span<const std::int64_t> boxes,
                            const OverlapIndex* index);
  [[nodiscard]] const plan::Pattern& pattern(std::uint32_t i) const noexcept { return patterns_[i]; }

  /// Says that all `targets` of a pattern lie in the same files, chunk by chunk; `write` then looks at none of theirs.
  /// REQUIRES: a file for each chunk of the pattern's tensor, below the number of files.
  void share_files(std::uint32_t pattern, std::uint32_t targets, std::span<const std::uint32_t> chunk_files);

  void add_issue(LoadIssueKind kind, bool fatal, std::string_view fqn, std::string message);
  void set_entries(std::vector<std::uint32_t> entries) { plan_.entries_ = std::move(entries); }
  void set_unexpected(std::vector<std::uint32_t> unexpected) { plan_.unexpected_ = std::move(unexpected); }

  /// Writes items and reads; targets without a fault, in an order that best is that of the files. Errors: Corrupt,
  /// TooLarge.
  [[nodiscard]] Result<void> write(std::span<const plan::Target> targets, const LoadOptions& options);

 private:
  using Item = LoadPlan::Item;

  bool add_regions(const TensorView& tensor, std::uint32_t box, std::span<const std::int64_t> offsets,
                   std::span<const std::int64_t> sizes, const OverlapIndex* index, plan::Pattern& pattern);
  [[nodiscard]] std::uint32_t entry_of(const plan::Target& target) const noexcept;
  template <class T>
  void prefetch(std::span<const T> column, const plan::Target& target) const noexcept;
  [[nodiscard]] Result<void> count_items(std::span<const plan::Target> targets);
  [[nodiscard]] Result<void> place_items(std::span<const plan::Target> targets);
  void report_unstored(const plan::Target& target, std::uint32_t unstored);
  void sort_items();
  void join_items(std::uint64_t max_gap);
  [[nodiscard]] tl::unexpected<Error> corrupt(const plan::Target& target, std::string_view what) const;

  MetadataView metadata_;
  LoadPlan& plan_;
  std::vector<plan::Pattern> patterns_;
  std::vector<std::uint32_t> files_;  // of patterns' regions where these share them, then of items as targets give them
  std::size_t shared_targets_ = 0;    // of patterns that share them
  std::uint64_t items_ = 0;
  std::size_t own_files_ = 0;           // where these begin
  std::vector<std::uint32_t> file_at_;  // per file: where its next item goes; then, where its items end
};

}  // namespace flatpoint
