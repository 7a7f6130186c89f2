// data/files.hpp - the data files of a checkpoint: opened on first use, a bounded number at a time.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "archive/torch_item.hpp"
#include "base/byte_source.hpp"
#include "base/file.hpp"
#include "flatpoint/data.hpp"

namespace flatpoint::data {

/// Whether the path of a data file is none in the checkpoint's folder.
[[nodiscard]] bool leaves_folder(std::string_view relative_path);

/// What tells one state of a file from another.
struct FileState {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  bool operator==(const FileState&) const = default;
};

/// A data file to read from, local or not. Safe from many threads.
class DataFile {
 public:
  /// `facts`: what the metadata recorded of it.
  DataFile(std::string path, const FileFacts& facts, base::File file, FileState state)
      : path_(std::move(path)),
        format_(facts.format),
        file_(std::move(file)),
        state_(state),
        is_as_recorded_(facts.modified_ns == state.modified_ns) {}
  DataFile(std::string path, const FileFacts& facts, RangeReader& ranges)
      : path_(std::move(path)), format_(facts.format), is_as_recorded_(true), ranges_(&ranges) {}

  /// Errors: Truncated, Io, those of a RangeReader.
  [[nodiscard]] Result<void> read(std::uint64_t offset, std::span<std::byte> to) const;
  [[nodiscard]] Result<void> read(std::span<const RangeReader::Request> batch) const;
  /// Errors: Changed where the file is not as it was when it was opened.
  [[nodiscard]] Result<void> check_unchanged() const;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// What the metadata file hints at.
  [[nodiscard]] FileFormat format() const noexcept { return format_; }
  [[nodiscard]] const base::File* local() const noexcept { return file_ ? &*file_ : nullptr; }
  [[nodiscard]] const FileState& state() const noexcept { return state_; }
  /// Whether it is the one that the metadata recorded, so that begins which that knows hold without a look at the
  /// items.
  [[nodiscard]] bool is_as_recorded() const noexcept { return is_as_recorded_; }

 private:
  std::string path_;
  FileFormat format_;
  std::optional<base::File> file_;
  FileState state_;
  bool is_as_recorded_;
  RangeReader* ranges_ = nullptr;
};

/// Bytes of a data file where a parser asks for them. The first error is kept.
class FileBytes final : public base::ByteSource {
 public:
  explicit FileBytes(const DataFile& file) noexcept : file_(file) {}
  bool read(std::uint64_t position, std::span<std::byte> to) const noexcept override;
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  const DataFile& file_;
  mutable std::optional<Error> error_;
};

class Files {
 public:
  Files(const MetadataView& metadata, std::filesystem::path folder, const ReaderOptions& options);

  /// What the metadata's checksums of chunks are.
  [[nodiscard]] ChecksumKind checksum_kind() const noexcept { return metadata_.columns().checksum_kind; }
  /// A file by its number. It stays open as long as the result lives. Errors: Outside, NotFound, Io, Changed, Corrupt.
  [[nodiscard]] Result<std::shared_ptr<const DataFile>> open(std::uint32_t number);
  /// The tensors that a file of `format` Archive or Safetensors holds, by name; read once. Places are from the file's
  /// start. Errors: those of its parser and of reading it.
  [[nodiscard]] Result<std::shared_ptr<const archive::NamedTensors>> tensors_of(std::uint32_t number,
                                                                                const DataFile& file);
  /// All of it, mapped; valid as long as this. Errors as `open`; InvalidArgument where files are not local.
  [[nodiscard]] Result<std::span<const std::byte>> map(std::uint32_t number);

 private:
  struct Slot {
    std::shared_ptr<const DataFile> file;
    std::optional<FileState> state;  // when it was opened first
    std::uint64_t last_use = 0;
    std::span<const std::byte> mapped;
    std::shared_ptr<void> mapping;
  };
  [[nodiscard]] Result<std::shared_ptr<const DataFile>> open_now(std::uint32_t number, Slot& slot);
  void close_oldest();

  MetadataView metadata_;
  std::filesystem::path folder_;
  ReaderOptions options_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Slot> slots_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const archive::NamedTensors>> tensors_;
  std::uint64_t uses_ = 0;
  std::size_t open_ = 0;
};

}  // namespace flatpoint::data
