// standard_input.hpp - "-" in the place of a file.
#pragma once

#include <filesystem>

#include "flatpoint/buffer.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/metadata_file.hpp"

namespace flatpoint::tool {

/// Whether a path stands for standard input or output.
[[nodiscard]] inline bool is_standard_stream(const std::filesystem::path& path) { return path == "-"; }

/// All of standard input, read once; later calls give the same bytes. Errors: Io, TooLarge.
[[nodiscard]] Result<std::span<const std::byte>> standard_input(std::uint64_t limit);

/// A flatpoint file, or standard input as one. Errors: those of MetadataFile::open.
[[nodiscard]] Result<MetadataFile> open_file(const std::filesystem::path& path, OpenMode mode, std::uint64_t limit);

}  // namespace flatpoint::tool
