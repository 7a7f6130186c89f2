// flatpoint/write_file.hpp - publish a finished file: its readers see the old one or the new one, never a mix.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "flatpoint/error.hpp"

namespace flatpoint {

/// What happens to a file that is there already.
enum class IfExists {
  Replace,
  Fail,  // also where another process makes the file meanwhile
};

/// Writes `bytes` into a temporary file in the folder of `path`, syncs it, moves it to `path` and syncs the folder.
/// After success the file survives a crash, as far as its file system keeps such promises. On an error `path` is as it
/// was and the temporary file is gone; the one exception is a folder that could not be synced, and the message says so.
/// A process that is killed may leave a temporary file `.flatpoint-*.tmp`.
///
/// The mode is 0666 less the umask. A symbolic link at `path` is replaced, not followed. Errors: NotFound (the folder),
/// Conflict (IfExists::Fail and there is a file), Io.
Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                        IfExists if_exists = IfExists::Replace);

}  // namespace flatpoint
