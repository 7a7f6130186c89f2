#include "convert/target_folder.hpp"

#include <fcntl.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/failing.hpp"
#include "base/file.hpp"
#include "base/format.hpp"
#include "flatpoint/safetensors.hpp"
#include "write/temporary_file.hpp"

namespace flatpoint::data {
namespace {

namespace fs = std::filesystem;

/// Files and nothing else, some of them a checkpoint's: what may be replaced.
bool is_checkpoint(const fs::path& folder) {
  bool any = false;
  bool found = false;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    any = true;
    found = found || name.ends_with(".metadata") || name.ends_with(".flatpoint") || name.ends_with(".safetensors");
  }
  return !error && (found || !any);
}

bool holds(const fs::path& folder, const fs::path& inner) {
  std::error_code error;
  const fs::path outside = fs::weakly_canonical(folder, error);
  const fs::path inside = fs::weakly_canonical(inner.empty() ? fs::path(".") : inner, error);
  return std::mismatch(outside.begin(), outside.end(), inside.begin(), inside.end()).first == outside.end();
}

int rename_with(const fs::path& from, const fs::path& to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
}

/// An open folder that no other process has locked; -1 and errno.
int lock_folder(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return -1;
  if (::flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return file;  // else: no locks here
  ::close(file);
  errno = EWOULDBLOCK;
  return -1;
}

bool is_same(const fs::path& path, int file) {
  struct stat at {};
  struct stat open {};
  return ::lstat(path.c_str(), &at) == 0 && ::fstat(file, &open) == 0 && at.st_ino == open.st_ino &&
         at.st_dev == open.st_dev;
}

/// Makes the folder, or takes and empties what a killed process left.
Result<int> take_folder(const fs::path& path) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    const bool is_new = ::mkdir(path.c_str(), 0777) == 0;
    if (!is_new && errno != EEXIST) return base::system_error(path, "mkdir", errno);
    const int lock = lock_folder(path);
    if (lock < 0 && errno == ENOENT) continue;  // just gone
    if (lock < 0 && errno == EWOULDBLOCK)
      return fail(ErrorCode::Conflict, fmt::format("{}: another process is writing there", path.string()));
    if (lock < 0) {
      auto error = base::system_error(path, "open", errno);
      if (is_new) ::rmdir(path.c_str());
      return error;
    }
    if (!is_same(path, lock)) {  // it has just become the target of another process
      ::close(lock);
      continue;
    }
    std::error_code error;
    for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
      fs::remove_all(at->path(), error);
    if (!error) return lock;
    ::close(lock);
    return fail(ErrorCode::Io, fmt::format("{}: {}", path.string(), error.message()));
  }
  return fail(ErrorCode::Conflict, fmt::format("{}: other processes are writing there", path.string()));
}

/// Whether two folders can change places; tried, because copying may take hours.
Result<void> check_exchange(const fs::path& folder, const fs::path& target) {
  const fs::path a = folder / "a";
  const fs::path b = folder / "b";
  if (::mkdir(a.c_str(), 0777) != 0 || ::mkdir(b.c_str(), 0777) != 0) return base::system_error(a, "mkdir", errno);
  const int number = rename_with(a, b, RENAME_EXCHANGE) == 0 ? 0 : errno;
  std::error_code ignored;
  fs::remove(a, ignored);
  fs::remove(b, ignored);
  if (number == 0) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{}: cannot be replaced: its file system does not exchange folders ({})", target.string(),
                          std::generic_category().message(number)));
}

Result<void> check_replaceable(const fs::path& target, const fs::path& source) {
  const auto refuse = [&](const char* why) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: {}", target.string(), why));
  };
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(target, error))) return refuse("is no folder, and is not replaced");
  if (holds(target, source)) return refuse("holds the source, and is not replaced");
  if (!is_checkpoint(target)) return refuse("is no checkpoint, and is not replaced");
  return {};
}

}  // namespace

Result<TargetFolder> TargetFolder::create(const fs::path& given, bool force, const fs::path& source) {
  std::error_code error;
  fs::path target = given.empty() ? fs::path() : fs::absolute(given, error).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  if (error || !target.has_filename())
    return fail(ErrorCode::InvalidArgument, fmt::format("'{}': is no name for a folder", given.string()));
  const bool exists = fs::exists(fs::symlink_status(target, error));
  if (exists && !force) return fail(ErrorCode::Conflict, fmt::format("{}: is there already", target.string()));
  if (exists) RETURN_IF_ERROR(check_replaceable(target, source));
  const fs::path folder = target.parent_path() / fmt::format(".{}.flatpoint-partial", target.filename().string());
  const auto lock = take_folder(folder);
  RETURN_IF_ERROR(lock);
  TargetFolder made(target, folder, *lock);
  made.force_ = force;
  if (exists) RETURN_IF_ERROR(check_exchange(folder, target));
  return made;
}

TargetFolder::TargetFolder(TargetFolder&& other) noexcept
    : target_(std::move(other.target_)),
      folder_(std::exchange(other.folder_, {})),
      lock_(std::exchange(other.lock_, -1)),
      force_(other.force_) {}

TargetFolder::~TargetFolder() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

Result<void> TargetFolder::publish(bool sync) {
  if (sync && !write::sync_file(lock_)) return base::system_error(folder_, "sync", errno);
  int old = -1;
  int done = rename_with(folder_, target_, RENAME_NOREPLACE);
  const bool is_exchange = done != 0 && errno == EEXIST && force_;
  if (is_exchange) {
    old = lock_folder(target_);  // whoever finds it under the partial name waits until it is gone
    done = rename_with(folder_, target_, RENAME_EXCHANGE);
  } else if (done != 0 && errno == EINVAL && !fs::exists(fs::symlink_status(target_))) {
    done = ::rename(folder_.c_str(), target_.c_str());  // file systems without that flag
  }
  const int number = errno;
  if (done == 0 && is_exchange) {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  if (old >= 0) ::close(old);
  if (done != 0 && number == EEXIST)
    return fail(ErrorCode::Conflict, fmt::format("{}: is there already", target_.string()));
  if (done != 0) return base::system_error(target_, "rename", number);
  folder_.clear();
  if (!sync) return {};
  const fs::path parent = target_.parent_path();
  const int file = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = file >= 0 && write::sync_file(file);
  const int reason = errno;
  if (file >= 0) ::close(file);
  if (!synced) return base::system_error(parent, "sync", reason);
  return {};
}

}  // namespace flatpoint::data
