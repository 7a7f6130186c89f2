// flatpoint/write_file.hpp - publish a finished file: its readers see the old one or the new one, never a mix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "flatpoint/error.hpp"

namespace flatpoint {

/// What happens to a file that is there already.
enum class IfExists {
  Replace,
  Fail,  // also where another process makes the file meanwhile
};

/// Writes `bytes` into a file without a name in the folder of `path`, syncs it, moves it to `path` and syncs the
/// folder. After success the file survives a crash, as far as its file system keeps such promises. On an error `path`
/// is as it was and nothing else is left; the one exception is a folder that could not be synced, and the message says
/// so.
///
/// Where the file system has no files without a name, and for a moment before an older file is replaced, the name is
/// `.flatpoint-HOST-BOOT-NAMESPACE-PROCESS-RANDOM.tmp`. What a process that was killed left under such a name, the next
/// writer on the same machine removes; files of other machines, and of processes that live, are never touched.
///
/// The mode is 0666 less the umask. A symbolic link at `path` is replaced, not followed; whatever is neither a link nor
/// a regular file (a folder, a FIFO, a device) is kept. `modified_ns`: the modification time to give the file,
/// nanoseconds since 1970. Errors: NotFound (the folder), Conflict (IfExists::Fail and there is a file),
/// InvalidArgument (what is there is no file), Io.
[[nodiscard]] Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                                      IfExists if_exists = IfExists::Replace,
                                      std::optional<std::int64_t> modified_ns = {});

}  // namespace flatpoint
