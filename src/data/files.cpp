#include "data/files.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "safetensors/header.hpp"

namespace flatpoint::data {
namespace {

Result<FileState> state_of(const base::File& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) return base::system_error(path, "stat", errno);
  return FileState{status.st_dev, status.st_ino, status.st_size, base::modified_ns_of(status)};
}

tl::unexpected<Error> changed(const std::string& path) {
  return fail(ErrorCode::Changed, fmt::format("{}: the file was written or replaced since it was first opened", path));
}

}  // namespace

bool leaves_folder(std::string_view relative_path) {
  const std::filesystem::path relative(relative_path);
  return relative.empty() || relative.is_absolute() || std::ranges::find(relative, "..") != relative.end();
}

Result<void> DataFile::read(std::uint64_t offset, std::span<std::byte> to) const {
  const RangeReader::Request one{offset, to};
  return read({&one, 1});
}

Result<void> DataFile::read(std::span<const RangeReader::Request> batch) const {
  if (ranges_ != nullptr) return ranges_->read(path_, batch);
  for (const auto& request : batch) {
    const auto n = file_->read(request.offset, request.to);
    if (n < 0) return base::system_error(path_, "read", errno);
    if (n < std::ssize(request.to)) {
      return fail(ErrorCode::Truncated,
                  fmt::format("{}: {} bytes are asked for at byte {}, the file ends at byte {}", path_,
                              request.to.size(), request.offset, request.offset + static_cast<std::uint64_t>(n)));
    }
  }
  return {};
}

Result<void> DataFile::check_unchanged() const {
  if (!file_) return {};
  const auto now = state_of(*file_, path_);
  RETURN_IF_ERROR(now);
  return *now == state_ ? Result<void>() : changed(path_);
}

bool FileBytes::read(std::uint64_t position, std::span<std::byte> to) const noexcept {
  auto done = file_.read(position, to);
  if (!done && !error_) error_ = std::move(done.error());
  return done.has_value();
}

Files::Files(const MetadataView& metadata, std::filesystem::path folder, const ReaderOptions& options)
    : metadata_(metadata), folder_(std::move(folder)), options_(options) {}

Result<std::shared_ptr<const DataFile>> Files::open(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[number];
  slot.last_use = ++uses_;
  if (slot.file) return slot.file;
  if (open_ >= std::max<std::uint32_t>(options_.max_open_files, 1)) close_oldest();
  auto file = open_now(number, slot);
  RETURN_IF_ERROR(file);
  slot.file = std::move(*file);
  ++open_;
  return slot.file;
}

Result<std::shared_ptr<const DataFile>> Files::open_now(std::uint32_t number, Slot& slot) {
  const auto name = metadata_.file_name(number);
  if (!name) return fail(ErrorCode::Corrupt, fmt::format("data file {} has no name", number));
  const FileFacts facts = metadata_.file_facts(number);
  if (options_.ranges) return std::make_shared<const DataFile>(std::string(*name), facts, *options_.ranges);
  const std::filesystem::path relative(*name);
  if (name->find('\0') != std::string_view::npos || (leaves_folder(*name) && !options_.allow_outside))
    return fail(ErrorCode::Outside, fmt::format("{}: the path of a data file leaves the checkpoint's folder", *name));
  const std::string path = (folder_ / relative).string();
  auto file = base::File::open(path);
  RETURN_IF_ERROR(file);
  const auto state = state_of(*file, path);
  RETURN_IF_ERROR(state);
  if (slot.state && *slot.state != *state) return changed(path);
  if (facts.length && *facts.length != static_cast<std::uint64_t>(state->size)) {
    return fail(ErrorCode::Changed,
                fmt::format("{}: has {} bytes, the metadata knows one of {}", path, state->size, *facts.length));
  }
  slot.state = *state;
  return std::make_shared<const DataFile>(path, facts, std::move(*file), *state);
}

void Files::close_oldest() {
  Slot* oldest = nullptr;
  for (auto& [number, slot] : slots_) {
    if (slot.file && (oldest == nullptr || slot.last_use < oldest->last_use)) oldest = &slot;
  }
  if (oldest == nullptr) return;
  oldest->file.reset();
  --open_;
}

namespace {

Result<archive::NamedTensors> read_tensors(const DataFile& file) {
  const FileBytes bytes(file);
  if (file.local() == nullptr)
    return fail(ErrorCode::NotPlain, "where its tensors lie can be read of a local file alone");
  const std::uint64_t size = file.local()->size();
  if (file.format() != FileFormat::Safetensors) {
    auto tensors = archive::read_torch_tensors(archive::ItemSource(bytes, 0, size));
    if (!tensors) return tl::unexpected(bytes.error().value_or(std::move(tensors.error())));
    return tensors;
  }
  const auto header = safetensors::read_header(bytes, 0, size);
  if (!header) return tl::unexpected(bytes.error().value_or(header.error()));
  archive::NamedTensors tensors;
  for (const safetensors::HeaderTensor& one : header->tensors) {
    archive::TorchTensor tensor;
    tensor.dtype = one.dtype;
    tensor.size = one.shape;
    tensor.strides = contiguous_strides(one.shape);
    tensor.storage_begin = header->data_begin + one.offset;
    tensor.storage_bytes = one.length;
    tensors.emplace(one.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace

Result<std::shared_ptr<const archive::NamedTensors>> Files::tensors_of(std::uint32_t number, const DataFile& file) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = tensors_.find(number); known != tensors_.end()) return known->second;
  }
  auto tensors = read_tensors(file);
  if (!tensors) return fail_at(file.path(), std::move(tensors.error()));
  auto shared = std::make_shared<const archive::NamedTensors>(std::move(*tensors));
  const std::lock_guard lock(mutex_);
  return tensors_.try_emplace(number, std::move(shared)).first->second;
}

Result<std::span<const std::byte>> Files::map(std::uint32_t number) {
  const auto file = open(number);
  RETURN_IF_ERROR(file);
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[number];
  if (slot.mapping) return slot.mapped;
  const base::File* const local = (*file)->local();
  if (local == nullptr) return fail(ErrorCode::InvalidArgument, "only local files can be mapped");
  if (local->size() == 0) return std::span<const std::byte>();
  void* const at = ::mmap(nullptr, local->size(), PROT_READ, MAP_SHARED, local->descriptor(), 0);
  if (at == MAP_FAILED) return base::system_error((*file)->path(), "mmap", errno);
  slot.mapped = {static_cast<const std::byte*>(at), local->size()};
  slot.mapping = std::shared_ptr<void>(at, [size = local->size()](void* mapped) { ::munmap(mapped, size); });
  return slot.mapped;
}

}  // namespace flatpoint::data
