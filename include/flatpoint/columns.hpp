// flatpoint/columns.hpp - the columns of a metadata file as spans: the raw form that bulk work reads.
//
// One member per vector of schema/metadata.fbs, same name, same meaning; docs/format.md is the reference. Rows are
// plain structs with the wire's layout. An absent column is an empty span. Spans borrow from whoever made them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "flatpoint/types.hpp"

namespace flatpoint {

using ByteColumn = std::span<const std::uint8_t>;

enum class StridesKind : std::uint8_t { Absent = 0, Contiguous, Explicit };
enum class ChunkLayout : std::uint8_t { Whole = 0, Explicit, Grid, EvenGrid };
enum class SequenceType : std::uint8_t { List = 0, Tuple };
enum class OpaqueKind : std::uint8_t {
  Attribute = 0,
  StateDictItem,
  StateDictValue,
  PlannerData,
  PlannerItem,
  StorageData,
  StorageItem,
  StorageMeta,
  Version
};

std::string_view to_string(ChunkLayout layout) noexcept;  // "whole", "explicit", "grid", "even_grid"
std::string_view to_string(SequenceType type) noexcept;   // Python's name: "list", "tuple"
std::string_view to_string(OpaqueKind kind) noexcept;     // "attribute", "state_dict_item", ...

/// `chunk_files` of a row without storage information.
inline constexpr std::uint32_t kNoFile = 0xFFFFFFFF;

/// How a data file is to be parsed where the begin of a chunk's data is not known: a hint, no promise.
enum class FileFormat : std::uint8_t { Unknown = 0, TorchSave, Safetensors, Archive, Mixed };

/// What `chunk_checksums` holds: XXH3-64 of a chunk's bytes, or the CRC-32 of the zip record that is those bytes.
enum class ChecksumKind : std::uint8_t { Absent = 0, Xxh3, Crc32 };

std::string_view to_string(FileFormat format) noexcept;  // "unknown", "torch_save", ...; empty for others
std::string_view to_string(ChecksumKind kind) noexcept;  // "absent", "xxh3", "crc32"; empty for others

// What says "unknown" in chunk_data_begins, chunk_checksums, file_lengths and file_times.
inline constexpr std::uint32_t kNoDataBegin = 0xFFFFFFFF;
inline constexpr std::uint64_t kNoChecksum = ~std::uint64_t{0};
inline constexpr std::uint64_t kNoFileLength = ~std::uint64_t{0};
inline constexpr std::int64_t kNoFileTime = 0;

/// A data file as it was when the begins of its chunks' data were read. Unset: unknown.
struct FileFacts {
  std::optional<std::uint64_t> length{};      // bytes
  std::optional<std::int64_t> modified_ns{};  // nanoseconds since 1970
  FileFormat format = FileFormat::Unknown;
  bool operator==(const FileFacts&) const = default;
};

struct TensorPropertiesRow {
  ScalarType dtype;
  Layout layout;
  MemoryFormat memory_format;
  std::uint8_t requires_grad;
  std::uint8_t pin_memory;
  StridesKind strides;
  std::uint16_t dtype_name;   // text of type_names, where dtype is Other
  std::uint16_t layout_name;  // likewise for layout
  bool operator==(const TensorPropertiesRow&) const = default;
};

struct EntryRow {
  std::uint32_t fqn_begin;
  std::uint32_t fqn_length;
  std::uint32_t size_begin;
  std::uint32_t box_begin;
  std::uint32_t chunk_begin;
  std::uint32_t chunk_count;
  std::uint32_t order_begin;
  std::uint32_t length_begin;
  TensorPropertiesRow properties;
  std::uint8_t ndim;
  StorageType storage_type;
  ChunkLayout chunk_layout;
  std::uint8_t reordered;
  std::uint8_t lengths_differ;
  std::uint8_t padding;
};

struct IndexHintRow {
  std::uint32_t row;
  std::uint8_t known;
  std::uint8_t padding[3];
  std::int64_t index;
};

struct LooseStorageRow {
  std::uint32_t fqn_begin;
  std::uint32_t fqn_length;
  std::uint32_t offset_begin;
  std::uint32_t length_begin;
  std::uint8_t has_offset;
  std::uint8_t ndim;
  std::uint8_t padding[2];
};

struct TransformListRow {
  std::uint32_t text_end;
  SequenceType type;
  std::uint8_t padding[3];
};

struct PathElementRow {
  std::uint16_t components;
  std::uint8_t is_index;
  std::uint8_t padding;
  bool operator==(const PathElementRow&) const = default;
};

struct OpaqueRecordRow {
  OpaqueKind kind;
  std::uint8_t padding[3];
  std::uint32_t position;
  std::uint32_t name_begin;
  std::uint32_t name_length;
  std::uint32_t pickle_begin;
  std::uint32_t pickle_length;
};

/// Where rows lie in data files: _StorageInfo as columns, borrowed. A column has a value per row, one for all, or none:
/// the rows say nothing there.
struct StoredColumns {
  std::span<const std::uint32_t> files{};         // kNoFile: no storage information
  std::span<const std::uint64_t> byte_offsets{};  // none: 0
  std::span<const std::uint64_t> lengths{};       // bytes; none: 0
  std::span<const std::uint16_t> transforms{};    // 0: None, else list number + 1
  std::span<const std::uint32_t> data_begins{};   // bytes from byte_offset to the first element; kNoDataBegin: unknown
  std::span<const std::uint64_t> checksums{};     // of the elements' bytes; kNoChecksum: unknown
};

/// Many texts in one blob: text i is bytes[ends[i - 1], ends[i]), with ends[-1] = 0.
struct TextColumn {
  ByteColumn bytes;
  std::span<const std::uint32_t> ends;
};

/// StorageMeta as it lies in the file. An unset text is None.
struct StorageMetaColumns {
  std::optional<ByteColumn> checkpoint_id;
  PathType checkpoint_id_type = PathType::Absent;
  std::optional<ByteColumn> save_id;
  std::optional<ByteColumn> load_id;
  bool has_modules = false;
  TextColumn modules;
};

/// What a file was imported from: a `.metadata`, or safetensors files (schema/metadata.fbs has what the numbers mean).
enum class SourceKind : std::uint8_t { Pickle = 0, Safetensors };

std::string_view to_string(SourceKind kind) noexcept;  // "pickle", "safetensors"

/// What tells the source of an import from another one.
struct SourceRecord {
  std::uint64_t length = 0;        // bytes
  std::uint64_t digest = 0;        // XXH3-64 of all of it
  std::int64_t modified_ns = 0;    // modification time, nanoseconds since 1970; 0: unknown
  bool modified_recently = false;  // reading began within a tick of that time, which proves nothing then
  std::string_view etag;           // an object store's mark of this content; empty: none. Borrowed
  SourceKind kind = SourceKind::Pickle;
  bool operator==(const SourceRecord&) const = default;
};

struct Columns {
  std::uint16_t format_major = 0;
  std::uint16_t format_minor = 0;
  std::int32_t fragment_rank = -1;

  std::span<const EntryRow> entries;
  ByteColumn fqns;
  std::span<const std::uint32_t> fqn_slots;
  std::span<const std::uint32_t> fqn_order;

  std::span<const std::int64_t> sizes;
  std::span<const std::int64_t> boxes;
  std::span<const std::uint32_t> chunk_order;

  std::span<const std::uint32_t> chunk_files;
  std::span<const std::uint64_t> chunk_byte_offsets;
  std::span<const std::uint64_t> chunk_lengths;
  std::span<const std::uint16_t> chunk_transforms;

  TextColumn file_names;
  TextColumn type_names;
  TextColumn transform_names;
  std::span<const TransformListRow> transform_lists;

  bool has_storage_data = false;
  std::span<const std::uint32_t> storage_order;
  std::span<const IndexHintRow> index_hints;
  std::span<const LooseStorageRow> loose_storage;

  bool has_planner_data = false;
  std::span<const std::uint16_t> fqn_paths;
  std::span<const PathElementRow> path_elements;
  std::span<const std::uint32_t> path_ends;
  std::span<const std::uint32_t> planner_order;

  std::optional<StorageMetaColumns> storage_meta;
  std::optional<ByteColumn> version;

  std::span<const OpaqueRecordRow> opaque;
  ByteColumn opaque_names;
  ByteColumn opaque_pickles;

  std::optional<ByteColumn> metadata_class;
  std::optional<ByteColumn> storage_info_class;
  std::optional<SourceRecord> source;

  std::span<const std::uint32_t> chunk_data_begins;  // one value for all rows, or one per row
  ChecksumKind checksum_kind = ChecksumKind::Absent;
  std::span<const std::uint64_t> chunk_checksums;
  std::span<const std::uint64_t> file_lengths;
  std::span<const std::int64_t> file_times;
  std::span<const FileFormat> file_formats;

  /// Rows of the chunk columns that belong to chunks; the rest belong to loose_storage.
  [[nodiscard]] std::size_t chunk_rows() const noexcept { return chunk_files.size() - loose_storage.size(); }
};

}  // namespace flatpoint
