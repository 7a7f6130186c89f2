// write/builder_state.hpp - what a MetadataBuilder has been told, in the order of the calls.
#pragma once

#include <map>
#include <memory_resource>
#include <optional>
#include <string>
#include <vector>

#include "base/large_vector.hpp"
#include "base/text_map.hpp"
#include "columns/planner_path.hpp"
#include "columns/stored_rows.hpp"
#include "flatpoint/builder.hpp"
#include "write/draft.hpp"

namespace flatpoint::write {

/// One FQN, as declared.
struct BuilderEntry {
  std::string_view fqn;
  std::size_t size_begin = 0;     // in BuilderState::sizes: `ndim` values
  std::size_t strides_begin = 0;  // likewise, where properties.strides is Explicit
  TensorPropertiesRow properties{};
  std::uint8_t ndim = 0;
  StorageType type = StorageType::Tensor;
};

/// Rows of one entry that came in one call.
struct BuilderRows {
  std::uint32_t entry;
  std::uint32_t count;
  std::size_t begin;      // in BuilderState::rows
  std::size_t box_begin;  // in boxes
};

struct BuilderState {
  BuilderState(Checks how_strict, std::int32_t rank) : checks(how_strict), fragment_rank(rank) {}

  Checks checks;
  std::int32_t fragment_rank;
  std::pmr::monotonic_buffer_resource text_memory;

  std::vector<BuilderEntry> entries;
  std::vector<std::int64_t> sizes;  // shapes and strides of the entries

  std::vector<BuilderRows> blocks;
  base::LargeVector<std::int64_t> boxes;   // per chunk offsets, then sizes
  columns::StoredRows rows;                // one per chunk or bytes item
  base::LargeVector<std::uint32_t> ranks;  // of the rows; empty while no file has two, and what is in no file has 0

  std::vector<std::string_view> file_names;
  base::TextMap<std::string_view, std::uint32_t> file_numbers;
  std::vector<std::optional<FileFacts>> file_facts;  // unset: not set
  std::optional<ChecksumKind> checksum_kind;
  std::vector<std::uint32_t> file_ranks;  // who writes each file, where `ranks` is empty; kNobody: no row is in it
  std::vector<std::string_view> type_names;
  base::TextMap<std::string_view, std::uint16_t> type_numbers;
  std::vector<DraftTransformList> transform_lists;
  base::TextMap<std::string, std::uint16_t> transform_numbers;  // + 1, by what a list says
  std::map<std::vector<PathElementRow>, std::uint32_t, columns::PathLess> path_numbers;
  std::vector<std::pair<std::string_view, std::uint32_t>> planner_paths;  // FQN, number of the path
  std::optional<StorageMeta> storage_meta;
  std::optional<std::string_view> version;

  [[nodiscard]] bool is_strict() const noexcept { return checks == Checks::Strict; }
  std::string_view copy(std::string_view text);
  [[nodiscard]] Result<std::uint16_t> type_number(std::string_view name);
  [[nodiscard]] Result<BuilderEntry> make_tensor(std::string_view fqn, const TensorProperties& properties,
                                                 std::span<const std::int64_t> size);
  [[nodiscard]] Result<void> check_data(const BuilderEntry& entry, const ChunkColumns& chunks, std::size_t first,
                                        std::size_t count, std::span<const std::int64_t> box_sizes) const;
  /// `of`: which of the chunks are whose; their entries are there already.
  void append_rows(const ChunkColumns& chunks, std::span<const BuilderRows> of);
  /// The rank that writes what lies in a file, while there is no column of ranks.
  [[nodiscard]] std::uint32_t rank_of_file(std::uint32_t file) const noexcept {
    return file == kNoFile ? 0 : file_ranks[file];
  }
  [[nodiscard]] Result<Buffer> finish();

  static constexpr std::uint32_t kNobody = 0xFFFFFFFF;

 private:
  void append_boxes(const ChunkColumns& chunks, std::span<const BuilderRows> of);
  void append_ranks(const ChunkColumns& chunks);
  bool fits_file_ranks(const ChunkColumns& chunks);
};

}  // namespace flatpoint::write
