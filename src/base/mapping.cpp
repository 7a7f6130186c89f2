#include "base/mapping.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "base/failing.hpp"
#include "base/format.hpp"

namespace flatpoint::base {
namespace {

// Linux gives a process 65 530 mappings, of which its allocator needs some: files beyond these are read.
constexpr std::uint32_t kMostMapped = 32'768;
constinit std::atomic<std::uint32_t> mapped_now = 0;

}  // namespace

Result<Mapping> Mapping::map(const File& file, const std::filesystem::path& path, bool copy) {
  Mapping mapping;
  const std::size_t size = file.size();
  // What is too large for the format is refused after a look at its first bytes: no reason to read all of it.
  const bool too_large = size > kMaxCopy;
  const bool may_map = mapped_now.load(std::memory_order_relaxed) < kMostMapped;
  if (((!copy && may_map) || too_large) && size > 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
    if (mapped != MAP_FAILED) {
      mapping.mapped_ = static_cast<const std::byte*>(mapped);
      mapping.size_ = size;
      mapped_now.fetch_add(1, std::memory_order_relaxed);
      return mapping;
    }
  }
  if (too_large)
    return fail(ErrorCode::TooLarge, fmt::format("{}: {} bytes; the format ends below 2 GiB", path.string(), size));
  mapping.copy_ = Buffer(size);
  const auto done = file.read(0, mapping.copy_.mutable_bytes());
  if (done < 0) return system_error(path, "read", errno);
  if (static_cast<std::size_t>(done) != size) {
    return fail(ErrorCode::Io,
                fmt::format("{}: shrank from {} to {} bytes while it was read", path.string(), size, done));
  }
  return mapping;
}

Result<Mapping> Mapping::open(const std::filesystem::path& path, bool copy) {
  const auto file = File::open(path);
  RETURN_IF_ERROR(file);
  return map(*file, path, copy);
}

Mapping::Mapping(Mapping&& other) noexcept
    : mapped_(std::exchange(other.mapped_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      copy_(std::move(other.copy_)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(mapped_, other.mapped_);
  std::swap(size_, other.size_);
  std::swap(copy_, other.copy_);
  return *this;
}

Mapping::~Mapping() {
  if (mapped_ == nullptr) return;
  ::munmap(const_cast<std::byte*>(mapped_), size_);
  mapped_now.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace flatpoint::base
