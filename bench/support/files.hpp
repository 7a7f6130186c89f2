// support/files.hpp - what the benchmarks do with files: map them bare, drop them from the page cache.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace bench {

/// Ends the program with what went wrong: a benchmark that cannot run has nothing to say.
[[noreturn]] void die(std::string_view what);

/// Writes a file and its bytes to the disk.
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Takes a file's pages out of the page cache: the next reader meets the disk.
void drop_from_cache(const std::filesystem::path& path);

/// Reads a file through the page cache, so that the next reader does not meet the disk.
void warm_cache(const std::filesystem::path& path);

/// The least that any reader of a mapped file does: open, map, touch a byte of the first page and one at `position`.
void map_and_touch(const char* path, std::size_t position);

/// A whole file, mapped for reading.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Memory that this process alone holds, in bytes: Private_Dirty of /proc/self/smaps_rollup.
std::size_t private_memory();

}  // namespace bench
