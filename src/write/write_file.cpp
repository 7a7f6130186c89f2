#include "flatpoint/write_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/failing.hpp"
#include "base/file.hpp"
#include "base/format.hpp"
#include "write/temporary_file.hpp"

namespace flatpoint {
namespace {

using write::TemporaryFile;

/// What is at `path` already and has to stay.
Result<void> check_place(const std::filesystem::path& path, IfExists if_exists) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (if_exists == IfExists::Fail)
    return fail(ErrorCode::Conflict, fmt::format("{}: there is a file already", path.string()));
  if (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode)) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{}: is a folder, a device or the like; only a file is replaced", path.string()));
}

/// A folder that cannot be opened or synced is the file system's choice; only a failed write to the disk is an error.
bool sync_folder(const std::filesystem::path& folder) {
  int file = -1;
  do {
    file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (file < 0 && errno == EINTR);
  if (file < 0) return true;
  const bool failed = !write::sync_file(file) && errno == EIO;
  ::close(file);
  return !failed;
}

struct Content {
  std::span<const std::byte> bytes;
  std::optional<std::int64_t> modified_ns;
};

/// False: the file system has no files without a name, or gives them none.
Result<bool> write_and_place(const std::filesystem::path& path, const std::filesystem::path& folder,
                             const Content& content, IfExists if_exists, TemporaryFile::Name name) {
  const bool nameless = name == TemporaryFile::Name::None;
  TemporaryFile file;
  if (const int number = file.create(folder, name); number != 0) {
    if (nameless && number == ENOTSUP) return false;
    return base::system_error(folder, "create a file", number);
  }
  if (!file.write(content.bytes)) return base::system_error(path, "write", errno);
  if (content.modified_ns) file.set_modified(*content.modified_ns);
  if (!file.sync()) return base::system_error(path, "sync", errno);
  const bool placed = if_exists == IfExists::Replace && !nameless ? file.replace(path) : file.place_new(path);
  if (placed) return true;
  if (errno == EEXIST && if_exists == IfExists::Fail)
    return fail(ErrorCode::Conflict, fmt::format("{}: there is a file already", path.string()));
  if (errno == EEXIST && file.replace(path)) return true;
  if (nameless && (errno == EPERM || errno == ENOTSUP || errno == ENOSYS || errno == EXDEV)) return false;
  return base::system_error(path, "rename", errno);
}

}  // namespace

Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes, IfExists if_exists,
                        std::optional<std::int64_t> modified_ns) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  RETURN_IF_ERROR(check_place(path, if_exists));
  write::remove_leftovers(folder);
  const Content content{bytes, modified_ns};
  auto placed = write_and_place(path, folder, content, if_exists, TemporaryFile::Name::None);
  if (placed && !*placed) placed = write_and_place(path, folder, content, if_exists, TemporaryFile::Name::Unique);
  RETURN_IF_ERROR(placed);
  if (!sync_folder(folder)) {
    return fail(ErrorCode::Io, fmt::format("{}: written, but its folder could not be synced", path.string()));
  }
  return {};
}

}  // namespace flatpoint
