// safetensors/manifest.hpp - which files a checkpoint of safetensors is, and what tells one state of them from another.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::safetensors {

inline constexpr std::string_view kSuffix = ".safetensors";
inline constexpr std::string_view kIndexSuffix = ".safetensors.index.json";

struct ManifestFile {
  std::string name;
  std::uint64_t length = 0;
  std::int64_t modified_ns = 0;
  bool operator==(const ManifestFile&) const = default;
};

/// The index and all `*.safetensors` of a folder, or one file. All of them count, so that one that comes or goes is
/// noticed.
struct Manifest {
  std::filesystem::path folder;
  std::string index;                // its name; empty: there is none
  std::vector<ManifestFile> files;  // by name, without the index
  ManifestFile index_file;

  /// Null where there is none of that name.
  [[nodiscard]] const ManifestFile* find(std::string_view name) const noexcept;

  /// Errors: NotFound, Ambiguous, Io.
  [[nodiscard]] static Result<Manifest> of(const std::filesystem::path& path);

  /// Bytes of all files.
  [[nodiscard]] std::uint64_t length() const noexcept;
  [[nodiscard]] std::int64_t modified_ns() const noexcept;
  /// Names, lengths and times, as a short text: equal texts are the same files, where none was written too recently to
  /// tell.
  [[nodiscard]] std::string mark() const;
  /// XXH3-64 of the index, of names, lengths and headers. Errors: NotFound, Io.
  [[nodiscard]] Result<std::uint64_t> digest() const;
};

}  // namespace flatpoint::safetensors
