// flatpoint/views.hpp - what a metadata file says, read in place.
//
// Views are small, trivially copyable and immutable. They borrow from the MetadataFile that made them and are valid as
// long as it lives; any number of threads may read through them. Nothing here allocates (but the `to_value` calls,
// which copy) and nothing throws. A view is handed out only after the ranges that it needs were checked, so its
// accessors stay inside the file whatever the bytes are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "flatpoint/columns.hpp"
#include "flatpoint/index_range.hpp"
#include "flatpoint/lookup.hpp"
#include "flatpoint/metadata_index.hpp"
#include "flatpoint/storage_meta.hpp"
#include "flatpoint/tensor_properties.hpp"

namespace flatpoint {

/// _StorageInfo of one chunk or one bytes item.
class StorageInfoView {
 public:
  StorageInfoView() = default;
  /// As the file has it: a hostile one may say "../x" or "/x", which `verify` finds. Not terminated by NUL.
  [[nodiscard]] std::string_view relative_path() const noexcept { return relative_path_; }
  [[nodiscard]] std::uint32_t file() const noexcept { return file_; }  // number of the file, for grouping
  [[nodiscard]] std::uint64_t byte_offset() const noexcept { return byte_offset_; }
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }  // bytes
  /// Number of transform descriptors; unset is None.
  [[nodiscard]] std::optional<std::uint32_t> transform_count() const noexcept;
  /// REQUIRES: i < *transform_count(). Empty where the file is corrupt.
  [[nodiscard]] std::string_view transform_descriptor(std::uint32_t i) const noexcept;
  [[nodiscard]] StorageInfo to_value() const;

 private:
  friend struct ViewAccess;
  const Columns* columns_ = nullptr;
  std::string_view relative_path_;
  std::uint64_t byte_offset_ = 0;
  std::uint64_t length_ = 0;
  std::uint32_t file_ = 0;
  std::uint32_t transforms_begin_ = 0;
  std::uint32_t transforms_count_ = 0;
  bool has_transforms_ = false;
};

/// The bytes [byte_offset, byte_offset + length) of a data file that are a chunk's elements: row-major, little-endian,
/// of the tensor's dtype. REQUIRES, before they are read: the file is as MetadataView::file_facts says.
struct ChunkData {
  std::uint32_t file = 0;
  std::uint64_t byte_offset = 0;
  std::uint64_t length = 0;
  std::optional<std::uint64_t> checksum{};  // of kind Columns::checksum_kind; unset: unknown
};

class TensorView;

/// ChunkStorageMetadata: one chunk of a tensor. Offsets and sizes are computed where the tensor's boxes form a grid.
class ChunkView {
 public:
  ChunkView() = default;
  [[nodiscard]] std::uint8_t ndim() const noexcept { return entry_.ndim; }
  /// REQUIRES: dimension < ndim(). Elements.
  [[nodiscard]] std::int64_t offset(std::uint8_t dimension) const noexcept;
  [[nodiscard]] std::int64_t size(std::uint8_t dimension) const noexcept;
  /// Row of the chunk columns (Columns::chunk_files and its neighbours).
  [[nodiscard]] std::uint32_t row() const noexcept { return entry_.chunk_begin + cell_; }
  /// Where the chunk lies; absent without storage information.
  [[nodiscard]] Lookup<StorageInfoView> storage() const noexcept;
  /// Its elements inside that range; absent where the file does not tell, or they are not plain. Rule E7.
  [[nodiscard]] Lookup<ChunkData> data() const noexcept;
  [[nodiscard]] ChunkStorageMetadata to_value() const;

 private:
  friend struct ViewAccess;
  const Columns* columns_ = nullptr;
  EntryRow entry_{};
  std::uint32_t cell_ = 0;
};

/// One FQN of state_dict_metadata: a tensor, bytes, or an opaque object.
class EntryView {
 public:
  EntryView() = default;
  /// UTF-8 with Python's surrogates kept; may hold NUL.
  [[nodiscard]] std::string_view fqn() const noexcept;
  [[nodiscard]] StorageType type() const noexcept { return entry_.storage_type; }
  /// Position in the sorted order, 0 ... MetadataView::size() - 1.
  [[nodiscard]] std::uint32_t position() const noexcept { return position_; }
  /// The tensor; absent for bytes and opaque objects.
  [[nodiscard]] Lookup<TensorView> tensor() const noexcept;
  /// Storage information of a bytes item (MetadataIndex without offset); absent for everything else.
  [[nodiscard]] Lookup<StorageInfoView> bytes_storage() const noexcept;
  /// The row as it lies in the file, its ranges checked.
  [[nodiscard]] const EntryRow& row() const noexcept { return entry_; }

 protected:
  friend struct ViewAccess;
  const Columns* columns_ = nullptr;
  EntryRow entry_{};
  std::uint32_t position_ = 0;
};

/// TensorStorageMetadata.
class TensorView : public EntryView {
 public:
  TensorView() = default;
  [[nodiscard]] std::uint8_t ndim() const noexcept { return entry_.ndim; }
  /// Elements per dimension, `ndim()` values.
  [[nodiscard]] std::span<const std::int64_t> size() const noexcept;
  [[nodiscard]] ScalarType dtype() const noexcept { return entry_.properties.dtype; }
  /// torch's name without "torch.", also for dtypes that this version does not know.
  [[nodiscard]] std::string_view dtype_name() const noexcept;
  [[nodiscard]] std::string_view layout_name() const noexcept;
  [[nodiscard]] MemoryFormat memory_format() const noexcept { return entry_.properties.memory_format; }
  [[nodiscard]] bool requires_grad() const noexcept { return entry_.properties.requires_grad != 0; }
  [[nodiscard]] bool pin_memory() const noexcept { return entry_.properties.pin_memory != 0; }
  [[nodiscard]] bool has_strides() const noexcept { return entry_.properties.strides != StridesKind::Absent; }
  /// The properties with their strides, copied.
  [[nodiscard]] TensorProperties properties() const;

  [[nodiscard]] std::uint32_t chunk_count() const noexcept { return entry_.chunk_count; }
  /// The i-th chunk in DCP's order. Absent where i >= chunk_count().
  [[nodiscard]] Lookup<ChunkView> chunk(std::uint32_t i) const noexcept;
  /// All chunks in DCP's order: `for (const auto chunk : tensor.chunks())`, each a Lookup.
  [[nodiscard]] IndexRange<TensorView, &TensorView::chunk> chunks() const noexcept;
  /// The i-th chunk by rows: sorted by offsets. Absent where i >= chunk_count().
  [[nodiscard]] Lookup<ChunkView> chunk_by_row(std::uint32_t i) const noexcept;
  /// The chunk that starts at `offset` (ndim() values; another number of values is absent). O(ndim * log chunks).
  [[nodiscard]] Lookup<ChunkView> find_chunk(std::span<const std::int64_t> offset) const noexcept;
};

/// StorageMeta, read in place. Unset is None.
class StorageMetaView {
 public:
  StorageMetaView() = default;
  [[nodiscard]] std::optional<std::string_view> checkpoint_id() const noexcept;
  [[nodiscard]] std::optional<std::string_view> save_id() const noexcept;
  [[nodiscard]] std::optional<std::string_view> load_id() const noexcept;
  [[nodiscard]] StorageMeta to_value() const;

 private:
  friend struct ViewAccess;
  const Columns* columns_ = nullptr;
};

/// Half-open range of positions in the sorted order.
struct EntryRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  [[nodiscard]] std::uint32_t size() const noexcept { return end - begin; }
};

/// Metadata as a whole.
class MetadataView {
 public:
  MetadataView() = default;
  explicit MetadataView(const Columns& columns) noexcept : columns_(&columns) {}
  explicit MetadataView(const Columns&&) = delete;

  /// Number of FQNs.
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(columns_->entries.size()); }

  /// state_dict_metadata[fqn]. Compared as bytes. O(1): hash column, at most 32 probes, then binary search.
  [[nodiscard]] Lookup<EntryView> find(std::string_view fqn) const noexcept;
  /// storage_data[index]. The hint takes no part.
  [[nodiscard]] Lookup<StorageInfoView> find(const MetadataIndex& index) const noexcept;
  /// The same without a MetadataIndex at hand; no offset is None.
  [[nodiscard]] Lookup<StorageInfoView> find_storage(
      std::string_view fqn, std::optional<std::span<const std::int64_t>> offset) const noexcept;

  /// The entry at a position of the sorted order. Absent where out of range.
  [[nodiscard]] Lookup<EntryView> entry(std::uint32_t position) const noexcept;
  /// All entries, sorted by FQN: `for (const auto entry : view.entries())`, each a Lookup.
  [[nodiscard]] IndexRange<MetadataView, &MetadataView::entry> entries() const noexcept;
  /// The i-th entry in the order of DCP's dictionary. Absent where out of range.
  [[nodiscard]] Lookup<EntryView> entry_in_dcp_order(std::uint32_t i) const noexcept;
  /// All FQNs that begin with `prefix`, as a range that is not empty; absent where there is none. O(log n).
  [[nodiscard]] Lookup<EntryRange> prefix(std::string_view prefix) const noexcept;

  [[nodiscard]] std::uint32_t file_count() const noexcept;
  /// relative_path of a data file. Absent where out of range.
  [[nodiscard]] Lookup<std::string_view> file_name(std::uint32_t file) const noexcept;
  /// Nothing is known of a file that is out of range.
  [[nodiscard]] FileFacts file_facts(std::uint32_t file) const noexcept;

  [[nodiscard]] std::optional<StorageMetaView> storage_meta() const noexcept;
  [[nodiscard]] std::optional<std::string_view> version() const noexcept;
  /// "module qualname" where it is not DCP's own Metadata or _StorageInfo.
  [[nodiscard]] std::optional<std::string_view> metadata_class() const noexcept;
  [[nodiscard]] std::optional<std::string_view> storage_info_class() const noexcept;
  /// Every column as it lies in the file, for bulk work. Values are unchecked: a file that `verify` passes keeps the
  /// rules.
  [[nodiscard]] const Columns& columns() const noexcept { return *columns_; }

 private:
  const Columns* columns_ = nullptr;
};

inline IndexRange<TensorView, &TensorView::chunk> TensorView::chunks() const noexcept { return {*this, chunk_count()}; }
inline IndexRange<MetadataView, &MetadataView::entry> MetadataView::entries() const noexcept { return {*this, size()}; }

}  // namespace flatpoint
