// flatpoint/builder.hpp - say what a checkpoint holds, get the bytes of its metadata file.
//
//   auto builder = flatpoint::MetadataBuilder::create();
//   const std::uint32_t file = builder.add_file("__0_0.distcp");
//   auto weight = builder.add_tensor("model.weight", properties, size);
//   if (!weight) return report(weight.error().message);
//   const auto added = builder.add_chunk(*weight, offsets, sizes, {.file = file, .byte_offset = 0, .length = 4096});
//   if (!added) return report(added.error().message);
//   const auto bytes = std::move(builder).finish();       // then write_file, or MetadataFile::from_buffer
//   if (!bytes) return report(bytes.error().message);
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/sharding.hpp"
#include "flatpoint/storage_meta.hpp"
#include "flatpoint/tensor_properties.hpp"

namespace flatpoint {

namespace write {
struct BuilderState;
}

enum class Checks {
  Strict,    // what no save can mean is an error: chunks outside their tensor, that overlap, of negative size, ...
  Preserve,  // keeps whatever has a place in the file, as import and merge do; `verify` reports it
};

/// A tensor of one builder.
enum class TensorId : std::uint32_t {};

/// _StorageInfo of one chunk or one bytes item, in numbers of the builder.
struct StoredAt {
  std::uint32_t file = kNoFile;  // of add_file; kNoFile: no storage information
  std::uint64_t byte_offset = 0;
  std::uint64_t length = 0;      // bytes
  std::uint16_t transforms = 0;  // of add_transforms; 0: None
  std::uint32_t rank = 0;        // the rank that writes it; in a fragment the fragment's, whatever stands here
  // Of a chunk of a tensor whose elements have a size; elsewhere they are dropped.
  std::uint32_t data_begin = kNoDataBegin;  // bytes from byte_offset to the first element (rule E7 of docs/format.md)
  std::uint64_t checksum = kNoChecksum;     // of the elements' bytes, of the kind that set_checksum_kind says
};

/// Many chunks as columns. A column with "one for all" has a value per chunk, or a single one.
struct ChunkColumns {
  std::size_t count = 0;                    // chunks
  std::span<const std::int64_t> offsets{};  // per chunk one per dimension, row-major
  std::span<const std::int64_t> sizes{};    // likewise
  StoredColumns stored{};  // numbers of add_file and add_transforms; offsets and lengths where files are
  std::span<const std::uint32_t> ranks{};  // the rank that writes each; one for all; empty: 0
};

/// Many tensors as columns, with all their chunks.
struct TensorColumns {
  std::span<const std::string_view> fqns{};
  std::span<const TensorProperties> properties{};  // one for all
  std::span<const std::uint8_t> dimensions{};      // of each tensor; one for all
  std::span<const std::int64_t> sizes{};           // per tensor one per dimension
  std::span<const std::uint32_t> chunk_counts{};   // one for all
  ChunkColumns chunks{};                           // tensor after tensor; `count` is the sum of chunk_counts
};

/// One element of a planner path: DCP keeps dictionary keys as str and list positions as int.
using PlannerKey = std::variant<std::string_view, std::int64_t>;

/// Collects facts and writes them as a metadata file. Copies all that it is given. Move-only; not thread-safe.
///
/// The order of calls never matters: equal facts give equal bytes. DCP's dictionaries get the builder's own order: FQNs
/// by bytes, a tensor's chunks by the rank that writes them, then offset, storage data by file, then offset, files by
/// the lowest rank that writes into them, then name.
///
/// With Checks::Strict these are errors, each naming the FQN and the numbers: negative sizes, more elements than int64
/// holds, chunks outside their tensor, chunks that overlap or begin at one offset, lengths that leave uint64. Always
/// errors: an FQN declared twice, columns whose lengths do not fit, unknown numbers, more than 255 dimensions, 2 GiB,
/// data that do not lie inside their range and file or are transformed (rule E7). A call that failed has added nothing.
class MetadataBuilder {
 public:
  /// For a whole checkpoint.
  static MetadataBuilder create(Checks checks = Checks::Strict);
  /// For the fragment of one rank: what that rank writes. `merge` joins fragments. REQUIRES: fragment_rank < 2^31.
  static MetadataBuilder create_fragment(std::uint32_t fragment_rank, Checks checks = Checks::Strict);

  MetadataBuilder(MetadataBuilder&&) noexcept;
  MetadataBuilder& operator=(MetadataBuilder&&) noexcept;
  ~MetadataBuilder();

  /// The number of a data file, by its relative_path. Equal names have one number.
  std::uint32_t add_file(std::string_view relative_path);

  /// What a data file was like when the begins of the data in it were found. Errors: InvalidArgument for a number that
  /// add_file did not give; Conflict where other facts were set before.
  [[nodiscard]] Result<void> set_file_facts(std::uint32_t file, const FileFacts& facts);

  /// What the checksums of chunks are; Xxh3 where nothing is said. Errors: InvalidArgument for Absent; Conflict where
  /// another kind was set before.
  [[nodiscard]] Result<void> set_checksum_kind(ChecksumKind kind);

  /// The number of a list of transform descriptors, in DCP's stored order. Errors: TooLarge above 65 534 lists.
  [[nodiscard]] Result<std::uint16_t> add_transforms(std::span<const std::string_view> descriptors,
                                                     SequenceType type = SequenceType::List);

  /// Errors: InvalidArgument. Whether the FQN is declared twice comes out in `finish`.
  [[nodiscard]] Result<TensorId> add_tensor(std::string_view fqn, const TensorProperties& properties,
                                            std::span<const std::int64_t> size);

  /// The same with the chunks that it names; `stored` has a place for each, or none. Errors: InvalidArgument, TooLarge.
  [[nodiscard]] Result<TensorId> add_tensor(std::string_view fqn, const TensorStorageMetadata& tensor,
                                            std::span<const StoredAt> stored = {});

  /// Errors: InvalidArgument, TooLarge.
  [[nodiscard]] Result<void> add_chunk(TensorId tensor, std::span<const std::int64_t> offsets,
                                       std::span<const std::int64_t> sizes, const StoredAt& stored = {});
  [[nodiscard]] Result<void> add_chunks(TensorId tensor, const ChunkColumns& chunks);

  /// All chunks of a sharded tensor, each written by the lowest rank that holds it: `stored` has a value per chunk in
  /// the order of sharding.chunk_ranks(), or one for all. Errors: InvalidArgument, also in a fragment, which holds one
  /// rank's chunk (Sharding::local_box) only.
  [[nodiscard]] Result<void> add_sharded(TensorId tensor, const Sharding& sharding, const StoredColumns& stored = {});

  /// Adds tensors with their chunks; returns the first one's id, the others count up from it.
  [[nodiscard]] Result<TensorId> add_tensors(const TensorColumns& tensors);

  /// Something that is no tensor (BytesStorageMetadata).
  [[nodiscard]] Result<void> add_bytes(std::string_view fqn, const StoredAt& stored = {});

  /// planner_data[fqn]. REQUIRES: the keys, joined with dots, are the FQN. Errors: InvalidArgument where they are not.
  [[nodiscard]] Result<void> set_planner_path(std::string_view fqn, std::span<const PlannerKey> path);

  /// Errors: Conflict where another value was set before.
  [[nodiscard]] Result<void> set_storage_meta(const StorageMeta& meta);
  [[nodiscard]] Result<void> set_version(std::string_view version);

  /// The finished file. Errors: Conflict, InvalidArgument, TooLarge. The builder is used up, also by an error.
  [[nodiscard]] Result<Buffer> finish() &&;

 private:
  explicit MetadataBuilder(std::unique_ptr<write::BuilderState> state) noexcept;
  std::unique_ptr<write::BuilderState> state_;
};

}  // namespace flatpoint
