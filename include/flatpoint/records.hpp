// flatpoint/records.hpp - what most readers never ask for: opaque records, storage information without a chunk, planner
// paths, index hints. As with views.hpp nothing here allocates or throws, and everything borrows from the MetadataFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "flatpoint/views.hpp"

namespace flatpoint {

/// What fits no column, as a self-contained pickle: data to keep, never to execute.
struct OpaqueRecordView {
  OpaqueKind kind;
  std::uint32_t position;  // in its dictionary's order
  std::string_view name;   // what it names depends on the kind, see columns.hpp
  std::span<const std::byte> pickle;
};
/// Absent where i >= columns().opaque.size().
[[nodiscard]] Lookup<OpaqueRecordView> opaque_record(const MetadataView& metadata, std::size_t i) noexcept;

/// Storage information whose MetadataIndex names no chunk.
struct LooseStorageView {
  std::string_view fqn;
  bool has_offset;  // false: MetadataIndex.offset is None
  std::span<const std::int64_t> offset;
  std::uint32_t row;  // of the chunk columns
  StorageInfoView storage;
};
/// Sorted by FQN. Absent where i >= columns().loose_storage.size().
[[nodiscard]] Lookup<LooseStorageView> loose_storage(const MetadataView& metadata, std::size_t i) noexcept;
/// The first with this FQN or one that sorts behind it; columns().loose_storage.size() where there is none. O(log n).
[[nodiscard]] Lookup<std::size_t> first_loose_storage(const MetadataView& metadata, std::string_view fqn) noexcept;

/// planner_data[fqn]: the FQN cut into keys (str) and positions in lists (int).
class PlannerPathView {
 public:
  struct Element {
    std::string_view text;
    bool is_index;  // int: `text` is its decimal
  };
  PlannerPathView() = default;
  /// The next element, from the front. Absent at the end.
  [[nodiscard]] Lookup<Element> next() noexcept;

 private:
  friend Lookup<PlannerPathView> planner_path(const MetadataView&, const EntryView&) noexcept;
  std::span<const PathElementRow> elements_;
  std::string_view rest_;
  bool at_end_ = false;  // of the FQN
};
/// Absent where planner_data is None or lacks the FQN.
[[nodiscard]] Lookup<PlannerPathView> planner_path(const MetadataView& metadata, const EntryView& entry) noexcept;

/// MetadataIndex.index of a row of the chunk columns. `normal` is what it is where the file says nothing: the chunk's
/// position in DCP's order; None for bytes and loose storage.
[[nodiscard]] std::optional<std::int64_t> index_hint(const MetadataView& metadata, std::uint32_t row,
                                                     std::optional<std::int64_t> normal) noexcept;

}  // namespace flatpoint
