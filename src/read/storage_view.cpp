// Storage information, data files, StorageMeta.
#include "columns/file_rows.hpp"
#include "columns/transform_lists.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
namespace {

std::optional<std::string> copied(const std::optional<ByteColumn>& column) {
  const auto text = as_text(column);
  return text ? std::optional<std::string>(*text) : std::nullopt;
}

}  // namespace

Lookup<StorageInfoView> ViewAccess::storage(const Columns& columns, std::uint64_t row,
                                            std::uint64_t length_at) noexcept {
  Lookup<StorageInfoView> answer(LookupStatus::Corrupt);
  StorageInfoView& view = answer.value_;
  const auto stored = columns::stored_row(columns, row, length_at);
  if (!stored) return answer;
  view.columns_ = &columns;
  view.file_ = stored->file;
  if (!stored->is_stored()) {
    answer.status_ = LookupStatus::Absent;
    return answer;
  }
  const auto path = text_at(columns.file_names, view.file_);
  if (!path) return answer;
  view.relative_path_ = *path;
  view.byte_offset_ = stored->byte_offset;
  view.length_ = stored->length;
  if (stored->transforms != 0) {
    view.has_transforms_ = true;
    const auto list = columns::transform_list(columns, stored->transforms - 1U);
    if (!list) return answer;
    view.transforms_begin_ = list->begin;
    view.transforms_count_ = list->size;
  }
  answer.status_ = LookupStatus::Found;
  return answer;
}

namespace {

/// Bytes of a chunk; unset where they leave 64 bits, or a size is negative.
std::optional<std::uint64_t> byte_count(const ChunkView& chunk, std::uint64_t item) noexcept {
  bool fits = true;
  bool is_empty = false;
  std::uint64_t bytes = item;
  for (unsigned d = 0; d < chunk.ndim(); ++d) {
    const std::int64_t size = chunk.size(static_cast<std::uint8_t>(d));
    if (size < 0) return std::nullopt;
    is_empty = is_empty || size == 0;
    fits = fits && base::multiply(bytes, static_cast<std::uint64_t>(size), bytes);
  }
  if (is_empty) return 0;
  return fits ? std::optional(bytes) : std::nullopt;
}

std::uint32_t data_begin_of(const Columns& columns, std::uint32_t row) noexcept {
  const auto begins = columns.chunk_data_begins;
  return begins.empty() ? kNoDataBegin : base::read_once(begins, begins.size() == 1 ? 0 : row);
}

}  // namespace

Lookup<ChunkData> ViewAccess::data(const ChunkView& chunk) noexcept {
  const Columns& columns = *chunk.columns_;
  const std::uint32_t begin = data_begin_of(columns, chunk.row());
  const std::uint32_t item = item_size(chunk.entry_.properties.dtype);
  if (begin == kNoDataBegin || item == 0) return LookupStatus::Absent;
  const auto storage = chunk.storage();
  if (!storage) return storage.status();
  const auto bytes = byte_count(chunk, item);
  const std::uint64_t file_length =
      columns.file_lengths.empty() ? kNoFileLength : base::read_once(columns.file_lengths, storage->file());
  if (storage->transform_count().value_or(0) > 0 || !bytes || !base::in_range(begin, *bytes, storage->length()) ||
      !base::in_range(storage->byte_offset(), storage->length(), file_length)) {
    return LookupStatus::Corrupt;
  }
  const std::uint64_t checksum =
      columns.chunk_checksums.empty() ? kNoChecksum : base::read_once(columns.chunk_checksums, chunk.row());
  return ChunkData{storage->file(), storage->byte_offset() + begin, *bytes,
                   checksum == kNoChecksum ? std::nullopt : std::optional(checksum)};
}

Lookup<ChunkData> ChunkView::data() const noexcept { return ViewAccess::data(*this); }

std::optional<std::uint32_t> StorageInfoView::transform_count() const noexcept {
  return has_transforms_ ? std::optional(transforms_count_) : std::nullopt;
}

std::string_view StorageInfoView::transform_descriptor(std::uint32_t i) const noexcept {
  return text_at(columns_->transform_names, std::size_t{transforms_begin_} + i).value_or(std::string_view());
}

StorageInfo StorageInfoView::to_value() const {
  StorageInfo info{std::string(relative_path_), byte_offset_, length_, std::nullopt};
  if (has_transforms_) {
    auto& descriptors = info.transform_descriptors.emplace();
    for (std::uint32_t i = 0; i < transforms_count_; ++i) descriptors.emplace_back(transform_descriptor(i));
  }
  return info;
}

std::uint32_t MetadataView::file_count() const noexcept {
  return static_cast<std::uint32_t>(columns_->file_names.ends.size());
}

Lookup<std::string_view> MetadataView::file_name(std::uint32_t file) const noexcept {
  if (file >= file_count()) return LookupStatus::Absent;
  const auto name = text_at(columns_->file_names, file);
  return name ? Lookup<std::string_view>(*name) : Lookup<std::string_view>(LookupStatus::Corrupt);
}

FileFacts MetadataView::file_facts(std::uint32_t file) const noexcept {
  const auto known = [file](const auto& column, auto unknown) {
    const auto value = file < column.size() ? base::read_once(column, file) : unknown;
    return value == unknown ? std::nullopt : std::optional(value);
  };
  return {known(columns_->file_lengths, kNoFileLength), known(columns_->file_times, kNoFileTime),
          known(columns_->file_formats, FileFormat::Unknown).value_or(FileFormat::Unknown)};
}

StorageMetaView ViewAccess::storage_meta(const Columns& columns) noexcept {
  StorageMetaView view;
  view.columns_ = &columns;
  return view;
}

std::optional<StorageMetaView> MetadataView::storage_meta() const noexcept {
  if (!columns_->storage_meta) return std::nullopt;
  return ViewAccess::storage_meta(*columns_);
}

std::optional<std::string_view> MetadataView::version() const noexcept { return as_text(columns_->version); }

std::optional<std::string_view> MetadataView::metadata_class() const noexcept {
  return as_text(columns_->metadata_class);
}

std::optional<std::string_view> MetadataView::storage_info_class() const noexcept {
  return as_text(columns_->storage_info_class);
}

std::optional<std::string_view> StorageMetaView::checkpoint_id() const noexcept {
  return as_text(columns_->storage_meta->checkpoint_id);
}
std::optional<std::string_view> StorageMetaView::save_id() const noexcept {
  return as_text(columns_->storage_meta->save_id);
}
std::optional<std::string_view> StorageMetaView::load_id() const noexcept {
  return as_text(columns_->storage_meta->load_id);
}

StorageMeta StorageMetaView::to_value() const {
  const StorageMetaColumns& columns = *columns_->storage_meta;
  StorageMeta meta;
  meta.checkpoint_id = copied(columns.checkpoint_id);
  meta.checkpoint_id_type = columns.checkpoint_id_type;
  meta.save_id = copied(columns.save_id);
  meta.load_id = copied(columns.load_id);
  if (!columns.has_modules) {
    meta.modules.reset();
    return meta;
  }
  for (std::size_t i = 0; i < columns.modules.ends.size(); ++i) {
    meta.modules->emplace_back(text_at(columns.modules, i).value_or(std::string_view()));
  }
  return meta;
}

}  // namespace flatpoint
