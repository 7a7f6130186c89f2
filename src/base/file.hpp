// base/file.hpp - a regular file, open for reading.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/byte_source.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::base {

/// Owns a file descriptor. Move-only.
class File {
 public:
  /// Errors: NotFound; Io, also for what is not a regular file.
  [[nodiscard]] static Result<File> open(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  /// Bytes, when it was opened.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Modification time when it was opened, nanoseconds since 1970; 0: none that fits.
  [[nodiscard]] std::int64_t modified_ns() const noexcept { return modified_ns_; }
  /// Whether size and modification time are still those of when it was opened.
  [[nodiscard]] bool is_unchanged() const noexcept;
  /// Reads up to `to.size()` bytes from `position` on. Returns how many there were, or -1 with errno set.
  [[nodiscard]] std::ptrdiff_t read(std::uint64_t position, std::span<std::byte> to) const noexcept;

 private:
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  int descriptor_;
  std::size_t size_ = 0;
  std::int64_t modified_ns_ = 0;
};

/// Reads numbers from a file by system calls. Its head, where the root table lies, is read once.
class FileSource final : public base::ByteSource {
 public:
  explicit FileSource(const File& file) noexcept;
  bool read(std::uint64_t position, std::span<std::byte> to) const noexcept override;

 private:
  const File& file_;
  std::array<std::byte, 4096> head_;
  std::size_t head_size_ = 0;
};

/// The modification time in nanoseconds since 1970; 0: none that fits, as a file of the year 2300 has.
[[nodiscard]] std::int64_t modified_ns_of(const struct stat& status) noexcept;

/// An Io or NotFound error that says what the system said.
tl::unexpected<Error> system_error(const std::filesystem::path& path, const char* call, int number);

}  // namespace flatpoint::base
