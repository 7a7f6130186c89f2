// publish.hpp - how verbs write the file that they were asked for.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flatpoint/buffer.hpp"
#include "flatpoint/views.hpp"
#include "json.hpp"
#include "verb.hpp"

namespace flatpoint::tool {

/// Where a file goes.
struct Destination {
  std::optional<std::string> path;
  bool force = false;
};

/// Adds -o and --force. `fallback`: what the help says of a missing -o; null where it is required.
void add_destination(Command& command, Destination& destination, const char* fallback = nullptr);

/// Writes a finished file, so that its readers see an old one or this one. Errors: Conflict where there is a file and
/// no
/// --force, InvalidArgument where it would replace one of `sources`, and those of write_file.
[[nodiscard]] Result<void> publish(const std::filesystem::path& path, std::span<const std::byte> bytes, bool force,
                                   const std::vector<std::filesystem::path>& sources);

/// "OUT: 3 FQNs, 12 chunks in 1.2 KiB", without the end of the line.
void print_published(Output& out, const std::filesystem::path& path, const MetadataView& metadata, std::size_t bytes);
/// The same as members "output", "bytes", "fqns" and "chunks".
void write_published(Json& json, const std::filesystem::path& path, const MetadataView& metadata, std::size_t bytes);

}  // namespace flatpoint::tool
