#include "publish.hpp"

#include <unistd.h>

#include <algorithm>

#include "arguments.hpp"
#include "describe.hpp"
#include "flatpoint/write_file.hpp"
#include "standard_input.hpp"
#include "text.hpp"

namespace flatpoint::tool {

namespace fs = std::filesystem;

void add_destination(Command& command, Destination& destination, const char* fallback) {
  const std::string help = fallback == nullptr ? "The file to write" : fmt::format("The file to write; {}", fallback);
  Option& option = command.add_option("-o,--output", destination.path, help).type_name("OUT");
  if (fallback == nullptr) option.required();
  command.add_flag("-f,--force", destination.force, "Replace a file that is there already");
}

Result<void> publish(Context& context, const fs::path& path, std::span<const std::byte> bytes, bool force,
                     const std::vector<fs::path>& sources) {
  if (is_standard_stream(path)) {
    if (context.globals.json) return fail(ErrorCode::InvalidArgument, "-o - and --json both take standard output");
    if (is_terminal(STDOUT_FILENO)) return fail(ErrorCode::InvalidArgument, "-o -: standard output is a terminal");
    context.out.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return {};
  }
  std::error_code ignored;
  for (const fs::path& source : sources) {
    if (!fs::equivalent(path, source, ignored)) continue;
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: would replace a file that is read", path.string()));
  }
  if (fs::is_directory(path, ignored)) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: is a folder; name a file", path.string()));
  }
  auto written = write_file(path, bytes, force ? IfExists::Replace : IfExists::Fail);
  if (!written && written.error().code == ErrorCode::Conflict) written.error().message += " (--force replaces it)";
  return written;
}

Result<void> check_free(const Destination& destination) {
  const fs::path path = *destination.path;
  std::error_code ignored;
  const fs::file_status there = fs::symlink_status(path, ignored);
  if (destination.force || !(fs::is_regular_file(there) || fs::is_symlink(there))) return {};
  return fail(ErrorCode::Conflict, fmt::format("{}: there is a file already (--force replaces it)", path.string()));
}

void add_data_place(Command& command, DataPlace& place) {
  const Option& from =
      command
          .add_option("--data-from", place.from,
                      "The folder with the data files: the paths are written anew to lead there from OUT's folder")
          .type_name("DIR");
  command
      .add_flag("--link", place.link, "Make links to the data files in OUT's folder (hard ones where that is possible)")
      .excludes(from);
}

void print_published(Output& out, const fs::path& path, const MetadataView& metadata, std::size_t bytes) {
  out.print("{}: {}, {} in {}", printable(path.string()), counted(metadata.size(), "FQN", "FQNs"),
            counted(chunk_count(metadata), "chunk", "chunks"), human_size(bytes));
}

void write_published(Json& json, const fs::path& path, const MetadataView& metadata, std::size_t bytes) {
  json.member("output", path.string());
  json.member("bytes", bytes);
  json.member("fqns", metadata.size());
  json.member("chunks", chunk_count(metadata));
}

}  // namespace flatpoint::tool
