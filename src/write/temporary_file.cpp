#include "write/temporary_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "base/format.hpp"

namespace flatpoint::write {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnd = ".tmp";

/// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// Which machine this is, and which of its spaces of process numbers: only there a number says whether a process lives.
struct Machine {
  std::string prefix;  // of the names of its temporary files
  bool is_certain = false;

  Machine() {
    utsname names{};
    std::string host = ::uname(&names) == 0 ? names.nodename : "";
    std::ranges::replace_if(
        host, [](unsigned char c) { return std::isalnum(c) == 0 && c != '.'; }, '_');
    std::string boot;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    struct stat space {};
    is_certain = !host.empty() && !boot.empty() && ::stat("/proc/self/ns/pid", &space) == 0;
    prefix = fmt::format(".flatpoint-{}-{}-{}-", host, boot, space.st_ino);
  }
};

const Machine& machine() {
  static const Machine only;
  return only;
}

/// Of a name that `unique_path` gave: whether the process that asked for it is gone.
bool is_leftover(std::string_view name) {
  if (!name.starts_with(machine().prefix) || !name.ends_with(kEnd)) return false;
  name.remove_prefix(machine().prefix.size());
  ::pid_t process = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), process);
  return error == std::errc() && *stop == '-' && process > 0 && ::kill(process, 0) != 0 && errno == ESRCH;
}

/// Process numbers repeat between the machines that share a folder, and a process has threads: hence the random part.
/// Empty where the system gives none.
fs::path unique_path(const fs::path& folder) {
  std::uint64_t random = 0;
  if (::getentropy(&random, sizeof random) != 0) return {};
  return folder / fmt::format("{}{}-{:016x}{}", machine().prefix, ::getpid(), random, kEnd);
}

constexpr int kAttempts = 100;

/// A file may not grow beyond a limit of its process: the kernel says so by an error, and by a signal that ends the
/// process. The error is enough; the signal is held back in this thread, and forgotten.
class WithoutFileSizeSignal {
 public:
  WithoutFileSizeSignal() {
    ::sigemptyset(&signal_);
    ::sigaddset(&signal_, SIGXFSZ);
    was_pending_ = is_pending();
    ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  WithoutFileSizeSignal(const WithoutFileSizeSignal&) = delete;
  WithoutFileSizeSignal& operator=(const WithoutFileSizeSignal&) = delete;
  ~WithoutFileSizeSignal() {
    const int number = errno;
    int taken = 0;
    if (!was_pending_ && is_pending()) ::sigwait(&signal_, &taken);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = number;
  }

 private:
  static bool is_pending() {
    ::sigset_t pending;
    return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGXFSZ) == 1;
  }

  ::sigset_t signal_{};
  ::sigset_t before_{};
  bool was_pending_ = false;
};

/// Lets the disk begin with a piece while the next one is copied. A hint: `sync` waits for all of them, and tells what
/// went wrong.
void start_writeback([[maybe_unused]] int file, [[maybe_unused]] std::size_t begin, [[maybe_unused]] ::ssize_t size) {
#ifdef SYNC_FILE_RANGE_WRITE
  static_cast<void>(::sync_file_range(file, static_cast<::off_t>(begin), size, SYNC_FILE_RANGE_WRITE));
#endif
}

}  // namespace

bool sync_file(int file) {
  return uninterrupted([&] { return ::fsync(file); }) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

TemporaryFile::~TemporaryFile() {
  close();
  if (!path_.empty()) ::unlink(path_.c_str());
}

int TemporaryFile::create(const fs::path& folder, Name name) {
  folder_ = folder;
  if (name == Name::Unique) return open_unique();
#ifdef O_TMPFILE
  if (::access("/proc/self/fd", X_OK) != 0) return ENOTSUP;  // it gets its name through there
  file_ = uninterrupted([&] { return ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666); });
  if (file_ >= 0) return 0;
  const bool unknown = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;  // EISDIR: an old kernel
  return unknown ? ENOTSUP : errno;
#else
  return ENOTSUP;
#endif
}

int TemporaryFile::open_unique() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const fs::path path = unique_path(folder_);
    if (path.empty()) return errno;
    file_ = uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (file_ >= 0) {
      path_ = path;
      return 0;
    }
    if (errno != EEXIST) return errno;
  }
  return EEXIST;
}

bool TemporaryFile::write(std::span<const std::byte> bytes) {
  constexpr std::size_t kPiece = std::size_t{8} << 20;
  const WithoutFileSizeSignal quiet;
  for (std::size_t done = 0; done < bytes.size();) {
    const auto piece = bytes.subspan(done, std::min(bytes.size() - done, kPiece));
    const auto written = uninterrupted([&] { return ::write(file_, piece.data(), piece.size()); });
    if (written == 0) errno = EIO;  // no file system says so; it must not loop for ever
    if (written <= 0) return false;
    if (piece.size() == kPiece) start_writeback(file_, done, written);
    done += static_cast<std::size_t>(written);
  }
  return true;
}

void TemporaryFile::set_modified(std::int64_t ns) const {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t below = (ns % kSecond + kSecond) % kSecond;
  const timespec times[] = {{0, UTIME_OMIT}, {static_cast<::time_t>((ns - below) / kSecond), static_cast<long>(below)}};
  static_cast<void>(::futimens(file_, times));
}

bool TemporaryFile::sync() {
  if (!sync_file(file_)) return false;
  return path_.empty() || close();  // without a name it is open until it has one
}

bool TemporaryFile::close() {
  return file_ < 0 || ::close(std::exchange(file_, -1)) == 0 || errno == EINTR;  // Linux has closed it even then
}

int TemporaryFile::link(const fs::path& target) const {
  if (!path_.empty()) return ::link(path_.c_str(), target.c_str());
  const std::string open_file = fmt::format("/proc/self/fd/{}", file_);
  return ::linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, target.c_str(), AT_SYMLINK_FOLLOW);
}

bool TemporaryFile::replace(const fs::path& target) {
  // A link replaces nothing, a rename does: what has no name gets one for that moment.
  for (int attempt = 0; path_.empty(); ++attempt) {
    const fs::path path = unique_path(folder_);
    if (path.empty()) return false;
    if (link(path) == 0) {
      path_ = path;
    } else if (errno != EEXIST || attempt == kAttempts) {
      return false;
    }
  }
  if (::rename(path_.c_str(), target.c_str()) != 0) return false;
  path_.clear();
  return true;
}

bool TemporaryFile::place_new(const fs::path& target) {
  if (link(target) == 0) return true;  // the destructor takes the other name away
  if (path_.empty() || (errno != EPERM && errno != ENOTSUP && errno != ENOSYS)) return false;
  // No hard links here (FAT, some FUSE mounts): between this look and the move another process could slip in.
  if (std::error_code ignored; fs::exists(fs::symlink_status(target, ignored))) {
    errno = EEXIST;
    return false;
  }
  return replace(target);
}

void remove_leftovers(const fs::path& folder) {
  if (!machine().is_certain) return;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (is_leftover(at->path().filename().native())) ::unlink(at->path().c_str());
  }
}

}  // namespace flatpoint::write
