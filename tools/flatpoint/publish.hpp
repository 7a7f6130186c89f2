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

/// Writes a finished file, so that its readers see an old one or this one; "-" is standard output, on which nothing
/// else may be said then. Errors: Conflict where there is a file and no --force; InvalidArgument where it would replace
/// one of `sources`, and for standard output with --json or to a terminal; those of write_file.
[[nodiscard]] Result<void> publish(Context& context, const std::filesystem::path& path,
                                   std::span<const std::byte> bytes, bool force,
                                   const std::vector<std::filesystem::path>& sources);

/// Whether `publish` may write there, before work is done for it. Errors: Conflict.
[[nodiscard]] Result<void> check_free(const Destination& destination);

/// Where the data files of a metadata file lie that is written into another folder than the one that it came from.
struct DataPlace {
  std::optional<std::string> from;  // --data-from: the paths are written anew to lead there
  bool link = false;                // --link: they stay, and lead to links
};

void add_data_place(Command& command, DataPlace& place);

/// The bytes of a metadata file for `destination`, whose data lie in `folder` if --data-from does not say otherwise.
/// Makes links where they are asked for, and says where the paths lead nowhere. Errors: InvalidArgument, NotFound,
/// Conflict (there is another file where a link should be), Io.
[[nodiscard]] Result<Buffer> place_data(const Context& context, const DataPlace& place, const Destination& destination,
                                        const std::filesystem::path& folder, Buffer bytes);

/// "OUT: 3 FQNs, 12 chunks in 1.2 KiB", without the end of the line.
void print_published(Output& out, const std::filesystem::path& path, const MetadataView& metadata, std::size_t bytes);
/// The same as members "output", "bytes", "fqns" and "chunks".
void write_published(Json& json, const std::filesystem::path& path, const MetadataView& metadata, std::size_t bytes);

}  // namespace flatpoint::tool
