#include "flatpoint/write_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "base/format.hpp"

namespace flatpoint {
namespace {

tl::unexpected<Error> system_error(const std::filesystem::path& path, const char* call, int number) {
  const bool missing = number == ENOENT || number == ENOTDIR;
  return fail(missing ? ErrorCode::NotFound : ErrorCode::Io,
              fmt::format("{}: {}: {}", path.string(), call, std::generic_category().message(number)));
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// fsync, where the file system knows it.
bool sync(int file) {
  return uninterrupted([&] { return ::fsync(file); }) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

/// A new file of a name that nobody else uses. Closed and removed with its object, unless it was moved to its place.
class TemporaryFile {
 public:
  TemporaryFile() = default;
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (file_ >= 0) ::close(file_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  /// Returns 0 or errno. Process numbers repeat between the machines that share a folder; random names do not.
  int create(const std::filesystem::path& folder) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      std::uint64_t random = 0;
      if (::getentropy(&random, sizeof random) != 0) return errno;
      const std::filesystem::path path = folder / fmt::format(".flatpoint-{:016x}.tmp", random);
      file_ = uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
      if (file_ >= 0) {
        path_ = path;
        return 0;
      }
      if (errno != EEXIST) return errno;
    }
    return EEXIST;
  }

  bool write(std::span<const std::byte> bytes) {
    constexpr std::size_t kPiece = std::size_t{8} << 20;
    for (std::size_t done = 0; done < bytes.size();) {
      const auto piece = bytes.subspan(done, std::min(bytes.size() - done, kPiece));
      const auto written = uninterrupted([&] { return ::write(file_, piece.data(), piece.size()); });
      if (written == 0) errno = EIO;  // no file system says so; it must not loop for ever
      if (written <= 0) return false;
      if (piece.size() == kPiece) start_writeback(done, written);
      done += static_cast<std::size_t>(written);
    }
    return true;
  }

  bool sync_and_close() {
    if (!sync(file_)) return false;
    return ::close(std::exchange(file_, -1)) == 0 || errno == EINTR;  // Linux has closed it even then
  }

  bool replace(const std::filesystem::path& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) return false;
    path_.clear();
    return true;
  }

  /// Moves without replacing: a second name, then the destructor takes the first away.
  bool place_new(const std::filesystem::path& target) {
    if (::link(path_.c_str(), target.c_str()) == 0) return true;
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS) return false;
    // No hard links here (FAT, some FUSE mounts): between this look and the move another process could slip in.
    if (std::error_code ignored; std::filesystem::exists(std::filesystem::symlink_status(target, ignored))) {
      errno = EEXIST;
      return false;
    }
    return replace(target);
  }

 private:
  /// Lets the disk begin with a piece while the next one is copied. A hint: `sync` waits for all of them, and tells
  /// what went wrong.
  void start_writeback([[maybe_unused]] std::size_t begin, [[maybe_unused]] ::ssize_t size) const {
#ifdef SYNC_FILE_RANGE_WRITE
    static_cast<void>(::sync_file_range(file_, static_cast<::off_t>(begin), size, SYNC_FILE_RANGE_WRITE));
#endif
  }

  std::filesystem::path path_;
  int file_ = -1;
};

/// A folder that cannot be opened or synced is the file system's choice; only a failed write to the disk is an error.
bool sync_folder(const std::filesystem::path& folder) {
  const int file = uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (file < 0) return true;
  const bool failed = !sync(file) && errno == EIO;
  ::close(file);
  return !failed;
}

Result<void> write_and_place(const std::filesystem::path& path, const std::filesystem::path& folder,
                             std::span<const std::byte> bytes, IfExists if_exists) {
  TemporaryFile file;
  if (const int number = file.create(folder); number != 0) return system_error(folder, "create a file", number);
  if (!file.write(bytes)) return system_error(path, "write", errno);
  if (!file.sync_and_close()) return system_error(path, "sync", errno);
  const bool placed = if_exists == IfExists::Replace ? file.replace(path) : file.place_new(path);
  if (placed) return {};
  if (errno == EEXIST && if_exists == IfExists::Fail) {
    return fail(ErrorCode::Conflict, fmt::format("{}: there is a file already", path.string()));
  }
  return system_error(path, "rename", errno);
}

}  // namespace

Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes, IfExists if_exists) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (auto placed = write_and_place(path, folder, bytes, if_exists); !placed) return placed;
  if (!sync_folder(folder)) {
    return fail(ErrorCode::Io, fmt::format("{}: written, but its folder could not be synced", path.string()));
  }
  return {};
}

}  // namespace flatpoint
