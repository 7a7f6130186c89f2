// flatpoint/dcp.hpp - read PyTorch DCP's `.metadata` without executing it, and write it. Target flatpoint::dcp.
//
// A `.metadata` file is a pickle: a program. The importer runs that program on a machine of its own which builds plain
// values, knows DCP's classes by name and never resolves a name to code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/metadata_file.hpp"
#include "flatpoint/verify.hpp"
#include "flatpoint/write_file.hpp"

namespace flatpoint::dcp {

/// The default name of DCP's metadata file inside a checkpoint's folder.
inline constexpr const char* kPickleName = ".metadata";

/// Each limit names the attack it stops. Exceeding one is ErrorCode::TooLarge with the option's name in the message.
/// Whatever they are, an import of n bytes has at most n + 2^20 chunks and 16 n + 64 MiB of output.
struct ImportLimits {
  std::uint64_t max_input_bytes = std::uint64_t{16} << 30;  // a file too large to be metadata
  std::uint32_t max_depth = 256;                            // nesting that would overflow a stack
  std::uint64_t max_memo = std::uint64_t{1} << 31;          // a memo index far beyond what was stored
  std::uint64_t max_opcodes = std::uint64_t{1} << 34;       // a program that runs for ever
  std::uint64_t max_chunks = std::uint64_t{1} << 27;  // lists shared through the memo that multiply when written out
  std::uint64_t max_output_bytes = std::uint64_t{2} << 30;  // the same, for the finished file
};

/// The names of the limits, "max_input_bytes" and so on: what the tool's --limit and Python's `limits` take.
[[nodiscard]] std::span<const std::string_view> limit_names() noexcept;
/// Sets a limit by its name; false where there is none of that name. What is beyond a limit's range is its greatest
/// value.
[[nodiscard]] bool set_limit(ImportLimits& limits, std::string_view name, std::uint64_t value) noexcept;

struct ImportOptions {
  ImportLimits limits;
  /// Recorded: the pickle's modification time, nanoseconds since 1970, and whether reading began within a tick of it;
  /// an object store's mark of this content, which must outlive the call. `import_file` sees to the time itself.
  std::optional<std::int64_t> modified_ns;
  bool modified_recently = false;
  std::string_view etag = {};
  /// The rank that wrote the pickle, where it is one of a save without collectives; recorded. -1: a whole checkpoint's.
  std::int32_t fragment_rank = -1;
};

/// A finished metadata file, and what is odd about the pickle it came from (bytes after STOP, ...).
struct Imported {
  Buffer bytes;
  std::vector<Finding> findings;
};

/// Imports the bytes of a `.metadata`. Errors: NotPickle, BadPickle, TooLarge.
[[nodiscard]] Result<Imported> import_pickle(std::span<const std::byte> pickle, const ImportOptions& options = {});

/// The same from a file, mapped while it is read; records its modification time. Errors also: NotFound, Io (also where
/// the file changed meanwhile).
[[nodiscard]] Result<Imported> import_file(const std::filesystem::path& path, const ImportOptions& options = {});

/// "module qualname" of every name that a pickle mentions, such as an opaque record's, by first mention: what Python
/// would import and might call. Errors: as `import_pickle`.
[[nodiscard]] Result<std::vector<std::string>> named_globals(std::span<const std::byte> pickle,
                                                             const ImportLimits& limits = {});

/// What happens to opaque records, and classes of Metadata and _StorageInfo, that need more than DCP's own classes and
/// plain values: another name, or a known one that is called or changed in another way than for DCP's objects. Loading
/// a pickle that holds it imports the module, and may call what it names.
enum class ForeignNames {
  Refuse,  // an error that names them
  Keep,    // written as they are; what stands around them is judged nevertheless
  Drop,    // records are left out, and said; DCP's own class takes the place of a foreign one
};

struct ExportOptions {
  /// The oldest PyTorch that reads the pickle. Before 2.15 TensorProperties had no strides, before 2.4 Metadata had no
  /// StorageMeta: they are left out. Transform descriptors are an error before 2.7, as are dtypes before their time.
  std::uint32_t torch_major = 2;
  std::uint32_t torch_minor = 15;
  ForeignNames foreign_names = ForeignNames::Refuse;
  /// Write DCP's own Metadata and _StorageInfo where the file names classes of another project with the same attributes
  /// (OLMo-core has a _StorageInfo of its own): torch then reads the checkpoint without that project.
  bool dcp_classes = false;
  /// max_output_bytes is that of the pickle; the others hold for each opaque record, which is read as a pickle is.
  ImportLimits limits{.max_output_bytes = std::uint64_t{16} << 30};
};

/// The bytes of a `.metadata`, and what was left out, for people.
struct Exported {
  Buffer bytes;
  std::vector<std::string> dropped;
};

/// Writes the pickle that `torch.distributed.checkpoint` reads: equal to the object that the file was imported from,
/// the order of its dictionaries included. Errors: Corrupt, OpaqueRecords (ForeignNames::Refuse), InvalidArgument (a
/// fact that this PyTorch cannot hold; the message names the FQN), TooLarge.
[[nodiscard]] Result<Exported> export_pickle(const MetadataView& metadata, const ExportOptions& options = {});

/// The same, and publishes it as `write_file` does. Errors also: those of `write_file`.
[[nodiscard]] Result<Exported> export_file(const MetadataView& metadata, const std::filesystem::path& path,
                                           const ExportOptions& options = {}, IfExists if_exists = IfExists::Replace);

/// How `open_checkpoint` came by its answer.
enum class Origin {
  Flatpoint,    // a `.metadata.flatpoint` was opened
  Pickle,       // a `.metadata` was imported in memory
  Safetensors,  // headers of safetensors files were
};

std::string_view to_string(Origin origin) noexcept;  // "flatpoint", "pickle", "safetensors"

struct OpenOptions {
  std::optional<std::uint32_t> rank;  // which `__R.metadata` of a save without collectives
  OpenMode mode = OpenMode::Map;      // Copy for work on all of a file that others might write into meanwhile
  ImportOptions import;
  bool anew = false;  // of a folder read the source, whatever was imported from it
};

struct OpenedCheckpoint {
  using OwnsWhatItLends = void;

  MetadataFile file;
  std::filesystem::path path;  // of the file that was read; names of data files are relative to its parent_path(). Of
                               // a folder of safetensors files: the folder, with a slash at its end
  Origin origin;
  std::vector<std::string> notices;  // for people: why a file beside it was passed over, ...
  std::vector<Finding> findings;     // of the import
};

/// Opens whatever a user points at: a checkpoint's folder, a `.metadata`, a `.metadata.flatpoint`, a `.safetensors`, an
/// index of those.
///
/// In a folder with both files a `.metadata.flatpoint` whose source record matches wins (source.hpp has the rule);
/// otherwise `.metadata` is imported, with a notice. A folder
/// with only the files of ranks that saved alone, `__R.metadata` or `__R.metadata.flatpoint`, which are chosen between
/// likewise: one rank is used, several are Ambiguous until `rank` picks one. A folder without any of these is one of
/// safetensors files (safetensors.hpp), where it holds some; a `.metadata.flatpoint` imported from them is chosen
/// likewise. A file given directly is opened as what it is; nothing beside it is looked at. Errors also: NotFound,
/// Ambiguous, those of safetensors::import_files.
[[nodiscard]] Result<OpenedCheckpoint> open_checkpoint(const std::filesystem::path& path,
                                                       const OpenOptions& options = {});

/// Opens what ranks wrote alone into a folder, for `merge`: every `__R.metadata`, or the flatpoint file beside it where
/// that was imported from it, and every other .flatpoint file of one rank. By name. Errors also: NotFound (there is
/// none).
[[nodiscard]] Result<std::vector<OpenedCheckpoint>> open_fragments(const std::filesystem::path& folder,
                                                                   const OpenOptions& options = {});

}  // namespace flatpoint::dcp
