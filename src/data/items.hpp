// data/items.hpp - where the elements of a chunk lie, as its item says.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "archive/torch_item.hpp"
#include "data/checksums.hpp"
#include "data/copy_box.hpp"
#include "data/files.hpp"
#include "safetensors/header.hpp"

namespace flatpoint::data {

/// A chunk that can be copied from: a file, or a decompressed item, and the place of its elements there.
class ChunkSource final : public CopySource {
 public:
  [[nodiscard]] Result<void> read(std::span<const RangeReader::Request> batch) override;

  std::uint32_t number = 0;  // of the file
  std::shared_ptr<const DataFile> file;
  std::vector<std::byte> decompressed;  // where the item is compressed; places are in it
  bool is_compressed = false;
  bool is_archive = true;  // else the item is nothing but the tensor's bytes, in a safetensors file
  archive::TorchTensor tensor;
  Checksums recorded;            // of its elements, by the metadata
  std::uint64_t item_begin = 0;  // 0 where compressed
  [[nodiscard]] std::uint64_t first_element() const noexcept { return item_begin + tensor.data_begin(); }
  [[nodiscard]] std::uint64_t data_bytes() const noexcept;
};

/// Names the item that an error is about.
Error at_item(Error error, std::string_view fqn, const StorageInfoView& storage);

/// Whether an item is asked where its elements lie.
enum class Ask {
  WhereUnknown,  // not where the metadata knows, and the file is the one that it knows
  Always,        // its size, dtype and checksum are of interest
};

/// Reads and remembers what items say. Safe from many threads.
class Items {
 public:
  Items(Files& files, const ReaderOptions& options) : files_(files), options_(options) {}

  /// Errors: those of Reader, each about its item.
  [[nodiscard]] Result<ChunkSource> open(const TensorView& tensor, const ChunkView& chunk, Ask ask);
  /// The bytes of an item, transforms undone.
  [[nodiscard]] Result<std::vector<std::byte>> load(std::string_view fqn, const StorageInfoView& storage);

 private:
  /// A chunk whose elements lie row-major in its file and are all of their storage: what most are, in few bytes.
  struct Known {
    std::uint64_t item_begin;  // of the file
    std::uint64_t data_begin;  // of the item
    std::uint32_t crc32;
    bool has_crc;
    bool is_archive;
  };
  [[nodiscard]] Result<ChunkSource> open_item(const TensorView& tensor, const ChunkView& chunk,
                                              const StorageInfoView& storage, Ask ask);
  [[nodiscard]] Result<void> parse(const base::ByteSource& bytes, std::uint64_t begin, std::uint64_t length,
                                   ChunkSource& source);
  /// A tensor by its name, of a file whose places the metadata does not have.
  [[nodiscard]] Result<void> find_named(const TensorView& tensor, const ChunkView& chunk, ChunkSource& source);
  /// A tensor of a safetensors file, as the file's header has it.
  [[nodiscard]] Result<void> find_raw(const TensorView& tensor, const ChunkView& chunk, const StorageInfoView& storage,
                                      ChunkSource& source);
  /// The header at a place of a file.
  [[nodiscard]] Result<std::shared_ptr<const safetensors::Header>> header(const DataFile& file, std::uint32_t number,
                                                                          std::uint64_t begin);
  [[nodiscard]] Result<std::vector<std::byte>> read_item(const DataFile& file, const StorageInfoView& storage) const;

  Files& files_;
  const ReaderOptions& options_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Known> known_;  // by row of the chunk columns
  // By number of the file and place.
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::shared_ptr<const safetensors::Header>> headers_;
};

/// Whether an item lies behind transforms. Errors: UnknownTransform.
[[nodiscard]] Result<bool> is_compressed(const StorageInfoView& storage);

}  // namespace flatpoint::data
