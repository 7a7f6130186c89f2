#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/checked.hpp"
#include "base/format.hpp"

namespace flatpoint::base {

tl::unexpected<Error> system_error(const std::filesystem::path& path, const char* call, int number) {
  const bool missing = number == ENOENT || number == ENOTDIR;
  return fail(missing ? ErrorCode::NotFound : ErrorCode::Io,
              fmt::format("{}: {}: {}", path.string(), call, std::generic_category().message(number)));
}

std::int64_t modified_ns_of(const struct stat& status) noexcept {
  std::int64_t ns = 0;
  const bool fits = !__builtin_mul_overflow(std::int64_t{status.st_mtim.tv_sec}, 1'000'000'000, &ns) &&
                    !__builtin_add_overflow(ns, std::int64_t{status.st_mtim.tv_nsec}, &ns);
  return fits ? ns : 0;
}

Result<File> File::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it has no effect on regular files.
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.descriptor_ < 0) return system_error(path, "open", errno);
  struct stat status {};
  if (::fstat(file.descriptor_, &status) != 0) return system_error(path, "stat", errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::Io, fmt::format("{}: not a regular file", path.string()));
  file.size_ = static_cast<std::size_t>(status.st_size);
  file.modified_ns_ = modified_ns_of(status);
  return file;
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), modified_ns_(other.modified_ns_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool File::is_unchanged() const noexcept {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 && static_cast<std::size_t>(status.st_size) == size_ &&
         modified_ns_of(status) == modified_ns_;
}

std::ptrdiff_t File::read(std::uint64_t position, std::span<std::byte> to) const noexcept {
  std::size_t done = 0;
  while (done < to.size()) {
    const ssize_t n = ::pread(descriptor_, to.data() + done, to.size() - done, static_cast<off_t>(position + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<std::ptrdiff_t>(done);
}

FileSource::FileSource(const File& file) noexcept : file_(file) {
  const auto n = file.read(0, head_);
  if (n > 0) head_size_ = static_cast<std::size_t>(n);
}

bool FileSource::read(std::uint64_t position, std::span<std::byte> to) const noexcept {
  if (!base::in_range(position, to.size(), head_size_)) return file_.read(position, to) == std::ssize(to);
  std::ranges::copy(std::span(head_).subspan(position, to.size()), to.begin());
  return true;
}

}  // namespace flatpoint::base
