// flatpoint/load_plan.hpp - which bytes of which files does a rank need?
//
// The planner is pure: it reads metadata and does arithmetic. Its read items are those of torch's DefaultLoadPlanner.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/index_range.hpp"
#include "flatpoint/metadata_index.hpp"
#include "flatpoint/types.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint {

/// LoadItemType of DCP: TENSOR, BYTE_IO.
enum class LoadItemType : std::uint8_t { Tensor, Bytes };

/// ReadItem of DCP. For bytes offsets and lengths are [0].
struct ReadItem {
  LoadItemType type;
  MetadataIndex dest_index;     // FQN, the wanted box's offsets, its number among the boxes of that FQN
  Size dest_offsets;            // inside the wanted box
  MetadataIndex storage_index;  // FQN, the saved chunk's offsets; without the hint
  Size storage_offsets;         // inside the saved chunk
  Size lengths;                 // elements
  bool operator==(const ReadItem&) const = default;
};

/// One FQN of the state dict that is to be loaded: bytes, or a tensor and the boxes of it that this rank holds.
struct Wanted {
  std::string_view fqn;
  StorageType type = StorageType::Tensor;
  std::span<const std::int64_t> size;   // of the whole tensor
  std::uint32_t box_count = 0;          // 0: the rank holds nothing of it
  std::span<const std::int64_t> boxes;  // per box as many offsets, then as many sizes as `size` has values
  std::optional<ScalarType> dtype;      // unset: not compared
};

enum class LoadIssueKind : std::uint8_t {
  Missing,        // the checkpoint has no such FQN
  Repeated,       // an FQN is wanted twice
  SizeMismatch,   // the saved tensor has another size or number of dimensions
  TypeMismatch,   // a tensor is wanted where bytes are saved, or the reverse; or the saved object is of a foreign class
  DtypeMismatch,  // the saved tensor has another dtype; torch converts without a word
  BoxOutside,     // a wanted box reaches outside the tensor, or its volume leaves 64 bits
  Uncovered,      // no saved chunk holds some of the wanted elements; torch leaves them as they are
  NoStorage,      // a chunk that is needed has no storage information
};

/// "missing", "size_mismatch", ...
std::string_view to_string(LoadIssueKind kind) noexcept;

struct LoadIssue {
  LoadIssueKind kind;
  bool fatal;  // torch would refuse the load, or fail in it
  std::string fqn;
  std::string message;  // with FQN and numbers
};

/// "error missing: FQN 'w': ...", or "note ...": what the tool prints.
std::string to_string(const LoadIssue& issue);

struct LoadOptions {
  bool strict =
      true;  // an FQN that the checkpoint lacks is fatal; false is DefaultLoadPlanner(allow_partial_load=True)
  std::uint64_t max_gap = 0;  // ranges of one file at most this many bytes apart are read at once
};

/// A range of a file that is read at once, and the items that it serves.
struct FileRead {
  std::uint64_t byte_offset;  // bytes
  std::uint64_t length;       // bytes
  std::uint32_t file;         // MetadataView::file_name
  std::uint32_t item_begin;
  std::uint32_t item_count;
};

class ReadItemView;

/// What one rank reads. Items are grouped by file and sorted by position there, then by the order of what was wanted,
/// then by box, then by chunk. Borrows the metadata file, which must outlive it. Immutable; safe to read from any
/// number of threads.
class LoadPlan {
 public:
  using OwnsWhatItLends = void;

  LoadPlan() = default;

  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(items_.size()); }
  /// REQUIRES: i < size().
  [[nodiscard]] ReadItemView item(std::uint32_t i) const noexcept;
  /// All items: `for (const auto item : plan.items())`.
  [[nodiscard]] IndexRange<const LoadPlan*, &LoadPlan::item> items() const& noexcept;
  IndexRange<const LoadPlan*, &LoadPlan::item> items() const&& = delete;
  /// By file, then offset.
  [[nodiscard]] std::span<const FileRead> reads() const noexcept { return reads_; }

  [[nodiscard]] std::uint32_t file_count() const noexcept { return file_count_; }
  /// Bytes of the wanted elements: torch's item size times elements; of bytes and of unknown dtypes the stored length.
  [[nodiscard]] std::uint64_t needed_bytes() const noexcept { return needed_bytes_; }
  /// Bytes of the stored chunks that hold them, each counted once.
  [[nodiscard]] std::uint64_t stored_bytes() const noexcept { return stored_bytes_; }
  /// Bytes of all reads: the stored chunks and the gaps between those read at once.
  [[nodiscard]] std::uint64_t read_bytes() const noexcept { return read_bytes_; }

  /// Everything that does not fit, in the order of what was wanted. Items of FQNs with a fatal issue are left out.
  [[nodiscard]] std::span<const LoadIssue> issues() const noexcept { return issues_; }
  /// Positions of the checkpoint's entries that were not wanted, ascending (MetadataView::entry). Never fatal.
  [[nodiscard]] std::span<const std::uint32_t> unexpected() const noexcept { return unexpected_; }
  /// Whether no issue is fatal.
  [[nodiscard]] bool loadable() const noexcept { return fatal_ == 0; }

 private:
  friend class PlanWriter;
  friend class ReadItemView;

  struct Item {
    std::uint64_t byte_offset;
    std::uint64_t length;
    std::uint32_t wanted;
    std::uint32_t region;
  };  // its file is its read's
  /// Where a saved chunk and a wanted box overlap. Tensors of equal shape, chunks and boxes share theirs.
  struct Region {
    std::uint64_t values;  // in region_values_: storage offsets, dest offsets, lengths
    std::uint32_t chunk;   // by rows
    std::uint32_t box;
  };

  MetadataView metadata_;
  std::vector<Item> items_;
  std::vector<FileRead> reads_;
  std::vector<Region> regions_;
  std::vector<std::int64_t> region_values_;
  std::vector<std::uint32_t> entries_;  // of each wanted FQN
  std::vector<std::uint32_t> unexpected_;
  std::vector<LoadIssue> issues_;
  std::uint64_t needed_bytes_ = 0;
  std::uint64_t stored_bytes_ = 0;
  std::uint64_t read_bytes_ = 0;
  std::uint32_t file_count_ = 0;
  std::uint32_t fatal_ = 0;
};

/// One read item of a plan. Trivially copyable; valid as long as the plan is.
class ReadItemView {
 public:
  [[nodiscard]] LoadItemType type() const noexcept;
  [[nodiscard]] std::string_view fqn() const noexcept;
  /// Number of the FQN among the wanted ones; of a plan for a mesh, the entry's position.
  [[nodiscard]] std::uint32_t wanted() const noexcept { return item().wanted; }
  /// Number of the wanted box among those of its FQN.
  [[nodiscard]] std::uint32_t box() const noexcept { return region().box; }
  /// The saved chunk, for TensorView::chunk_by_row.
  [[nodiscard]] std::uint32_t chunk() const noexcept { return region().chunk; }

  [[nodiscard]] std::span<const std::int64_t> storage_offsets() const noexcept { return values(0); }
  [[nodiscard]] std::span<const std::int64_t> dest_offsets() const noexcept { return values(1); }
  [[nodiscard]] std::span<const std::int64_t> lengths() const noexcept { return values(2); }

  // Where the whole saved chunk lies, as _StorageInfo says. `file` searches reads(): O(log n).
  [[nodiscard]] std::uint32_t file() const noexcept;
  [[nodiscard]] std::uint64_t byte_offset() const noexcept { return item().byte_offset; }
  [[nodiscard]] std::uint64_t length() const noexcept { return item().length; }

  [[nodiscard]] ReadItem to_value() const;

 private:
  friend class LoadPlan;
  ReadItemView(const LoadPlan& plan, std::uint32_t i) noexcept : plan_(&plan), i_(i) {}
  [[nodiscard]] const LoadPlan::Item& item() const noexcept { return plan_->items_[i_]; }
  [[nodiscard]] const LoadPlan::Region& region() const noexcept { return plan_->regions_[item().region]; }
  [[nodiscard]] Lookup<EntryView> entry() const noexcept;
  [[nodiscard]] std::span<const std::int64_t> values(std::size_t which) const noexcept;

  const LoadPlan* plan_;
  std::uint32_t i_;
};

inline ReadItemView LoadPlan::item(std::uint32_t i) const noexcept { return {*this, i}; }
inline IndexRange<const LoadPlan*, &LoadPlan::item> LoadPlan::items() const& noexcept { return {this, size()}; }

/// Plans what a rank wants: create_default_local_load_plan, with every mismatch in LoadPlan::issues instead of the
/// first as an exception. Errors: Corrupt; TooLarge for more than 2^32 - 2 items; InvalidArgument for a Wanted whose
/// spans do not fit its numbers.
[[nodiscard]] Result<LoadPlan> plan_load(const MetadataView& metadata, std::span<const Wanted> wanted,
                                         const LoadOptions& options = {});

}  // namespace flatpoint
