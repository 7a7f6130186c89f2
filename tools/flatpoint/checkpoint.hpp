// checkpoint.hpp - what verbs do with the checkpoint that they are pointed at.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/data.hpp"
#include "flatpoint/source.hpp"
#include "json.hpp"
#include "verb.hpp"

namespace flatpoint::tool {

/// The files of a folder by the global options.
[[nodiscard]] Result<dcp::CheckpointFiles> find_files(const Context& context, const std::filesystem::path& folder);

/// Opens a folder, a `.metadata` or a flatpoint file by the global options. What goes through a whole file reads values
/// more than once, and works on a copy that nobody else can change; what looks up a few maps the file.
[[nodiscard]] Result<dcp::OpenedCheckpoint> open_quietly(const Context& context, const std::filesystem::path& path,
                                                         OpenMode mode = OpenMode::Copy);

/// The same, but of a folder what its flatpoint file is imported from.
[[nodiscard]] Result<dcp::OpenedCheckpoint> open_anew(const Context& context, const std::filesystem::path& path);

/// What was odd about opening one: to standard error, unless --json puts it into `write_checkpoint`.
void print_notes(const Context& context, const dcp::OpenedCheckpoint& opened);

/// The same; notices and findings go to standard error, unless --json puts them into `write_checkpoint`.
[[nodiscard]] Result<dcp::OpenedCheckpoint> open(const Context& context, const std::filesystem::path& path,
                                                 OpenMode mode = OpenMode::Copy);

/// All fragments of a folder, likewise.
[[nodiscard]] Result<std::vector<dcp::OpenedCheckpoint>> open_folder(const Context& context,
                                                                     const std::filesystem::path& folder);

/// Reads the data of an opened checkpoint by the global options.
[[nodiscard]] Result<data::Reader> open_data(const Context& context, const dcp::OpenedCheckpoint& opened);

/// The member "checkpoint" of a verb's JSON: which file was read, how, and what is odd about it.
void write_checkpoint(Json& json, const dcp::OpenedCheckpoint& opened);

/// The FQN of a command line: as it stands, or, where no entry has that name, read as `printable` writes it (a name may
/// hold bytes that a shell cannot pass).
Lookup<EntryView> find_entry(const MetadataView& metadata, std::string& fqn);

/// Up to three FQNs that differ from `fqn` in one place, the fewest bytes first.
std::vector<std::string_view> near_names(const MetadataView& metadata, std::string_view fqn);

/// Says that an FQN is absent, as a negative answer.
Exit report_absent_fqn(Context& context, const dcp::OpenedCheckpoint& opened, std::string_view fqn);

/// The error of a look-up that met a broken rule.
Error corrupt(const dcp::OpenedCheckpoint& opened, std::string_view what);

}  // namespace flatpoint::tool
