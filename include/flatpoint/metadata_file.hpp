// flatpoint/metadata_file.hpp - open a metadata file. Start reading the library here.
//
//   auto file = flatpoint::MetadataFile::open("ckpt/.metadata.flatpoint");
//   if (!file) return report(file.error().message);
//   if (auto entry = file->view().find("model.layers.0.weight")) ...
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "flatpoint/buffer.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint {

/// The default name of a metadata file inside a checkpoint's folder.
inline constexpr const char* kMetadataFileName = ".metadata.flatpoint";

enum class OpenMode {
  Map,  // map the file; where mapping fails (some FUSE mounts) read it instead
  // Read it into memory: for folders where others write in place. A mapped file that is truncated raises SIGBUS; one
  // that is overwritten is safe for opening and look-ups alone, not for verify, coverage, diff, edit, merge and export,
  // which read values more than once.
  Copy,
};

/// An open metadata file: owns the mapping or the bytes. Move-only. Reading is safe from any number of threads.
/// Opening checks the shape of the file (docs/format.md, rules F1 to F8) in time that does not depend on its size.
class MetadataFile {
 public:
  using OwnsWhatItLends = void;

  /// Errors: NotFound, Io, NotFlatpoint, Truncated, Version, Corrupt. `path` is a file; nothing beside it is looked at.
  [[nodiscard]] static Result<MetadataFile> open(const std::filesystem::path& path, OpenMode mode = OpenMode::Map);

  /// Takes over finished bytes, such as `MetadataBuilder::finish` or `dcp::import_pickle` return them. Errors as
  /// `open`.
  [[nodiscard]] static Result<MetadataFile> from_buffer(Buffer bytes);

  /// Borrows bytes that outlive the file; copies them where they are not 8-byte aligned. Errors as `open`.
  [[nodiscard]] static Result<MetadataFile> from_bytes(std::span<const std::byte> bytes);

  MetadataFile(MetadataFile&&) noexcept;
  MetadataFile& operator=(MetadataFile&&) noexcept;
  ~MetadataFile();

  [[nodiscard]] MetadataView view() const& noexcept;
  MetadataView view() const&& = delete;  // would outlive its file

  /// The whole file: FlatBuffer and trailer.
  [[nodiscard]] std::span<const std::byte> bytes() const& noexcept;
  std::span<const std::byte> bytes() const&& = delete;

 private:
  struct State;
  explicit MetadataFile(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace flatpoint
