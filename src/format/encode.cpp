#include "format/encode.hpp"

#include "base/format.hpp"
#include "format/constants.hpp"
#include "format/trailer.hpp"
#include "format/wire.hpp"

namespace flatpoint::format {
namespace {

/// Lets FlatBuffers build straight into a Buffer that has room for the trailer at its end. One allocation, never grown.
class BufferAllocator final : public flatbuffers::Allocator {
 public:
  std::uint8_t* allocate(std::size_t size) override {
    buffer = Buffer(size + kTrailerSize);
    return reinterpret_cast<std::uint8_t*>(buffer.mutable_bytes().data());
  }
  void deallocate(std::uint8_t*, std::size_t) override {}

  Buffer buffer;
};

ByteColumn etag_bytes(const SourceRecord& source) {
  return {reinterpret_cast<const std::uint8_t*>(source.etag.data()), source.etag.size()};
}

/// Calls visit(column) for every vector of the file.
template <class Visit>
void for_each_column(const Columns& c, Visit&& visit) {
  const auto text = [&](const TextColumn& column) { visit(column.bytes), visit(column.ends); };
  visit(c.entries), visit(c.fqns), visit(c.fqn_slots), visit(c.fqn_order);
  visit(c.sizes), visit(c.boxes), visit(c.chunk_order);
  visit(c.chunk_files), visit(c.chunk_byte_offsets), visit(c.chunk_lengths), visit(c.chunk_transforms);
  text(c.file_names), text(c.type_names), text(c.transform_names), visit(c.transform_lists);
  visit(c.storage_order), visit(c.index_hints), visit(c.loose_storage);
  visit(c.fqn_paths), visit(c.path_elements), visit(c.path_ends), visit(c.planner_order);
  visit(c.opaque), visit(c.opaque_names), visit(c.opaque_pickles);
  const auto optional = [&](const std::optional<ByteColumn>& column) { visit(column.value_or(ByteColumn())); };
  optional(c.version), optional(c.metadata_class), optional(c.storage_info_class);
  visit(c.chunk_data_begins), visit(c.chunk_checksums);
  visit(c.file_lengths), visit(c.file_times), visit(c.file_formats);
  if (c.storage_meta) {
    optional(c.storage_meta->checkpoint_id), optional(c.storage_meta->save_id), optional(c.storage_meta->load_id);
    text(c.storage_meta->modules);
  }
  if (c.source) visit(etag_bytes(*c.source));
}

using Builder = flatbuffers::FlatBufferBuilder;

/// Where vectors lie in the buffer that is being built; 0 is absent.
template <class Wire>
using VectorOffset = flatbuffers::Offset<flatbuffers::Vector<Wire>>;

template <class Wire, class Row>
VectorOffset<Wire> present(Builder& builder, std::span<const Row> column) {
  builder.StartVector(column.size(), sizeof(Row), alignof(Row));
  builder.PushBytes(reinterpret_cast<const std::uint8_t*>(column.data()), column.size_bytes());
  return VectorOffset<Wire>(builder.EndVector(column.size()));
}

template <class Wire, class Row>
VectorOffset<Wire> unless_empty(Builder& builder, std::span<const Row> column) {
  return column.empty() ? VectorOffset<Wire>() : present<Wire>(builder, column);
}

VectorOffset<std::uint8_t> unless_unset(Builder& builder, const std::optional<ByteColumn>& column) {
  return column ? present<std::uint8_t>(builder, *column) : VectorOffset<std::uint8_t>();
}

flatbuffers::Offset<fb::StorageMeta> put_storage_meta(Builder& builder, const StorageMetaColumns& meta) {
  const auto checkpoint_id = unless_unset(builder, meta.checkpoint_id);
  const auto save_id = unless_unset(builder, meta.save_id);
  const auto load_id = unless_unset(builder, meta.load_id);
  const auto modules = unless_empty<std::uint8_t>(builder, meta.modules.bytes);
  const auto module_ends = unless_empty<std::uint32_t>(builder, meta.modules.ends);
  return fb::CreateStorageMeta(builder, checkpoint_id, static_cast<fb::PathType>(meta.checkpoint_id_type), save_id,
                               load_id, meta.has_modules, modules, module_ends);
}

flatbuffers::Offset<fb::Source> put_source(Builder& builder, const SourceRecord& source) {
  const auto etag = unless_empty<std::uint8_t>(builder, etag_bytes(source));
  return fb::CreateSource(builder, source.length, source.digest, source.modified_ns, source.modified_recently, etag,
                          static_cast<fb::SourceKind>(source.kind));
}

/// FlatBuffers builds from the end of the file to its beginning: what is put last lies first. Large columns go behind,
/// small ones near the root, so that opening touches few pages.
flatbuffers::Offset<fb::Metadata> put_columns(Builder& b, const Columns& c) {
  const auto opaque_pickles = unless_empty<std::uint8_t>(b, c.opaque_pickles);
  const auto storage_order = unless_empty<std::uint32_t>(b, c.storage_order);
  const auto chunk_transforms = unless_empty<std::uint16_t>(b, c.chunk_transforms);
  const auto chunk_checksums = unless_empty<std::uint64_t>(b, c.chunk_checksums);
  const auto chunk_data_begins = unless_empty<std::uint32_t>(b, c.chunk_data_begins);
  const auto chunk_order = unless_empty<std::uint32_t>(b, c.chunk_order);
  const auto chunk_byte_offsets = unless_empty<std::uint64_t>(b, c.chunk_byte_offsets);
  const auto chunk_files = unless_empty<std::uint32_t>(b, c.chunk_files);
  const auto boxes = unless_empty<std::int64_t>(b, c.boxes);
  const auto planner_order = unless_empty<std::uint32_t>(b, c.planner_order);
  const auto fqn_paths = unless_empty<std::uint16_t>(b, c.fqn_paths);
  const auto fqn_order = unless_empty<std::uint32_t>(b, c.fqn_order);
  const auto fqns = present<std::uint8_t>(b, c.fqns);
  const auto entries = present<const fb::Entry*>(b, c.entries);
  const auto fqn_slots = present<std::uint32_t>(b, c.fqn_slots);
  const auto chunk_lengths = unless_empty<std::uint64_t>(b, c.chunk_lengths);
  const auto sizes = unless_empty<std::int64_t>(b, c.sizes);
  const auto file_names = unless_empty<std::uint8_t>(b, c.file_names.bytes);
  const auto file_name_ends = unless_empty<std::uint32_t>(b, c.file_names.ends);
  const auto file_lengths = unless_empty<std::uint64_t>(b, c.file_lengths);
  const auto file_times = unless_empty<std::int64_t>(b, c.file_times);
  const auto file_formats = unless_empty<fb::FileFormat>(b, c.file_formats);
  const auto index_hints = unless_empty<const fb::IndexHint*>(b, c.index_hints);
  const auto loose_storage = unless_empty<const fb::LooseStorage*>(b, c.loose_storage);
  const auto opaque_names = unless_empty<std::uint8_t>(b, c.opaque_names);
  const auto opaque = unless_empty<const fb::OpaqueRecord*>(b, c.opaque);
  const auto path_elements = unless_empty<const fb::PathElement*>(b, c.path_elements);
  const auto path_ends = unless_empty<std::uint32_t>(b, c.path_ends);
  const auto transform_lists = unless_empty<const fb::TransformList*>(b, c.transform_lists);
  const auto transform_names = unless_empty<std::uint8_t>(b, c.transform_names.bytes);
  const auto transform_name_ends = unless_empty<std::uint32_t>(b, c.transform_names.ends);
  const auto type_names = unless_empty<std::uint8_t>(b, c.type_names.bytes);
  const auto type_name_ends = unless_empty<std::uint32_t>(b, c.type_names.ends);
  const auto metadata_class = unless_unset(b, c.metadata_class);
  const auto storage_info_class = unless_unset(b, c.storage_info_class);
  const auto version = unless_unset(b, c.version);
  const auto storage_meta =
      c.storage_meta ? put_storage_meta(b, *c.storage_meta) : flatbuffers::Offset<fb::StorageMeta>();
  const auto source = c.source ? put_source(b, *c.source) : flatbuffers::Offset<fb::Source>();
  return fb::CreateMetadata(
      b, kFormatMajor, kFormatMinor, c.fragment_rank, entries, fqns, fqn_slots, fqn_order, sizes, boxes, chunk_order,
      chunk_files, chunk_byte_offsets, chunk_lengths, chunk_transforms, file_names, file_name_ends, type_names,
      type_name_ends, transform_names, transform_name_ends, transform_lists, c.has_storage_data, storage_order,
      index_hints, loose_storage, c.has_planner_data, fqn_paths, path_elements, path_ends, planner_order, storage_meta,
      version, opaque, opaque_names, opaque_pickles, metadata_class, storage_info_class, source, chunk_data_begins,
      static_cast<fb::ChecksumKind>(c.checksum_kind), chunk_checksums, file_lengths, file_times, file_formats);
}

}  // namespace

std::uint64_t encoded_size_bound(const Columns& columns) noexcept {
  // Root, vtables, the two small tables and padding; 16 per vector for its length and alignment.
  std::uint64_t bound = 512 + kTrailerSize;
  for_each_column(columns, [&](const auto& column) { bound += column.size_bytes() + 16; });
  return bound;
}

Result<Buffer> encode(const Columns& columns) {
  const std::uint64_t bound = encoded_size_bound(columns);
  if (bound > kMaxFileSize) {
    return fail(
        ErrorCode::TooLarge,
        fmt::format("the file would have about {} bytes; the format ends below 2 GiB ({} bytes)", bound, kMaxFileSize));
  }
  BufferAllocator allocator;
  // FlatBuffers keeps its list of the root's fields in the same allocation while it builds.
  constexpr std::size_t kScratch = 1024;
  const std::size_t room = (static_cast<std::size_t>(bound) - kTrailerSize + kScratch + 7) / 8 * 8;
  Builder builder(room, &allocator, /*own_allocator=*/false, /*buffer_minalign=*/8);
  builder.Align(8);  // so that Finish pads to 8 where no column needs it
  builder.Finish(put_columns(builder, columns), kIdentifier);
  const std::size_t size = builder.GetSize();
  Buffer file = std::move(allocator.buffer);
  file.drop_front(room - size);
  write_trailer(file.mutable_bytes());
  return file;
}

}  // namespace flatpoint::format
