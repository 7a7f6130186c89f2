#include "data/items.hpp"

#include <cstring>

#include "base/checked.hpp"
#include "base/format.hpp"
#include "data/zstd.hpp"

namespace flatpoint::data {
namespace {

Result<void> check_against_metadata(const TensorView& tensor, const ChunkView& chunk,
                                    const archive::TorchTensor& item) {
  if (item.dtype != tensor.dtype()) {
    return fail(kDtypeMismatch,
                fmt::format("the item has dtype {}, the metadata says {}", name_of(item.dtype), tensor.dtype_name()));
  }
  Size sizes;
  for (std::uint8_t i = 0; i < chunk.ndim(); ++i) sizes.push_back(chunk.size(i));
  if (item.size != sizes) {
    return fail(kSizeMismatch, fmt::format("the item has size [{}], the metadata says [{}]", fmt::join(item.size, ", "),
                                           fmt::join(sizes, ", ")));
  }
  return {};
}

}  // namespace

Error at_item(Error error, std::string_view fqn, const StorageInfoView& storage) {
  error.message = fmt::format("FQN '{}': item at byte {} of {}: {}", fqn, storage.byte_offset(),
                              storage.relative_path(), error.message);
  return error;
}

Result<void> ChunkSource::read(std::span<const RangeReader::Request> batch) {
  if (!is_compressed) return file->read(batch);
  for (const auto& request : batch) {
    if (!base::in_range(request.offset, request.to.size(), decompressed.size()))
      return fail(ErrorCode::Truncated, "the decompressed item is too short");
    std::memcpy(request.to.data(), decompressed.data() + request.offset, request.to.size());
  }
  return {};
}

std::uint64_t ChunkSource::data_bytes() const noexcept {
  std::uint64_t bytes = item_size(tensor.dtype);
  for (const std::int64_t size : tensor.size) bytes *= static_cast<std::uint64_t>(size);  // asked of dense ones alone
  return bytes;
}

Result<bool> is_compressed(const StorageInfoView& storage) {
  const std::uint32_t count = storage.transform_count().value_or(0);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string_view name = storage.transform_descriptor(i);
    if (count > 1 || (name != "stream.zstd" && name != "stream.zstd/1"))
      return fail(kUnknownTransform, fmt::format("the transform '{}' is not known", name));
  }
  return count > 0;
}

Result<ChunkSource> Items::open(const TensorView& tensor, const ChunkView& chunk) {
  const auto storage = chunk.storage();
  if (storage.corrupt())
    return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': broken storage information", tensor.fqn()));
  if (storage.absent())
    return fail(kHoles, fmt::format("FQN '{}': chunk {} has no storage information", tensor.fqn(), chunk.row()));
  auto source = open_item(tensor, chunk, *storage);
  if (!source) return tl::unexpected(at_item(std::move(source.error()), tensor.fqn(), *storage));
  return source;
}

Result<ChunkSource> Items::open_item(const TensorView& tensor, const ChunkView& chunk, const StorageInfoView& storage) {
  auto file = files_.open(storage.file());
  if (!file) return tl::unexpected(std::move(file.error()));
  ChunkSource source;
  source.number = storage.file();
  source.file = std::move(*file);
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(chunk.row());
    if (known != known_.end()) {
      const Known& item = known->second;
      source.tensor.dtype = tensor.dtype();
      for (std::uint8_t i = 0; i < chunk.ndim(); ++i) source.tensor.size.push_back(chunk.size(i));
      source.tensor.strides = contiguous_strides(source.tensor.size);
      source.tensor.storage_begin = item.data_begin;
      source.tensor.storage_bytes = source.data_bytes();
      if (item.has_crc) source.tensor.crc32 = item.crc32;
      source.item_begin = storage.byte_offset();
      return source;
    }
  }
  const auto compressed = is_compressed(storage);
  if (!compressed) return tl::unexpected(compressed.error());
  source.is_compressed = *compressed;
  Result<void> parsed;
  if (source.is_compressed) {
    auto bytes = read_item(*source.file, storage);
    if (!bytes) return tl::unexpected(std::move(bytes.error()));
    source.decompressed = std::move(*bytes);
    parsed =
        parse(base::MemorySource(std::as_bytes(std::span(source.decompressed))), 0, source.decompressed.size(), source);
  } else {
    source.item_begin = storage.byte_offset();
    const FileBytes bytes(*source.file);
    parsed = parse(bytes, storage.byte_offset(), storage.length(), source);
    if (!parsed && bytes.error()) return tl::unexpected(*bytes.error());  // why it could not be read
  }
  if (!parsed) return tl::unexpected(std::move(parsed.error()));
  if (auto fits = check_against_metadata(tensor, chunk, source.tensor); !fits)
    return tl::unexpected(std::move(fits.error()));
  if (!source.is_compressed && source.tensor.is_dense()) {
    const archive::TorchTensor& item = source.tensor;
    const bool exact = item.storage_bytes == source.data_bytes();
    const std::lock_guard lock(mutex_);
    if (exact)
      known_.try_emplace(chunk.row(), Known{item.data_begin(), item.crc32.value_or(0), item.crc32.has_value()});
  }
  return source;
}

Result<void> Items::parse(const base::ByteSource& bytes, std::uint64_t begin, std::uint64_t length,
                          ChunkSource& source) {
  auto tensor = archive::read_torch_tensor(archive::ItemSource(bytes, begin, length));
  if (!tensor) return tl::unexpected(std::move(tensor.error()));
  source.tensor = std::move(*tensor);
  return {};
}

Result<std::vector<std::byte>> Items::read_item(const DataFile& file, const StorageInfoView& storage) const {
  if (storage.length() > options_.max_decompressed) {
    return fail(ErrorCode::TooLarge, fmt::format("an item of {} bytes exceeds max_decompressed = {}", storage.length(),
                                                 options_.max_decompressed));
  }
  if (const base::File* const local = file.local();
      local != nullptr && !base::in_range(storage.byte_offset(), storage.length(), local->size()))
    return fail(ErrorCode::Truncated, fmt::format("{}: the file ends at byte {}", file.path(), local->size()));
  std::vector<std::byte> bytes(storage.length());
  if (auto done = file.read(storage.byte_offset(), bytes); !done) return tl::unexpected(std::move(done.error()));
  const auto compressed = is_compressed(storage);
  if (!compressed) return tl::unexpected(compressed.error());
  return *compressed ? decompress_zstd(bytes, options_.max_decompressed)
                     : Result<std::vector<std::byte>>(std::move(bytes));
}

Result<std::vector<std::byte>> Items::load(std::string_view fqn, const StorageInfoView& storage) {
  const auto file = files_.open(storage.file());
  auto bytes = file ? read_item(**file, storage) : Result<std::vector<std::byte>>(tl::unexpect, file.error());
  if (!bytes) return tl::unexpected(at_item(std::move(bytes.error()), fqn, storage));
  return bytes;
}

}  // namespace flatpoint::data
