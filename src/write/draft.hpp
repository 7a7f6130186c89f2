// write/draft.hpp - everything a metadata file holds, in its producer's order, before sorting and sharing.
//
// The importer fills one, and so does `expand` for edits; `finish` sorts it and hands it to the assembler. The builder
// and merge, whose entries come in the file's order already, go to the assembler directly.
// Texts are string_views into memory that outlives the draft (a mapping, an arena, another file).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/large_vector.hpp"
#include "columns/stored_rows.hpp"
#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::write {

inline constexpr std::uint32_t kNoPath = 0xFFFFFFFF;

/// One FQN of state_dict_metadata. The vector's order is DCP's order.
struct DraftEntry {
  std::string_view fqn;
  std::size_t size_begin = 0;     // in Draft::sizes: `ndim` values
  std::size_t strides_begin = 0;  // in Draft::sizes: `ndim` values, where properties.strides is Explicit
  std::size_t box_begin = 0;      // in Draft::boxes: per chunk `ndim` offsets, then `ndim` sizes, in DCP's order
  std::size_t chunk_begin = 0;    // row of the first chunk
  std::uint32_t chunk_count =
      0;  // bytes: 1, the row with their storage information (kNoFile or no row where they have none)
  std::uint32_t path = kNoPath;      // planner path, or kNoPath: not a key of planner_data
  TensorPropertiesRow properties{};  // dtype_name and layout_name index Draft::type_names
  std::uint8_t ndim = 0;
  StorageType type = StorageType::Tensor;
};

/// MetadataIndex.index of a row where it is not the row's position among its tensor's chunks (bytes, loose: not None).
struct DraftHint {
  std::uint32_t row;
  bool known;
  std::int64_t index;
};

/// Storage information whose key names no chunk. Its row follows the chunks' rows, in this order.
struct DraftLooseStorage {
  std::string_view fqn;
  bool has_offset = false;
  std::uint8_t ndim = 0;
  std::size_t offset_begin = 0;  // in Draft::sizes
};

struct DraftTransformList {
  std::vector<std::string_view> descriptors;  // in DCP's stored order
  SequenceType type = SequenceType::List;
  bool operator==(const DraftTransformList&) const = default;
};

struct DraftOpaque {
  OpaqueKind kind;
  std::uint32_t position;  // in its dictionary's order; 0 where it is in none. Attributes: in order of attachment
  std::string_view name;
  std::string_view pickle;  // self-contained, protocol 4
};

struct DraftStorageMeta {
  std::optional<std::string_view> checkpoint_id;
  PathType checkpoint_id_type = PathType::Absent;
  std::optional<std::string_view> save_id;
  std::optional<std::string_view> load_id;
  bool has_modules = false;
  std::vector<std::string_view> modules;
};

/// What two say of one data file. Where one knows no length there is none; where times differ the older one tells a
/// reader to look again.
[[nodiscard]] FileFacts joined(const FileFacts& a, const FileFacts& b) noexcept;

/// What a file holds beside its entries and rows.
struct DraftAttributes {
  std::int32_t fragment_rank = -1;

  // Lists that entries and rows refer to. The file numbers them by first use and keeps one of equal items.
  std::vector<std::string_view> files;  // relative_path; first use in storage_data
  std::vector<FileFacts> file_facts;    // of `files`; empty: nothing is known
  std::vector<std::string_view> type_names;
  std::vector<DraftTransformList> transform_lists;
  std::vector<std::vector<PathElementRow>> paths;

  ChecksumKind checksum_kind = ChecksumKind::Absent;  // of the rows' checksums

  bool has_storage_data = false;
  /// DCP's order of storage_data: every row that has a file (of chunks with one key only the first in DCP's order).
  /// Empty: by the order of `files`, then offset, then the file's row.
  base::LargeVector<std::uint32_t> storage_order;
  std::vector<DraftHint> hints;

  bool has_planner_data = false;
  std::vector<std::uint32_t> planner_order;  // entry of each position; empty: DCP's order of the entries

  std::optional<DraftStorageMeta> storage_meta;
  std::optional<std::string_view> version;
  std::vector<DraftOpaque> opaque;
  std::optional<std::string_view> metadata_class;      // "module qualname"
  std::optional<std::string_view> storage_info_class;  // "module qualname"
  std::optional<SourceRecord> source;
};

struct Draft : DraftAttributes {
  std::vector<DraftEntry> entries;
  base::LargeVector<std::int64_t> sizes;  // ranges may be shared
  base::LargeVector<std::int64_t> boxes;  // ranges may be shared

  // A row per chunk (rows of entry e: [chunk_begin, chunk_begin + chunk_count), disjoint), then one per loose storage.
  // Chunks of one tensor with equal offsets have one key in storage_data: the first of them speaks for all.
  columns::StoredRows rows;

  std::vector<DraftLooseStorage> loose_storage;
};

/// Sorts, detects grids, shares equal ranges and encodes. Preserves whatever the draft states, also chunks that overlap
/// or lie outside. Consumes the draft's columns as it goes. Errors: Conflict (an FQN, or a key of loose storage, is
/// there twice), TooLarge (the format's limits). REQUIRES: numbers and ranges of the draft are inside what they refer
/// to.
[[nodiscard]] Result<Buffer> finish(Draft&& draft);

}  // namespace flatpoint::write
