#include "publish.hpp"

#include <algorithm>

#include "arguments.hpp"
#include "describe.hpp"
#include "flatpoint/write_file.hpp"
#include "text.hpp"

namespace flatpoint::tool {

namespace fs = std::filesystem;

void add_destination(Command& command, Destination& destination, const char* fallback) {
  const std::string help = fallback == nullptr ? "The file to write" : fmt::format("The file to write; {}", fallback);
  Option& option = command.add_option("-o,--output", destination.path, help).type_name("OUT");
  if (fallback == nullptr) option.required();
  command.add_flag("-f,--force", destination.force, "Replace a file that is there already");
}

Result<void> publish(const fs::path& path, std::span<const std::byte> bytes, bool force,
                     const std::vector<fs::path>& sources) {
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
