// flatpoint.h: the library's calls for other languages. What may throw inside stays inside.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "flatpoint/data.hpp"
#include "flatpoint/flatpoint.h"

struct flatpoint_checkpoint {
  explicit flatpoint_checkpoint(flatpoint::dcp::OpenedCheckpoint&& from)
      : opened(std::move(from)), folder(opened.path.parent_path().string()) {}

  flatpoint::dcp::OpenedCheckpoint opened;
  std::string folder;
  std::optional<flatpoint::data::Reader> reader;  // borrows from `opened`

  [[nodiscard]] flatpoint::MetadataView metadata() const noexcept { return opened.file.view(); }
};

namespace flatpoint::data {
namespace {

constexpr bool is_code(int c, ErrorCode code) { return c == static_cast<int>(code); }
static_assert(is_code(FLATPOINT_NOT_FOUND, ErrorCode::NotFound) && is_code(FLATPOINT_IO, ErrorCode::Io) &&
              is_code(FLATPOINT_NOT_FLATPOINT, ErrorCode::NotFlatpoint) &&
              is_code(FLATPOINT_TRUNCATED, ErrorCode::Truncated) && is_code(FLATPOINT_VERSION, ErrorCode::Version) &&
              is_code(FLATPOINT_CORRUPT, ErrorCode::Corrupt) && is_code(FLATPOINT_TOO_LARGE, ErrorCode::TooLarge) &&
              is_code(FLATPOINT_INVALID_ARGUMENT, ErrorCode::InvalidArgument) &&
              is_code(FLATPOINT_CONFLICT, ErrorCode::Conflict) && is_code(FLATPOINT_NOT_PICKLE, ErrorCode::NotPickle) &&
              is_code(FLATPOINT_BAD_PICKLE, ErrorCode::BadPickle) &&
              is_code(FLATPOINT_AMBIGUOUS, ErrorCode::Ambiguous) &&
              is_code(FLATPOINT_OPAQUE_RECORDS, ErrorCode::OpaqueRecords) &&
              is_code(FLATPOINT_STALE, ErrorCode::Stale));
static_assert(is_code(FLATPOINT_NOT_PLAIN, ErrorCode::NotPlain) && is_code(FLATPOINT_BAD_ITEM, ErrorCode::BadItem) &&
              is_code(FLATPOINT_DTYPE_MISMATCH, ErrorCode::DtypeMismatch) &&
              is_code(FLATPOINT_SIZE_MISMATCH, ErrorCode::SizeMismatch) &&
              is_code(FLATPOINT_CHANGED, ErrorCode::Changed) && is_code(FLATPOINT_HOLES, ErrorCode::Holes) &&
              is_code(FLATPOINT_CHECKSUM, ErrorCode::Checksum) &&
              is_code(FLATPOINT_UNKNOWN_TRANSFORM, ErrorCode::UnknownTransform) &&
              is_code(FLATPOINT_OUTSIDE, ErrorCode::Outside));
static_assert(FLATPOINT_TENSOR == static_cast<int>(StorageType::Tensor) &&
              FLATPOINT_BYTES == static_cast<int>(StorageType::Bytes) &&
              FLATPOINT_OPAQUE == static_cast<int>(StorageType::Opaque));

/// Tells the caller, and returns the code. Text that is cut ends with a whole character.
std::int32_t report(flatpoint_error* to, std::int32_t code, std::string_view message) noexcept {
  if (to == nullptr) return code;
  to->code = code;
  std::size_t length = std::min(message.size(), sizeof to->message - 1);
  const auto continues = [&] { return (static_cast<unsigned char>(message[length]) & 0xC0U) == 0x80U; };
  while (length < message.size() && length > 0 && continues()) --length;
  std::copy_n(message.data(), length, to->message);
  to->message[length] = '\0';
  return code;
}

/// Runs `call`, which returns a Result of the code that nothing but this interface has.
template <class Call>
std::int32_t guarded(flatpoint_error* error, Call&& call) noexcept {
  try {
    const Result<std::int32_t> done = call();
    if (done) return report(error, *done, *done == FLATPOINT_NO_ROOM ? "there is not enough room" : "");
    return report(error, static_cast<std::int32_t>(done.error().code), to_string(done.error()));
  } catch (const std::bad_alloc&) {
    return report(error, FLATPOINT_TOO_LARGE, "no memory is left");
  } catch (const std::exception& exception) {
    return report(error, FLATPOINT_IO, exception.what());
  }
}

flatpoint_text text_of(std::string_view text) noexcept { return {text.data(), text.size()}; }

Result<EntryView> entry_of(const flatpoint_checkpoint& checkpoint, std::uint32_t number) {
  const auto entry = checkpoint.metadata().entry(number);
  if (entry) return *entry;
  if (entry.corrupt())
    return fail(ErrorCode::Corrupt, fmt::format("entry {}: the metadata breaks a rule; `verify` names it", number));
  return fail(ErrorCode::InvalidArgument,
              fmt::format("there is no entry {}, but {} of them", number, checkpoint.metadata().size()));
}

Result<TensorView> tensor_of(const flatpoint_checkpoint& checkpoint, std::uint32_t number) {
  const auto entry = entry_of(checkpoint, number);
  RETURN_IF_ERROR(entry);
  const auto tensor = entry->tensor();
  if (tensor) return *tensor;
  if (tensor.corrupt()) {
    return fail(ErrorCode::Corrupt,
                fmt::format("FQN '{}': the metadata breaks a rule; `verify` names it", entry->fqn()));
  }
  return fail(ErrorCode::InvalidArgument, fmt::format("FQN '{}' is no tensor", entry->fqn()));
}

Result<std::int32_t> fill(const EntryView& found, flatpoint_entry& to) {
  const auto tensor = found.tensor();
  if (tensor.corrupt()) {
    return fail(ErrorCode::Corrupt,
                fmt::format("FQN '{}': the metadata breaks a rule; `verify` names it", found.fqn()));
  }
  to = {};
  to.number = found.position();
  to.kind = static_cast<std::uint32_t>(found.type());
  to.fqn = text_of(found.fqn());
  if (tensor) {
    to.dtype = text_of(tensor->dtype_name());
    to.item_size = item_size(tensor->dtype());
    to.ndim = tensor->ndim();
    to.size = tensor->size().data();
    to.bytes = box_bytes(*tensor, tensor->size()).value_or(0);
  }
  return FLATPOINT_OK;
}

/// The box that the caller means. The spans are borrowed.
struct Box {
  Size start;
  std::span<const std::int64_t> offsets, sizes;

  Box(const TensorView& tensor, const std::int64_t* given_offsets, const std::int64_t* given_sizes)
      : start(tensor.ndim(), 0), offsets(start), sizes(tensor.size()) {
    if (given_offsets != nullptr) offsets = {given_offsets, tensor.ndim()};
    if (given_sizes != nullptr) sizes = {given_sizes, tensor.ndim()};
  }
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;
};

/// Whether a box ends before `room` bytes do. One that is larger than its tensor is for the reader to refuse.
Result<void> check_room(const TensorView& tensor, std::span<const std::int64_t> sizes, const std::int64_t* byte_strides,
                        std::uint64_t room) {
  const auto whole = tensor.size();
  for (std::size_t d = 0; d < whole.size(); ++d) {
    if (sizes[d] < 0 || sizes[d] > whole[d]) return {};
  }
  auto needed = box_bytes(tensor, sizes);
  RETURN_IF_ERROR(needed);
  if (*needed == 0) return {};
  if (byte_strides != nullptr) *needed = item_size(tensor.dtype());
  for (std::size_t d = 0; byte_strides != nullptr && d < sizes.size(); ++d) {
    if (byte_strides[d] < 0)
      return fail(ErrorCode::InvalidArgument, fmt::format("stride {} of dimension {} is negative", byte_strides[d], d));
    std::uint64_t reach = 0;
    const auto steps = static_cast<std::uint64_t>(sizes[d] - 1);
    const bool counts = base::multiply(steps, static_cast<std::uint64_t>(byte_strides[d]), reach);
    *needed = counts && reach <= UINT64_MAX - *needed ? *needed + reach : UINT64_MAX;
  }
  if (*needed <= room) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("FQN '{}': the box takes {} bytes, there is room for {}", tensor.fqn(), *needed, room));
}

template <class T>
Result<std::int32_t> hand_out(std::span<const T> values, T* to, std::size_t& room) {
  const bool fits = values.size() <= room;
  room = values.size();
  if (!fits) return FLATPOINT_NO_ROOM;
  std::ranges::copy(values, to);
  return FLATPOINT_OK;
}

}  // namespace

// Of C's linkage, and so those of the header although they stand in a namespace.
extern "C" {

flatpoint_checkpoint* flatpoint_open(const char* path, const flatpoint_options* options, flatpoint_error* error) {
  std::unique_ptr<flatpoint_checkpoint> checkpoint;
  (void)guarded(error, [&]() -> Result<std::int32_t> {
    dcp::OpenOptions open;
    ReaderOptions reading;
    if (options != nullptr) {
      if ((options->flags & FLATPOINT_OF_RANK) != 0) open.rank = options->rank;
      reading.allow_outside = (options->flags & FLATPOINT_ALLOW_OUTSIDE) != 0;
      if (options->max_open_files != 0) reading.max_open_files = options->max_open_files;
    }
    auto opened = dcp::open_checkpoint(path, open);
    RETURN_IF_ERROR(opened);
    auto made = std::make_unique<flatpoint_checkpoint>(std::move(*opened));
    auto reader = Reader::open(made->opened, reading);
    RETURN_IF_ERROR(reader);
    made->reader = std::move(*reader);
    checkpoint = std::move(made);
    return FLATPOINT_OK;
  });
  return checkpoint.release();
}

void flatpoint_close(flatpoint_checkpoint* checkpoint) { delete checkpoint; }

std::uint32_t flatpoint_entry_count(const flatpoint_checkpoint* checkpoint) { return checkpoint->metadata().size(); }

std::int32_t flatpoint_get(const flatpoint_checkpoint* checkpoint, std::uint32_t number, flatpoint_entry* entry,
                           flatpoint_error* error) {
  return guarded(error, [&]() -> Result<std::int32_t> {
    const auto found = entry_of(*checkpoint, number);
    RETURN_IF_ERROR(found);
    return fill(*found, *entry);
  });
}

std::int32_t flatpoint_find(const flatpoint_checkpoint* checkpoint, const char* fqn, std::size_t fqn_length,
                            flatpoint_entry* entry, flatpoint_error* error) {
  return guarded(error, [&]() -> Result<std::int32_t> {
    const std::string_view name(fqn, fqn_length);
    const auto found = checkpoint->metadata().find(name);
    if (found.corrupt())
      return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': the metadata breaks a rule; `verify` names it", name));
    if (found.absent())
      return fail(ErrorCode::NotFound, fmt::format("{}: no FQN '{}'", checkpoint->opened.path.string(), name));
    return fill(*found, *entry);
  });
}

std::uint32_t flatpoint_file_count(const flatpoint_checkpoint* checkpoint) {
  return checkpoint->metadata().file_count();
}

flatpoint_text flatpoint_folder(const flatpoint_checkpoint* checkpoint) { return text_of(checkpoint->folder); }

std::int32_t flatpoint_get_file(const flatpoint_checkpoint* checkpoint, std::uint32_t number, flatpoint_file* file,
                                flatpoint_error* error) {
  return guarded(error, [&]() -> Result<std::int32_t> {
    const MetadataView metadata = checkpoint->metadata();
    const auto name = metadata.file_name(number);
    if (name.corrupt()) return fail(ErrorCode::Corrupt, fmt::format("data file {} has no name", number));
    if (name.absent()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("there is no data file {}, but {} of them", number, metadata.file_count()));
    }
    const FileFacts facts = metadata.file_facts(number);
    *file = {text_of(*name), facts.length.value_or(kNoFileLength), facts.modified_ns.value_or(kNoFileTime)};
    return FLATPOINT_OK;
  });
}

std::int32_t flatpoint_ranges(const flatpoint_checkpoint* checkpoint, std::uint32_t number, const std::int64_t* offsets,
                              const std::int64_t* sizes, flatpoint_range* ranges, std::size_t* count,
                              flatpoint_error* error) {
  return guarded(error, [&]() -> Result<std::int32_t> {
    const auto tensor = tensor_of(*checkpoint, number);
    RETURN_IF_ERROR(tensor);
    const Box box(*tensor, offsets, sizes);
    const auto found = checkpoint->reader->ranges(*tensor, box.offsets, box.sizes);
    RETURN_IF_ERROR(found);
    std::vector<flatpoint_range> all;
    all.reserve(found->size());
    for (const BoxRange& range : *found) all.push_back({range.file, range.byte_offset, range.length, range.box_offset});
    return hand_out(std::span<const flatpoint_range>(all), ranges, *count);
  });
}

std::int32_t flatpoint_read(const flatpoint_checkpoint* checkpoint, std::uint32_t number, const std::int64_t* offsets,
                            const std::int64_t* sizes, void* to, std::size_t room, const std::int64_t* byte_strides,
                            std::uint32_t threads, flatpoint_error* error) {
  return guarded(error, [&]() -> Result<std::int32_t> {
    const auto tensor = tensor_of(*checkpoint, number);
    RETURN_IF_ERROR(tensor);
    const Box box(*tensor, offsets, sizes);
    RETURN_IF_ERROR(check_room(*tensor, box.sizes, byte_strides, room));
    Destination destination{static_cast<std::byte*>(to), {}};
    if (byte_strides != nullptr) destination.byte_strides = {byte_strides, tensor->ndim()};
    ReadOptions read;
    read.threads = std::max<std::uint32_t>(threads, 1);
    const auto done = checkpoint->reader->read(*tensor, box.offsets, box.sizes, destination, read);
    RETURN_IF_ERROR(done);
    return FLATPOINT_OK;
  });
}

std::int32_t flatpoint_value(const flatpoint_checkpoint* checkpoint, std::uint32_t number, char* text,
                             std::size_t* length, flatpoint_error* error) {
  return guarded(error, [&]() -> Result<std::int32_t> {
    const auto entry = entry_of(*checkpoint, number);
    RETURN_IF_ERROR(entry);
    if (entry->type() != StorageType::Bytes)
      return fail(ErrorCode::InvalidArgument, fmt::format("FQN '{}' is no bytes item", entry->fqn()));
    const auto value = checkpoint->reader->read_value(*entry);
    RETURN_IF_ERROR(value);
    return hand_out(std::span<const char>(*value), text, *length);
  });
}

}  // extern "C"

}  // namespace flatpoint::data
