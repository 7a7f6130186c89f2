// flatpoint/data.hpp - the bytes of a checkpoint: where each chunk's lie, and any box of any tensor. Target
// flatpoint::data.
//
//   const auto checkpoint = flatpoint::dcp::open_checkpoint("ckpt/");
//   const auto reader = flatpoint::data::Reader::open(*checkpoint);
//   const auto read = reader->read(tensor, offsets, sizes, {.data = mine});
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/box_ranges.hpp"
#include "flatpoint/buffer.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/load_plan.hpp"

namespace flatpoint::data {

/// Bytes of a data file (MetadataView::file_name).
struct ByteRange {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};

/// Where the bytes of data files come from instead of the local file system: an object store, say. Called by many
/// threads at once.
class RangeReader {
 public:
  struct Request {
    std::uint64_t offset;
    std::span<std::byte> to;
  };
  virtual ~RangeReader() = default;
  /// Fills every request of a batch, or fails.
  [[nodiscard]] virtual Result<void> read(std::string_view relative_path, std::span<const Request> batch) = 0;
};

struct ReaderOptions {
  std::uint32_t max_open_files = 256;
  /// Open data files whose path leaves the checkpoint's folder ("../x", "/x"). A metadata file from elsewhere may name
  /// any file of this machine.
  bool allow_outside = false;
  /// What an item behind stream.zstd may take in memory.
  std::uint64_t max_decompressed = std::uint64_t{16} << 30;
  std::shared_ptr<RangeReader> ranges;  // null: local files, by pread
};

/// Where a box goes: its first element, and bytes from one element to the next in each dimension; without strides the
/// box is written row-major without gaps. REQUIRES: memory for all of the box.
struct Destination {
  std::byte* data = nullptr;
  std::span<const std::int64_t> byte_strides;
};

struct ReadOptions {
  std::uint32_t threads = 1;
  std::uint64_t block =
      std::uint64_t{1} << 20;  // bytes read at once where rows are put in place; the L2 cache should hold it
  /// Rows apart are read at once, with what lies between them, where that is at most so many times their bytes.
  double max_over_read = 2.0;
  bool verify = false;  // check the checksum of every chunk that is touched, which reads all of it
  std::stop_token stop;
};

struct ReadReport {
  std::uint64_t needed_bytes = 0;
  std::uint64_t read_bytes = 0;
};

/// A chunk whose bytes lie in its file as they are: row-major, little-endian, of the tensor's dtype.
struct ChunkBytes {
  ByteRange range;
  // Of the bytes, where one is known without reading them: by the metadata, or by the item where that was asked.
  std::optional<std::uint32_t> crc32;
  std::optional<std::uint64_t> xxh3;
};

struct MappedChunk {
  std::span<const std::byte> bytes;  // valid as long as the reader
  std::size_t alignment;             // the largest power of two, up to 4096, that divides the address
};

/// How many bytes a box of a tensor has, 0 for an unknown dtype. Errors: TooLarge where they leave 63 bits: an item of
/// few bytes may state strides of 0 and any size.
[[nodiscard]] Result<std::uint64_t> box_bytes(const TensorView& tensor, std::span<const std::int64_t> sizes);

/// Reads tensors. Borrows the metadata file, which must outlive it. Move-only; all calls are safe from any number of
/// threads. Data files are opened on first use.
///
/// Where the metadata knows where a chunk's bytes begin (`find_data`), and its file has the length and the time that
/// are recorded there, nothing else is read. A file with another time, or none recorded, is asked: the ends of a
/// chunk's item are read once, must agree with the metadata, and are remembered. A RangeReader's files are taken for
/// the recorded ones.
///
/// Errors of all calls name the FQN, the file and the offset of the item. NotFound, Io, Truncated (a file ends too
/// early); Outside; BadItem, DtypeMismatch, SizeMismatch (an item is not what the metadata says); Changed (a file was
/// written or replaced since this reader first opened it, has another length than the metadata knows, or data that
/// begin elsewhere); NotPlain, UnknownTransform; Corrupt (the metadata file).
class Reader {
 public:
  [[nodiscard]] static Result<Reader> open(const MetadataView& metadata, const std::filesystem::path& folder,
                                           const ReaderOptions& options = {});
  [[nodiscard]] static Result<Reader> open(const dcp::OpenedCheckpoint& checkpoint, const ReaderOptions& options = {});
  [[nodiscard]] static Result<Reader> open(const dcp::OpenedCheckpoint&&, const ReaderOptions& = {}) = delete;

  /// Where a chunk's bytes lie. Errors: NotPlain where the item is compressed, or its elements have another order
  /// (`read` takes these), ...
  [[nodiscard]] Result<ChunkBytes> locate(const TensorView& tensor, const ChunkView& chunk) const;
  /// A chunk without copying it. Truncating the file raises SIGBUS when the bytes are touched. Errors as `locate`.
  [[nodiscard]] Result<MappedChunk> map(const TensorView& tensor, const ChunkView& chunk) const;
  /// The bytes that a plan's items need, by item, each in order of its elements, ranges that touch joined. Reads
  /// nothing but the ends of items that are not known yet. Errors as `locate`; TooLarge for more than `max_ranges`.
  [[nodiscard]] Result<std::vector<std::vector<ByteRange>>> ranges(const LoadPlan& plan,
                                                                   std::size_t max_ranges = std::size_t{1} << 24) const;

  /// The bytes of a box, with their place in it (box_ranges.hpp, whose promise holds). Looks into a data file only
  /// where the metadata does not know where a chunk's data begin. Errors as `locate`; InvalidArgument, Holes, TooLarge.
  [[nodiscard]] Result<std::vector<BoxRange>> ranges(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                                     std::span<const std::int64_t> sizes,
                                                     std::size_t max_ranges = std::size_t{1} << 24) const;

  /// A box of a tensor. Errors also: TooLarge as box_bytes; Holes names what no chunk holds; InvalidArgument for a box
  /// outside the tensor. After an error the memory holds anything.
  [[nodiscard]] Result<ReadReport> read(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                        std::span<const std::int64_t> sizes, const Destination& to,
                                        const ReadOptions& options = {}) const;
  /// Everything of a plan. `destinations`: per item, the wanted box that it goes into (an item of bytes: as many bytes
  /// as its length). REQUIRES: plan.size() destinations; sizes of a box without strides must be those of the whole box,
  /// so pass strides where a plan's box has several items. Errors also: Holes, and what else the plan's issues say.
  [[nodiscard]] Result<ReadReport> read(const LoadPlan& plan, std::span<const Destination> destinations,
                                        const ReadOptions& options = {}) const;

  /// A bytes item as it is, transforms undone: what `torch.load` takes. Errors also: Holes where there is none.
  [[nodiscard]] Result<std::vector<std::byte>> read_item(const EntryView& entry) const;
  /// A bytes item that is a plain Python value, as JSON; nothing of it is executed. Errors also: NotPlain names the
  /// class.
  [[nodiscard]] Result<std::string> read_value(const EntryView& entry) const;
  /// The same as a pickle of literals alone, which keeps tuples, sets, bytes and keys that are not str: whoever loads
  /// it runs nothing.
  [[nodiscard]] Result<Buffer> read_plain_pickle(const EntryView& entry) const;

  /// Compares a chunk's item with the metadata, and with `bytes` its checksums too. The result says whether a checksum
  /// covers the tensor's bytes. Errors also: Checksum.
  [[nodiscard]] Result<bool> check(const TensorView& tensor, const ChunkView& chunk, bool bytes) const;
  /// The same for a bytes item.
  [[nodiscard]] Result<bool> check(const EntryView& entry, bool bytes) const;

  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

 private:
  struct State;
  explicit Reader(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

/// What the elements of a tensor are like. Mean and deviation are those of the finite elements, the least and the
/// greatest those of all but NaN; they are 0 where there is none.
struct TensorStatistics {
  std::uint64_t elements = 0;
  std::uint64_t zeros = 0;
  std::uint64_t nans = 0;
  std::uint64_t infinities = 0;
  double min = 0;
  double max = 0;
  double mean = 0;
  double std = 0;  // of the whole, not of a sample: divided by the number of elements
};

/// In one pass over all bytes; `progress` is told of those that are done. Errors: those of Reader::read; NotPlain for
/// dtypes that are no real numbers.
[[nodiscard]] Result<TensorStatistics> statistics(const Reader& reader, const TensorView& tensor,
                                                  const std::function<void(std::uint64_t)>& progress = {});

/// What the data files show before one of them is opened.
struct FilesReport {
  /// "not_found", "truncated" (it ends before its last item does), "changed" (the metadata knows one of another
  /// length), "outside" (the path leaves the folder), "io".
  std::vector<Finding> broken;
  std::vector<Finding> findings;  // "unnamed_file": with an ending of data, but no item lies in it
  std::uint64_t suppressed = 0;
  std::uint32_t files = 0;
  std::uint32_t missing = 0;
  std::uint32_t too_short = 0;
  std::uint32_t fqns = 0;              // with items
  std::uint32_t lost = 0;              // of these, FQNs of which an item is not whole
  std::vector<std::uint64_t> lengths;  // by number; 0 where the file is missing

  [[nodiscard]] bool holds(std::uint32_t file, std::uint64_t offset, std::uint64_t length) const noexcept {
    return file < lengths.size() && length <= lengths[file] && offset <= lengths[file] - length;
  }
};

struct FilesOptions {
  bool allow_outside = false;  // as ReaderOptions has it
  bool unnamed_files = true;   // look for them
  std::size_t max_messages = 100;
};

/// Looks at the data files in a folder, not into them. Errors: Corrupt.
[[nodiscard]] Result<FilesReport> check_files(const MetadataView& metadata, const std::filesystem::path& folder,
                                              const FilesOptions& options = {});

struct FindDataOptions {
  bool checksums = false;      // read all of them once, and keep the XXH3-64 of each chunk
  bool allow_outside = false;  // as ReaderOptions has it
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes of items
};

struct FoundData {
  Buffer bytes;                 // the metadata file, with chunk_data_begins, file_lengths, file_times, file_formats
  std::uint64_t chunks = 0;     // that lie in a file
  std::uint64_t not_plain = 0;  // of these, chunks whose bytes do not lie there as they are: their begin stays unknown
};

/// Looks where the bytes of every chunk begin, by two small reads of its item, and writes that into a copy of the
/// metadata file; what that knew of data before is replaced. A file that was written less than two seconds ago gets no
/// time. Errors: those of Reader, which refuses files of another length than `metadata` knows; Changed also where a
/// file changes meanwhile; TooLarge.
[[nodiscard]] Result<FoundData> find_data(const MetadataView& metadata, const std::filesystem::path& folder,
                                          const FindDataOptions& options = {});

enum class CheckDepth : std::uint8_t {
  Items,  // size and dtype of every item; no two items share bytes
  Bytes,  // and every byte against its checksum
};

struct CheckOptions {
  CheckDepth depth = CheckDepth::Items;
  std::size_t max_messages = 100;
  const FilesReport* files = nullptr;  // items that are not whole are named there, and passed over
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes of items
};

/// What is broken (the name of an error's code, or "overlap") and what is merely odd ("not_plain").
struct CheckReport {
  std::vector<Finding> broken;
  std::vector<Finding> findings;
  std::uint64_t suppressed = 0;
  std::uint64_t items = 0;
  std::uint64_t checked_bytes = 0;     // of items whose checksum holds
  std::uint64_t without_checksum = 0;  // items
};

/// Every item of a checkpoint. Errors: Corrupt.
[[nodiscard]] Result<CheckReport> check(const Reader& reader, const MetadataView& metadata,
                                        const CheckOptions& options = {});

}  // namespace flatpoint::data
