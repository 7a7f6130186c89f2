#include "format/decode.hpp"

#include <array>
#include <bit>
#include <cstring>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "format/constants.hpp"
#include "format/table_reader.hpp"
#include "format/trailer.hpp"
#include "format/wire.hpp"

namespace flatpoint::format {
namespace {

using base::broken_rule;

/// Rules F1 to F4: is this a whole metadata file? Returns the FlatBuffer without its trailer.
Result<std::span<const std::byte>> check_frame(std::span<const std::byte> file, const base::ByteSource& source) {
  std::array<std::byte, 4> identifier{};
  if (file.size() < kIdentifierAt + identifier.size() || !source.read(kIdentifierAt, identifier) ||
      std::memcmp(identifier.data(), kIdentifier, identifier.size()) != 0) {
    return broken_rule(
        "F1",
        fmt::format("not a flatpoint file: bytes 4 to 7 are not \"{}\" ({} bytes in all)", kIdentifier, file.size()),
        ErrorCode::NotFlatpoint);
  }
  if (file.size() > kMaxFileSize) {
    return broken_rule("F4", fmt::format("{} bytes, the format ends below 2 GiB", file.size()), ErrorCode::TooLarge);
  }
  if (file.size() < kTrailerSize) {
    return broken_rule("F2", fmt::format("truncated: {} bytes, the trailer alone has {}", file.size(), kTrailerSize),
                       ErrorCode::Truncated);
  }
  std::array<std::byte, kTrailerSize> end{};
  bool magic_ok = false;
  const bool was_read = source.read(file.size() - kTrailerSize, end);
  const Trailer trailer = read_trailer(end, magic_ok);
  if (!was_read || !magic_ok) {
    return broken_rule("F2", fmt::format("truncated or appended: no trailer at byte {}", file.size() - kTrailerSize),
                       ErrorCode::Truncated);
  }
  if (trailer.flatbuffer_length != file.size() - kTrailerSize) {
    return broken_rule("F3",
                       fmt::format("truncated or appended: the trailer at byte {} speaks of {} bytes before it",
                                   file.size() - kTrailerSize, trailer.flatbuffer_length),
                       ErrorCode::Truncated);
  }
  if (trailer.flatbuffer_length % 8 != 0) {
    return broken_rule("F3", fmt::format("FlatBuffer length {} is not a multiple of 8", trailer.flatbuffer_length));
  }
  return file.first(file.size() - kTrailerSize);
}

TextColumn text_column(TableReader& table, std::uint16_t bytes, std::uint16_t ends, const char* name) {
  return {table.column<std::uint8_t>(bytes, name), table.column<std::uint32_t>(ends, name)};
}

StorageMetaColumns read_storage_meta(TableReader table) {
  using T = fb::StorageMeta;
  StorageMetaColumns meta;
  meta.checkpoint_id = table.vector<std::uint8_t>(T::VT_CHECKPOINT_ID, "storage_meta.checkpoint_id");
  meta.checkpoint_id_type = static_cast<PathType>(table.scalar<std::uint8_t>(T::VT_CHECKPOINT_ID_TYPE, 0));
  meta.save_id = table.vector<std::uint8_t>(T::VT_SAVE_ID, "storage_meta.save_id");
  meta.load_id = table.vector<std::uint8_t>(T::VT_LOAD_ID, "storage_meta.load_id");
  meta.has_modules = table.scalar<std::uint8_t>(T::VT_HAS_MODULES, 0) != 0;
  meta.modules = text_column(table, T::VT_MODULES, T::VT_MODULE_ENDS, "storage_meta.modules");
  return meta;
}

SourceRecord read_source(TableReader table) {
  using T = fb::Source;
  SourceRecord source;
  source.length = table.scalar<std::uint64_t>(T::VT_LENGTH, 0);
  source.digest = table.scalar<std::uint64_t>(T::VT_DIGEST, 0);
  source.modified_ns = table.scalar<std::int64_t>(T::VT_MODIFIED_NS, 0);
  source.modified_recently = table.scalar<std::uint8_t>(T::VT_MODIFIED_RECENTLY, 0) != 0;
  const auto etag = table.column<std::uint8_t>(T::VT_ETAG, "source.etag");
  source.etag = {reinterpret_cast<const char*>(etag.data()), etag.size()};
  source.kind = static_cast<SourceKind>(table.scalar<std::uint8_t>(T::VT_KIND, 0));
  return source;
}

void read_columns(TableReader& root, Columns& c) {
  using T = fb::Metadata;
  c.fragment_rank = root.scalar<std::int32_t>(T::VT_FRAGMENT_RANK, -1);
  c.entries = root.required<EntryRow>(T::VT_ENTRIES, "entries");
  c.fqns = root.required<std::uint8_t>(T::VT_FQNS, "fqns");
  c.fqn_slots = root.required<std::uint32_t>(T::VT_FQN_SLOTS, "fqn_slots");
  c.fqn_order = root.column<std::uint32_t>(T::VT_FQN_ORDER, "fqn_order");
  c.sizes = root.column<std::int64_t>(T::VT_SIZES, "sizes");
  c.boxes = root.column<std::int64_t>(T::VT_BOXES, "boxes");
  c.chunk_order = root.column<std::uint32_t>(T::VT_CHUNK_ORDER, "chunk_order");
  c.chunk_files = root.column<std::uint32_t>(T::VT_CHUNK_FILES, "chunk_files");
  c.chunk_byte_offsets = root.column<std::uint64_t>(T::VT_CHUNK_BYTE_OFFSETS, "chunk_byte_offsets");
  c.chunk_lengths = root.column<std::uint64_t>(T::VT_CHUNK_LENGTHS, "chunk_lengths");
  c.chunk_transforms = root.column<std::uint16_t>(T::VT_CHUNK_TRANSFORMS, "chunk_transforms");
  c.file_names = text_column(root, T::VT_FILE_NAMES, T::VT_FILE_NAME_ENDS, "file_names");
  c.type_names = text_column(root, T::VT_TYPE_NAMES, T::VT_TYPE_NAME_ENDS, "type_names");
  c.transform_names = text_column(root, T::VT_TRANSFORM_NAMES, T::VT_TRANSFORM_NAME_ENDS, "transform_names");
  c.transform_lists = root.column<TransformListRow>(T::VT_TRANSFORM_LISTS, "transform_lists");
  c.has_storage_data = root.scalar<std::uint8_t>(T::VT_HAS_STORAGE_DATA, 0) != 0;
  c.storage_order = root.column<std::uint32_t>(T::VT_STORAGE_ORDER, "storage_order");
  c.index_hints = root.column<IndexHintRow>(T::VT_INDEX_HINTS, "index_hints");
  c.loose_storage = root.column<LooseStorageRow>(T::VT_LOOSE_STORAGE, "loose_storage");
  c.has_planner_data = root.scalar<std::uint8_t>(T::VT_HAS_PLANNER_DATA, 0) != 0;
  c.fqn_paths = root.column<std::uint16_t>(T::VT_FQN_PATHS, "fqn_paths");
  c.path_elements = root.column<PathElementRow>(T::VT_PATH_ELEMENTS, "path_elements");
  c.path_ends = root.column<std::uint32_t>(T::VT_PATH_ENDS, "path_ends");
  c.planner_order = root.column<std::uint32_t>(T::VT_PLANNER_ORDER, "planner_order");
  c.version = root.vector<std::uint8_t>(T::VT_VERSION, "version");
  c.opaque = root.column<OpaqueRecordRow>(T::VT_OPAQUE, "opaque");
  c.opaque_names = root.column<std::uint8_t>(T::VT_OPAQUE_NAMES, "opaque_names");
  c.opaque_pickles = root.column<std::uint8_t>(T::VT_OPAQUE_PICKLES, "opaque_pickles");
  c.metadata_class = root.vector<std::uint8_t>(T::VT_METADATA_CLASS, "metadata_class");
  c.storage_info_class = root.vector<std::uint8_t>(T::VT_STORAGE_INFO_CLASS, "storage_info_class");
  c.chunk_data_begins = root.column<std::uint32_t>(T::VT_CHUNK_DATA_BEGINS, "chunk_data_begins");
  c.checksum_kind = static_cast<ChecksumKind>(root.scalar<std::uint8_t>(T::VT_CHECKSUM_KIND, 0));
  c.chunk_checksums = root.column<std::uint64_t>(T::VT_CHUNK_CHECKSUMS, "chunk_checksums");
  c.file_lengths = root.column<std::uint64_t>(T::VT_FILE_LENGTHS, "file_lengths");
  c.file_times = root.column<std::int64_t>(T::VT_FILE_TIMES, "file_times");
  c.file_formats = root.column<FileFormat>(T::VT_FILE_FORMATS, "file_formats");
}

/// Rule F8: columns that run beside each other have the same length.
Result<void> check_sizes(const Columns& c) {
  const auto broken = [](const char* mismatch) { return broken_rule("F8", mismatch); };
  const std::size_t entries = c.entries.size();
  const std::size_t rows = c.chunk_files.size();
  const std::size_t files = c.file_names.ends.size();
  const auto absent_or = [](std::size_t size, std::size_t wanted) { return size == 0 || size == wanted; };
  if (!std::has_single_bit(c.fqn_slots.size()) || c.fqn_slots.size() < 2 * entries) {
    return broken("fqn_slots is not a power of two of at least twice the entries");
  }
  if (!absent_or(c.fqn_order.size(), entries)) return broken("fqn_order has not one value per entry");
  if (!absent_or(c.fqn_paths.size(), entries)) return broken("fqn_paths has not one value per entry");
  if (c.planner_order.size() > entries) return broken("planner_order has more values than entries");
  if (c.loose_storage.size() > rows) return broken("loose_storage has more rows than chunk_files");
  if (!absent_or(c.chunk_byte_offsets.size(), rows))
    return broken("chunk_byte_offsets has not one value per row of chunk_files");
  if (!absent_or(c.chunk_transforms.size(), rows))
    return broken("chunk_transforms has not one value per row of chunk_files");
  if (c.chunk_data_begins.size() != 1 && !absent_or(c.chunk_data_begins.size(), rows))
    return broken("chunk_data_begins has neither one value nor one per row of chunk_files");
  if (!absent_or(c.chunk_checksums.size(), rows))
    return broken("chunk_checksums has not one value per row of chunk_files");
  if (!absent_or(c.file_lengths.size(), files)) return broken("file_lengths has not one value per data file");
  if (!absent_or(c.file_times.size(), files)) return broken("file_times has not one value per data file");
  if (!absent_or(c.file_formats.size(), files)) return broken("file_formats has not one value per data file");
  if (c.storage_order.size() > rows) return broken("storage_order has more values than rows of chunk_files");
  return {};
}

}  // namespace

Result<Columns> decode(std::span<const std::byte> file) { return decode(file, base::MemorySource(file)); }

Result<Columns> decode(std::span<const std::byte> file, const base::ByteSource& source) {
  const auto frame = check_frame(file, source);
  RETURN_IF_ERROR(frame);
  BufferReader buffer(*frame, source);
  const auto root_at = buffer.follow(0);
  RETURN_IF_ERROR(buffer.status());
  TableReader root(buffer, *root_at);

  Columns columns;
  // The version comes first: a newer major may have a shape that today's checks refuse.
  columns.format_major = root.scalar<std::uint16_t>(fb::Metadata::VT_FORMAT_MAJOR, 0);
  columns.format_minor = root.scalar<std::uint16_t>(fb::Metadata::VT_FORMAT_MINOR, 0);
  RETURN_IF_ERROR(buffer.status());
  if (columns.format_major != kFormatMajor) {
    return broken_rule("F7",
                       fmt::format("format version {}.{}; this reader knows {}.x", columns.format_major,
                                   columns.format_minor, kFormatMajor),
                       ErrorCode::Version);
  }
  read_columns(root, columns);
  if (const auto at = root.reference(fb::Metadata::VT_STORAGE_META))
    columns.storage_meta = read_storage_meta({buffer, *at});
  if (const auto at = root.reference(fb::Metadata::VT_SOURCE)) columns.source = read_source({buffer, *at});
  RETURN_IF_ERROR(buffer.status());
  RETURN_IF_ERROR(check_sizes(columns));
  return columns;
}

}  // namespace flatpoint::format
