// convert/output_file.hpp - a file that is being written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "flatpoint/error.hpp"

namespace flatpoint::data {

/// Owns its descriptor. Errors of all calls: Io.
class OutputFile {
 public:
  /// A new file of so many bytes, for which the disk has room.
  [[nodiscard]] static Result<OutputFile> create(const std::filesystem::path& path, std::uint64_t bytes);
  /// One that was created.
  [[nodiscard]] static Result<OutputFile> open(const std::filesystem::path& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  [[nodiscard]] Result<void> write(std::uint64_t at, std::span<const std::byte> bytes) const;
  [[nodiscard]] Result<void> write(std::uint64_t at, std::string_view text) const {
    return write(at, std::as_bytes(std::span(text)));
  }
  [[nodiscard]] Result<void> sync() const;
  /// Whatever reads it next reads the disk.
  void forget_cached() const;
  [[nodiscard]] Result<void> close();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] int descriptor() const noexcept { return file_; }

 private:
  OutputFile(std::filesystem::path path, int file) : path_(std::move(path)), file_(file) {}
  std::filesystem::path path_;
  int file_;
};

}  // namespace flatpoint::data
