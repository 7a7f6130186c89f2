// tensor_file.hpp - the heads of files that hold tensors, and files that appear when they are whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::tool {

/// NumPy's name of a dtype ("<f4"); of bfloat16 and float8 that of bytes without meaning ("<V2"), as the ml_dtypes
/// package has it. Unset where there is none.
std::optional<std::string_view> npy_dtype(ScalarType dtype) noexcept;

/// What comes before the bytes of a .npy file. REQUIRES: npy_dtype(dtype).
std::string npy_head(ScalarType dtype, std::span<const std::int64_t> sizes);

/// Bytes on their way into a file, which appears under its name when it is whole, or to standard output.
class FileWriter {
 public:
  /// "-" is standard output. Errors: Conflict where there is a file and no `force`; InvalidArgument where there is
  /// something else, which stays; NotFound, Io.
  [[nodiscard]] static Result<FileWriter> create(const std::filesystem::path& path, bool force);
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();

  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  /// Puts the file in its place.
  [[nodiscard]] Result<void> finish();

 private:
  FileWriter() = default;
  [[nodiscard]] Result<void> failed(const char* call, int number) const;
  [[nodiscard]] Result<void> open_temporary();
  [[nodiscard]] Result<void> link_nameless();
  [[nodiscard]] std::string temporary_name() const;
  [[nodiscard]] std::string descriptor_path() const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty: standard output, or a file without a name
  int file_ = -1;
  bool force_ = false;
};

}  // namespace flatpoint::tool
