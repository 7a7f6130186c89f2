// write/temporary_file.hpp - a file that is written before it takes its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace flatpoint::write {

/// Closed, and removed where it has a name, with its object, unless it took its place. Calls return false, or an errno
/// that is not 0, where the system refused, which errno tells.
class TemporaryFile {
 public:
  enum class Name {
    None,    // O_TMPFILE: gone with its process, however that ends
    Unique,  // for file systems without such files
  };

  TemporaryFile() = default;
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  /// Returns 0 or errno. ENOTSUP: no files without a name here.
  int create(const std::filesystem::path& folder, Name name);
  bool write(std::span<const std::byte> bytes);
  /// A hint: not every file system keeps such times.
  void set_modified(std::int64_t ns) const;
  bool sync();
  /// Takes the place of whatever file is there.
  bool replace(const std::filesystem::path& target);
  /// Takes a place that is free; EEXIST where it is not.
  bool place_new(const std::filesystem::path& target);

 private:
  int link(const std::filesystem::path& target) const;
  int open_unique();
  bool close();

  std::filesystem::path folder_;
  std::filesystem::path path_;  // empty while it has no name
  int file_ = -1;
};

/// fsync, where the file system knows it.
bool sync_file(int file);

/// Removes temporary files that processes of this machine left in a folder when they were killed.
void remove_leftovers(const std::filesystem::path& folder);

}  // namespace flatpoint::write
