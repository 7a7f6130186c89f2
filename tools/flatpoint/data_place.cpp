// Metadata that is written into another folder than its data lie in.
#include <algorithm>
#include <system_error>

#include "flatpoint/edit.hpp"
#include "publish.hpp"
#include "standard_input.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

/// The files that an item lies in.
std::vector<std::string_view> used_files(const MetadataView& metadata) {
  std::vector<bool> used(metadata.file_count(), false);
  for (const std::uint32_t file : metadata.columns().chunk_files) {
    if (file < used.size()) used[file] = true;
  }
  std::vector<std::string_view> names;
  for (std::uint32_t file = 0; file < used.size(); ++file) {
    const auto name = metadata.file_name(file);
    if (used[file] && name) names.push_back(*name);
  }
  return names;
}

bool leaves_folder(const fs::path& relative) {
  return relative.is_absolute() || std::ranges::find(relative, "..") != relative.end();
}

Result<void> link(const fs::path& source, const fs::path& to) {
  const auto failed = [&](const std::error_code& error) {
    return fail(ErrorCode::Io, fmt::format("{}: link to {}: {}", to.string(), source.string(), error.message()));
  };
  std::error_code error;
  if (!fs::is_regular_file(source, error))
    return fail(ErrorCode::NotFound, fmt::format("{}: the data file is missing", source.string()));
  if (fs::equivalent(source, to, error)) return {};
  if (fs::exists(fs::symlink_status(to, error)))
    return fail(ErrorCode::Conflict, fmt::format("{}: is another file than {}", to.string(), source.string()));
  if (to.has_parent_path() && (fs::create_directories(to.parent_path(), error), error)) return failed(error);
  fs::create_hard_link(source, to, error);
  if (!error) return {};
  fs::create_symlink(fs::absolute(source), to, error);
  if (error) return failed(error);
  return {};
}

/// Whether data files of the metadata lie in `folder`, and not in `here` as well.
bool lie_elsewhere(const MetadataView& metadata, const fs::path& folder, const fs::path& here) {
  std::error_code ignored;
  if (fs::equivalent(folder, here, ignored)) return false;
  return std::ranges::any_of(used_files(metadata),
                             [&](std::string_view name) { return !fs::exists(here / name, ignored); });
}

}  // namespace

Result<Buffer> place_data(const Context& context, const DataPlace& place, const Destination& destination,
                          const fs::path& folder, Buffer bytes) {
  const fs::path output = *destination.path;
  const auto folder_of = [](const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
  };
  const fs::path here = folder_of(output);
  const fs::path there = place.from ? fs::path(*place.from) : folder.empty() ? fs::path(".") : folder;
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  if (!file) return tl::unexpected(file.error());
  std::error_code error;
  if (place.from) {
    if (!fs::is_directory(there, error))
      return fail(ErrorCode::NotFound, fmt::format("--data-from: {}: is no folder", there.string()));
    if (fs::equivalent(there, here, error)) return bytes;
    const fs::path path = there.is_absolute() ? there : fs::relative(there, here, error);
    if (error) return fail(ErrorCode::Io, fmt::format("{}: {}", there.string(), error.message()));
    return move_data(file->view().columns(), path.string());
  }
  if (!place.link) {
    if (!context.globals.json && !is_standard_stream(output) && lie_elsewhere(file->view(), there, here)) {
      complain("note", fmt::format("{} names its data files relative to its folder, and they lie in {}: --data-from "
                                   "writes the paths anew, --link makes links",
                                   output.string(), there.string()));
    }
    return bytes;
  }
  if (is_standard_stream(output)) return fail(ErrorCode::InvalidArgument, "--link: standard output has no folder");
  if (auto free = check_free(destination); !free) return tl::unexpected(std::move(free.error()));
  for (const std::string_view name : used_files(file->view())) {
    if (leaves_folder(name))
      return fail(ErrorCode::InvalidArgument, fmt::format("--link: {}: leaves the checkpoint's folder", name));
    if (auto linked = link(there / name, here / name); !linked) return tl::unexpected(std::move(linked.error()));
  }
  return bytes;
}

}  // namespace flatpoint::tool
