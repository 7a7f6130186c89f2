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

/// How TensorProperties.strides is kept.
enum class StridesKind : std::uint8_t {
  Absent = 0,  // None, as in every file from before torch 2.15
  Contiguous,  // the contiguous strides of the first chunk in DCP's order; of the tensor where it has no chunk
  Explicit,    // `ndim` values in `sizes`, right behind the size
};

/// How the boxes of a tensor's chunks lie in `boxes`, from EntryRow::box_begin on.
enum class ChunkLayout : std::uint8_t {
  Whole = 0,  // one chunk that is the whole tensor: nothing is stored
  Explicit,   // per row `ndim` offsets, then `ndim` sizes
  Grid,       // `ndim` counts of cells, then per dimension its count + 1 split points, ascending
  EvenGrid,   // `ndim` counts of cells, then `ndim` steps: cell i of n elements is [min(i * step, n), min((i + 1) *
              // step, n))
};

/// The Python type of a sequence of transform descriptors.
enum class SequenceType : std::uint8_t { List = 0, Tuple };

/// Where an opaque record belongs, and what its name says.
enum class OpaqueKind : std::uint8_t {
  Attribute = 0,   // an attribute of Metadata that DCP does not define; the name is the attribute's
  StateDictItem,   // (key, value) of state_dict_metadata whose key is no str
  StateDictValue,  // the value of an entry of StorageType::Opaque; the name is the FQN
  PlannerData,     // planner_data as a whole
  PlannerItem,     // (key, value) of planner_data
  StorageData,     // storage_data as a whole
  StorageItem,     // (key, value) of storage_data
  StorageMeta,     // storage_meta as a whole
  Version,         // version, which is no str
};

std::string_view to_string(ChunkLayout layout) noexcept;  // "whole", "explicit", "grid", "even_grid"
std::string_view to_string(SequenceType type) noexcept;   // Python's name: "list", "tuple"
std::string_view to_string(OpaqueKind kind) noexcept;     // "attribute", "state_dict_item", ...

/// `chunk_files` of a row without storage information.
inline constexpr std::uint32_t kNoFile = 0xFFFFFFFF;

/// How a data file is to be parsed where the begin of a chunk's data is not known: a hint, no promise.
enum class FileFormat : std::uint8_t {
  Unknown = 0,
  TorchSave,    // each range is what torch.save wrote: one tensor or one object
  Safetensors,  // a header, then raw tensors
  Archive,      // an archive of torch.save with many storages
  Mixed,        // ranges of several kinds
};

/// What the values of `chunk_checksums` are.
enum class ChecksumKind : std::uint8_t {
  Absent = 0,
  Xxh3,   // XXH3-64 of the chunk's bytes
  Crc32,  // the CRC-32 of the zip record that is those bytes
};

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

/// TensorProperties. A bool of the file is one byte, true where it is not 0.
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

/// One FQN. Each begin is a position in the column that the comment names.
struct EntryRow {
  std::uint32_t fqn_begin;  // fqns
  std::uint32_t fqn_length;
  std::uint32_t size_begin;        // sizes: `ndim` values
  std::uint32_t box_begin;         // boxes: as chunk_layout says
  std::uint32_t chunk_begin;       // the chunk columns: `chunk_count` rows
  std::uint32_t chunk_count;       // of bytes: 1, or 0 without storage information
  std::uint32_t order_begin;       // chunk_order, where reordered
  std::uint32_t length_begin;      // chunk_lengths: one value for all rows, or one per row where lengths_differ
  TensorPropertiesRow properties;  // of a tensor
  std::uint8_t ndim;               // number of dimensions
  StorageType storage_type;
  ChunkLayout chunk_layout;
  std::uint8_t reordered;       // DCP's chunk i is row chunk_begin + chunk_order[order_begin + i], not chunk_begin + i
  std::uint8_t lengths_differ;  // between the rows
  std::uint8_t padding;
};

/// MetadataIndex.index of a row, where it is not the chunk's position in DCP's order (of bytes and loose storage:
/// None).
struct IndexHintRow {
  std::uint32_t row;   // of the chunk columns
  std::uint8_t known;  // false: None
  std::uint8_t padding[3];
  std::int64_t index;
};

/// Storage information whose MetadataIndex names no chunk. Number k has row chunk_rows() + k of the chunk columns.
struct LooseStorageRow {
  std::uint32_t fqn_begin;  // fqns, behind the names of the entries
  std::uint32_t fqn_length;
  std::uint32_t offset_begin;  // sizes: `ndim` values
  std::uint32_t length_begin;  // chunk_lengths
  std::uint8_t has_offset;     // false: MetadataIndex.offset is None
  std::uint8_t ndim;
  std::uint8_t padding[2];
};

/// A list of transform descriptors: texts [the end of the list before, text_end) of transform_names.
struct TransformListRow {
  std::uint32_t text_end;
  SequenceType type;
  std::uint8_t padding[3];
};

/// An element of a planner path: so many components of the FQN, which dots part, as one key.
struct PathElementRow {
  std::uint16_t components;
  std::uint8_t is_index;  // the key is an int, not a str: one component, its decimal
  std::uint8_t padding;
  bool operator==(const PathElementRow&) const = default;
};

/// A self-contained pickle, which nothing here executes. records.hpp shows it as a view.
struct OpaqueRecordRow {
  OpaqueKind kind;
  std::uint8_t padding[3];
  std::uint32_t position;    // in its dictionary's order
  std::uint32_t name_begin;  // opaque_names
  std::uint32_t name_length;
  std::uint32_t pickle_begin;  // opaque_pickles
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
  std::int32_t fragment_rank = -1;  // the rank that wrote this alone; -1: a whole checkpoint's metadata

  // FQNs.
  std::span<const EntryRow> entries;         // sorted by the bytes of their FQNs
  ByteColumn fqns;                           // of the entries in their order, then those of loose_storage
  std::span<const std::uint32_t> fqn_slots;  // hash column: 0 is empty, else entry + 1 below a tag
  std::span<const std::uint32_t> fqn_order;  // DCP's order: entry of each position. Absent: as sorted

  // Shapes and boxes. Equal ranges are shared.
  std::span<const std::int64_t> sizes;         // of tensors; explicit strides; offsets of loose storage
  std::span<const std::int64_t> boxes;         // as ChunkLayout says
  std::span<const std::uint32_t> chunk_order;  // per reordered entry: its row of each of DCP's positions, from 0

  // The chunk columns: _StorageInfo. A row per chunk, entry by entry, sorted by offsets; then one per loose storage.
  std::span<const std::uint32_t> chunk_files;         // number in file_names, or kNoFile
  std::span<const std::uint64_t> chunk_byte_offsets;  // absent where no row has a file
  std::span<const std::uint64_t> chunk_lengths;       // shared, see EntryRow::length_begin
  std::span<const std::uint16_t> chunk_transforms;    // 0: None, else list number + 1. Absent: None everywhere

  TextColumn file_names;       // relative_path, by first use in storage_data
  TextColumn type_names;       // of dtypes and layouts that have no number
  TextColumn transform_names;  // transform descriptors
  std::span<const TransformListRow> transform_lists;

  // storage_data: MetadataIndex -> _StorageInfo.
  bool has_storage_data = false;                   // false: None
  std::span<const std::uint32_t> storage_order;    // DCP's order: row of each position. Absent: by file, offset, row
  std::span<const IndexHintRow> index_hints;       // sorted by row
  std::span<const LooseStorageRow> loose_storage;  // sorted by FQN, no offset first, then offset

  // planner_data: FQN -> path.
  bool has_planner_data = false;                  // false: None
  std::span<const std::uint16_t> fqn_paths;       // per entry: 0: no key of planner_data, else path number + 1
  std::span<const PathElementRow> path_elements;  // of all paths
  std::span<const std::uint32_t> path_ends;       // path p has elements [path_ends[p - 1], path_ends[p])
  std::span<const std::uint32_t> planner_order;   // DCP's order: entry of each position. Absent: as in fqn_order

  std::optional<StorageMetaColumns> storage_meta;  // unset: None
  std::optional<ByteColumn> version;               // unset: None

  std::span<const OpaqueRecordRow> opaque;  // sorted by kind, then position, then name
  ByteColumn opaque_names;
  ByteColumn opaque_pickles;

  std::optional<ByteColumn> metadata_class;      // "module qualname" where it is not DCP's own Metadata
  std::optional<ByteColumn> storage_info_class;  // likewise for _StorageInfo
  std::optional<SourceRecord> source;            // unset: the file was not imported

  // Where the data begin: from byte (begin of a row's range + this) on, the chunk's elements lie row-major,
  // little-endian, dense, of the stated dtype. One value for all rows, or one per row; kNoDataBegin: unknown, or not
  // plain.
  std::span<const std::uint32_t> chunk_data_begins;
  ChecksumKind checksum_kind = ChecksumKind::Absent;
  std::span<const std::uint64_t> chunk_checksums;  // per row, of those bytes, or kNoChecksum

  // Per data file, as it was when the begins were read.
  std::span<const std::uint64_t> file_lengths;  // bytes, or kNoFileLength
  std::span<const std::int64_t> file_times;     // modification time, nanoseconds since 1970, or kNoFileTime
  std::span<const FileFormat> file_formats;

  /// Rows of the chunk columns that belong to chunks; the rest belong to loose_storage.
  [[nodiscard]] std::size_t chunk_rows() const noexcept { return chunk_files.size() - loose_storage.size(); }
};

}  // namespace flatpoint
