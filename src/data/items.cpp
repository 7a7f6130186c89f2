#include "data/items.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "data/zstd.hpp"

namespace flatpoint::data {
namespace {

Size size_of(const ChunkView& chunk) {
  Size size;
  for (std::uint8_t i = 0; i < chunk.ndim(); ++i) size.push_back(chunk.size(i));
  return size;
}

Result<void> check_against_metadata(const TensorView& tensor, const ChunkView& chunk,
                                    const archive::TorchTensor& item) {
  if (item.dtype != tensor.dtype()) {
    return fail(ErrorCode::DtypeMismatch,
                fmt::format("the item has dtype {}, the metadata says {}", name_of(item.dtype), tensor.dtype_name()));
  }
  const Size sizes = size_of(chunk);
  if (item.size != sizes) {
    return fail(ErrorCode::SizeMismatch, fmt::format("the item has size [{}], the metadata says [{}]",
                                                     fmt::join(item.size, ", "), fmt::join(sizes, ", ")));
  }
  return {};
}

/// The tensor of a header that a chunk is: by its place, as the metadata may have another name for it. Empty ones can
/// share a place; then the one that is as the metadata says.
const safetensors::HeaderTensor* find_placed(const safetensors::Header& header, const TensorView& tensor,
                                             const ChunkView& chunk, const StorageInfoView& storage) {
  const auto there = header.at(storage.byte_offset(), storage.length());
  const auto same = std::ranges::find_if(there, [&](const safetensors::HeaderTensor& one) {
    return one.dtype == tensor.dtype() && one.shape == size_of(chunk);
  });
  if (same != there.end()) return &*same;
  return there.empty() ? nullptr : &there.front();
}

bool is_safetensors(const DataFile& file) noexcept {
  return file.format() == FileFormat::Safetensors || file.path().ends_with(".safetensors");
}

/// Whether an item is none of torch.save: it lies in a safetensors file, or such a file begins where it should
/// (torch's SerializationFormat.SAFETENSORS gives all tensors of a file the place of one header).
bool is_raw(const DataFile& file, const StorageInfoView& storage) {
  if (is_safetensors(file)) return true;
  std::array<std::byte, safetensors::kLengthBytes + 1> first;
  return file.read(storage.byte_offset(), first) && safetensors::looks_like_header(first);
}

/// Whether the metadata names the file of a chunk, and not where in it the chunk lies.
bool is_named(const DataFile& file, const StorageInfoView& storage) noexcept {
  return storage.length() == 0 && storage.byte_offset() == 0 &&
         (file.format() == FileFormat::Archive || file.format() == FileFormat::Safetensors);
}

Checksums recorded_checksums(const ChunkData& data, ChecksumKind kind) {
  Checksums recorded;
  if (kind == ChecksumKind::Xxh3) recorded.xxh3 = data.checksum;
  if (kind == ChecksumKind::Crc32 && data.checksum) recorded.crc32 = static_cast<std::uint32_t>(*data.checksum);
  return recorded;
}

/// A chunk as the metadata has it, row-major from `begin` on.
void set_plain(ChunkSource& source, const TensorView& tensor, const ChunkView& chunk, std::uint64_t begin) {
  source.tensor.dtype = tensor.dtype();
  source.tensor.size = size_of(chunk);
  source.tensor.strides = contiguous_strides(source.tensor.size);
  source.tensor.storage_begin = begin;
  source.tensor.storage_bytes = source.data_bytes();
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
      return fail(ErrorCode::UnknownTransform, fmt::format("the transform '{}' is not known", name));
  }
  return count > 0;
}

Result<ChunkSource> Items::open(const TensorView& tensor, const ChunkView& chunk, Ask ask) {
  const auto storage = chunk.storage();
  if (storage.corrupt())
    return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': broken storage information", tensor.fqn()));
  if (storage.absent())
    return fail(ErrorCode::Holes,
                fmt::format("FQN '{}': chunk {} has no storage information", tensor.fqn(), chunk.row()));
  auto source = open_item(tensor, chunk, *storage, ask);
  if (!source) return tl::unexpected(at_item(std::move(source.error()), tensor.fqn(), *storage));
  return source;
}

Result<ChunkSource> Items::open_item(const TensorView& tensor, const ChunkView& chunk, const StorageInfoView& storage,
                                     Ask ask) {
  auto file = files_.open(storage.file());
  RETURN_IF_ERROR(file);
  ChunkSource source;
  source.number = storage.file();
  source.file = std::move(*file);
  const auto data = chunk.data();
  if (data.corrupt()) return fail(ErrorCode::Corrupt, "where the metadata says its data lie breaks rule E7");
  if (data) source.recorded = recorded_checksums(*data, files_.checksum_kind());
  if (data && ask == Ask::WhereUnknown && source.file->is_as_recorded()) {
    source.item_begin = storage.byte_offset();
    set_plain(source, tensor, chunk, data->byte_offset - storage.byte_offset());
    return source;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(chunk.row());
    if (known != known_.end()) {
      const Known& item = known->second;
      set_plain(source, tensor, chunk, item.data_begin);
      if (item.has_crc) source.tensor.crc32 = item.crc32;
      source.item_begin = item.item_begin;
      source.is_archive = item.is_archive;
      return source;
    }
  }
  const auto compressed = is_compressed(storage);
  RETURN_IF_ERROR(compressed);
  source.is_compressed = *compressed;
  Result<void> parsed;
  if (source.is_compressed) {
    auto bytes = read_item(*source.file, storage);
    RETURN_IF_ERROR(bytes);
    source.decompressed = std::move(*bytes);
    parsed =
        parse(base::MemorySource(std::as_bytes(std::span(source.decompressed))), 0, source.decompressed.size(), source);
  } else if (is_named(*source.file, storage)) {
    parsed = find_named(tensor, chunk, source);
  } else if (is_raw(*source.file, storage)) {
    parsed = find_raw(tensor, chunk, storage, source);
  } else {
    source.item_begin = storage.byte_offset();
    const FileBytes bytes(*source.file);
    parsed = parse(bytes, storage.byte_offset(), storage.length(), source);
    if (!parsed && bytes.error()) return tl::unexpected(*bytes.error());  // why it could not be read
  }
  RETURN_IF_ERROR(parsed);
  RETURN_IF_ERROR(check_against_metadata(tensor, chunk, source.tensor));
  if (data && (!source.tensor.is_dense() || source.first_element() != data->byte_offset)) {
    return fail(ErrorCode::Changed, fmt::format("its data begin at byte {} of the file, the metadata says {}",
                                                source.first_element(), data->byte_offset));
  }
  if (!source.is_compressed && source.tensor.is_dense()) {
    const archive::TorchTensor& item = source.tensor;
    const bool exact = item.storage_bytes == source.data_bytes();
    const std::lock_guard lock(mutex_);
    if (exact)
      known_.try_emplace(chunk.row(), Known{source.item_begin, item.data_begin(), item.crc32.value_or(0),
                                            item.crc32.has_value(), source.is_archive});
  }
  return source;
}

Result<void> Items::parse(const base::ByteSource& bytes, std::uint64_t begin, std::uint64_t length,
                          ChunkSource& source) {
  auto tensor = archive::read_torch_tensor(archive::ItemSource(bytes, begin, length));
  RETURN_IF_ERROR(tensor);
  source.tensor = std::move(*tensor);
  return {};
}

Result<std::shared_ptr<const safetensors::Header>> Items::header(const DataFile& file, std::uint32_t number,
                                                                 std::uint64_t begin) {
  const std::pair key(number, begin);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = headers_.find(key); known != headers_.end()) return known->second;
  }
  const FileBytes bytes(file);
  // Behind a header in the middle of a file other things may lie.
  const bool is_all = begin == 0 && file.local() != nullptr;
  auto read = safetensors::read_header(bytes, begin, is_all ? std::optional(file.local()->size()) : std::nullopt);
  if (!read) return tl::unexpected(bytes.error().value_or(std::move(read.error())));
  auto header = std::make_shared<const safetensors::Header>(std::move(*read));
  const std::lock_guard lock(mutex_);
  return headers_.try_emplace(key, std::move(header)).first->second;
}

// The file has one tensor of the name, a rank's whole part. Which part of that is one of several chunks, the metadata
// does not say.
Result<void> Items::find_named(const TensorView& tensor, const ChunkView& chunk, ChunkSource& source) {
  const auto tensors = files_.tensors_of(source.number, *source.file);
  RETURN_IF_ERROR(tensors);
  const std::string_view fqn = tensor.fqn();
  const std::size_t dot = fqn.find('.');
  const std::string_view name = dot == std::string_view::npos ? std::string_view() : fqn.substr(dot + 1);
  const auto found = (*tensors)->find(name);
  if (found == (*tensors)->end()) return fail(ErrorCode::BadItem, fmt::format("the file has no tensor '{}'", name));
  if (!found->second) return tl::unexpected(found->second.error());
  // Smaller than what the file has.
  const bool is_part = found->second->size != size_of(chunk);
  for (std::uint32_t row = 0; is_part && row < tensor.chunk_count(); ++row) {
    const auto other = tensor.chunk_by_row(row);
    const auto place = other ? other->storage() : Lookup<StorageInfoView>(LookupStatus::Corrupt);
    if (!place || place->file() != source.number || other->row() == chunk.row()) continue;
    return fail(ErrorCode::NotPlain,
                "the file holds several chunks of it in one tensor, and which is where is not known");
  }
  source.is_archive = false;  // of its own
  source.tensor = *found->second;
  return {};
}

Result<void> Items::find_raw(const TensorView& tensor, const ChunkView& chunk, const StorageInfoView& storage,
                             ChunkSource& source) {
  const bool is_inside = is_safetensors(*source.file);
  const std::uint64_t begin = is_inside ? 0 : storage.byte_offset();
  const auto header = this->header(*source.file, source.number, begin);
  RETURN_IF_ERROR(header);
  // Where the metadata has the place of a header alone, the name has to do.
  const safetensors::HeaderTensor* const found =
      is_inside ? find_placed(**header, tensor, chunk, storage) : (*header)->find(tensor.fqn());
  if (found == nullptr) {
    return fail(ErrorCode::BadItem,
                is_inside ? fmt::format("the file's header has no tensor of {} bytes there", storage.length())
                          : std::string("the header there does not have it"));
  }
  source.is_archive = false;
  source.tensor.dtype = found->dtype;
  source.tensor.size = found->shape;
  source.tensor.strides = contiguous_strides(found->shape);
  source.tensor.storage_bytes = found->length;
  source.item_begin = begin + (*header)->data_begin + found->offset;
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
  RETURN_IF_ERROR(file.read(storage.byte_offset(), bytes));
  const auto compressed = is_compressed(storage);
  RETURN_IF_ERROR(compressed);
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
