#include "convert/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/failing.hpp"
#include "base/file.hpp"
#include "write/temporary_file.hpp"

namespace flatpoint::data {
namespace {

/// Makes room on the disk; where the file system cannot say so beforehand, the file gets its length alone.
int make_room(int file, std::uint64_t bytes) {
  if (bytes == 0) return 0;
#ifdef __linux__
  int done = 0;
  do done = ::fallocate(file, 0, 0, static_cast<::off_t>(bytes));
  while (done != 0 && errno == EINTR);
  if (done == 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return done;
#endif
  return ::ftruncate(file, static_cast<::off_t>(bytes));
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, std::uint64_t bytes) {
  OutputFile file(path, ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file.file_ < 0) return base::system_error(path, "open", errno);
  if (make_room(file.file_, bytes) != 0) return base::system_error(path, "fallocate", errno);
  return file;
}

Result<OutputFile> OutputFile::open(const std::filesystem::path& path) {
  OutputFile file(path, ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (file.file_ < 0) return base::system_error(path, "open", errno);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
}

Result<void> OutputFile::write(std::uint64_t at, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const auto n = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<::off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::system_error(path_, "write", n < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> OutputFile::sync() const {
  if (!write::sync_file(file_)) return base::system_error(path_, "sync", errno);
  return {};
}

void OutputFile::forget_cached() const { static_cast<void>(::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED)); }

Result<void> OutputFile::close() {
  if (::close(std::exchange(file_, -1)) == 0 || errno == EINTR) return {};  // Linux has closed it even then
  return base::system_error(path_, "close", errno);
}

}  // namespace flatpoint::data
