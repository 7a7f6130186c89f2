#include "read/mapping.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "format/constants.hpp"

namespace flatpoint::read {
namespace {

tl::unexpected<Error> system_error(const std::filesystem::path& path, const char* call, int number) {
  const bool missing = number == ENOENT || number == ENOTDIR;
  return fail(missing ? ErrorCode::NotFound : ErrorCode::Io,
              fmt::format("{}: {}: {}", path.string(), call, std::generic_category().message(number)));
}

class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int get() const noexcept { return number_; }

 private:
  int number_;
};

/// Reads up to buffer.size() bytes; a file that shrank meanwhile gives fewer.
Result<std::size_t> read_all(int file, std::span<std::byte> buffer, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t n = ::pread(file, buffer.data() + done, buffer.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, "read", errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

}  // namespace

Result<Mapping> Mapping::open(const std::filesystem::path& path, bool copy) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it has no effect on regular files.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error(path, "stat", errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::Io, fmt::format("{}: not a regular file", path.string()));

  Mapping mapping;
  const auto size = static_cast<std::size_t>(status.st_size);
  // What is too large for the format is refused after a look at its first bytes: no reason to read all of it.
  const bool too_large = size > format::kMaxFileSize;
  if ((!copy || too_large) && size > 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (mapped != MAP_FAILED) {
      mapping.mapped_ = static_cast<const std::byte*>(mapped);
      mapping.size_ = size;
      return mapping;
    }
  }
  if (too_large) return fail(ErrorCode::TooLarge, fmt::format("{}: {} bytes; the format ends below 2 GiB", path.string(), size));
  mapping.copy_ = Buffer(size);
  const auto done = read_all(file.get(), mapping.copy_.mutable_bytes(), path);
  if (!done) return tl::unexpected(done.error());
  if (*done != size) {
    return fail(ErrorCode::Io, fmt::format("{}: shrank from {} to {} bytes while it was read", path.string(), size, *done));
  }
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : mapped_(std::exchange(other.mapped_, nullptr)), size_(std::exchange(other.size_, 0)), copy_(std::move(other.copy_)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(mapped_, other.mapped_);
  std::swap(size_, other.size_);
  std::swap(copy_, other.copy_);
  return *this;
}

Mapping::~Mapping() {
  if (mapped_ != nullptr) ::munmap(const_cast<std::byte*>(mapped_), size_);
}

}  // namespace flatpoint::read
