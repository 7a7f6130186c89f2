// flatpoint/safetensors.hpp - checkpoints of safetensors files: one file, or a folder with or without an index. Target
// flatpoint::dcp.
//
// Only headers are read: a row of the finished metadata is a tensor's bytes inside its file. `dcp::open_checkpoint` and
// all that is built on it open such files and folders by themselves; nothing of this is needed for that.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/buffer.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/finding.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::safetensors {

/// The dtype behind a name of the format ("BF16"), and its name. F4 is Float4_e2m1fn_x2, two values to an element, as
/// torch counts them. Unset and empty where the other side has no such dtype (F6_E2M3; complex128).
[[nodiscard]] std::optional<ScalarType> scalar_type_from_safetensors(std::string_view name) noexcept;
[[nodiscard]] std::string_view safetensors_name_of(ScalarType dtype) noexcept;

/// Whether a path is one of: a folder with a `*.safetensors` or a `*.safetensors.index.json`; such an index; a file
/// that begins as safetensors files do.
[[nodiscard]] bool is_safetensors(const std::filesystem::path& path);

struct Imported {
  Buffer bytes;  // a finished metadata file; names of data files are relative to the folder
  std::vector<Finding> findings;
};

/// Imports a file, an index with the files it names, or a folder: by its one index, else all its `*.safetensors`.
/// Chunks of one tensor in several files (DCP_SHARDING_INFO, as torch's HuggingFaceStorageWriter notes it) become one
/// tensor, as large as they reach.
///
/// Headers are the truth; where an index says something else, that is a finding: "ghost_entry", "misplaced_tensor",
/// "unindexed_tensor", "missing_file", "duplicate_tensor". Errors name file, tensor and place: NotFound, Io (also where
/// a file changed meanwhile); BadItem, Truncated, TooLarge (a header that breaks a rule); NotPlain (a dtype that the
/// schema does not have); Conflict (a tensor is in two files, and nothing says that these are its chunks); Ambiguous
/// (several indices); Outside (an index names a file elsewhere).
[[nodiscard]] Result<Imported> import_files(const std::filesystem::path& path);

struct NamedTensor {
  std::string_view name;
  ScalarType dtype;
  Size sizes;
  std::uint64_t bytes;
};

struct HeadOptions {
  std::string_view format;    // "__metadata__" says it; transformers asks for "pt"
  std::size_t alignment = 8;  // of the first tensor's bytes in the file
};

/// What comes before the bytes of a .safetensors file, in which these tensors follow one another. Errors:
/// InvalidArgument for names, dtypes and shapes that the format does not have; TooLarge where the header exceeds the
/// format's 100,000,000 bytes.
[[nodiscard]] Result<std::string> head_of(std::span<const NamedTensor> tensors, const HeadOptions& options = {});

/// Whether a tensor may have this name in a safetensors file: Unicode, and not the name of its metadata.
[[nodiscard]] bool is_tensor_name(std::string_view name) noexcept;
/// Such a name in JSON, between quotes.
[[nodiscard]] std::string json_string(std::string_view name);

}  // namespace flatpoint::safetensors
