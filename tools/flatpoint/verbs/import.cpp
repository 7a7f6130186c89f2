// flatpoint import - a .metadata becomes a flatpoint file.
#include <filesystem>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/write_file.hpp"
#include "publish.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  Destination output;
};

/// The `.metadata` to import. In a folder it is taken even where a flatpoint file that was made from it lies beside it.
fs::path source_of(const fs::path& given, const Globals& globals) {
  std::error_code ignored;
  const fs::path pickle = given / dcp::kPickleName;
  return !globals.rank && fs::is_regular_file(pickle, ignored) ? pickle : given;
}

Error with_hint(Error error) {
  if (error.code == ErrorCode::Conflict) error.message += " (--force replaces it)";
  return error;
}

/// What `write_file` cannot know to be a mistake, or would say less well.
std::optional<Error> check_output(const fs::path& output, const fs::path& source, bool force) {
  std::error_code ignored;
  if (fs::equivalent(output, source, ignored)) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{}: would replace the file that is imported", output.string())};
  }
  if (fs::is_directory(output, ignored)) {
    return Error{ErrorCode::InvalidArgument, fmt::format("{}: is a folder; name a file", output.string())};
  }
  if (!force && fs::exists(fs::symlink_status(output, ignored))) {
    return with_hint({ErrorCode::Conflict, fmt::format("{}: there is a file already", output.string())});
  }
  return std::nullopt;
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const fs::path& output) {
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  write_published(json, output, opened.file.view(), opened.file.bytes().size());
  json.end();
}

void print(Context& context, const dcp::OpenedCheckpoint& opened, const fs::path& output) {
  const MetadataView metadata = opened.file.view();
  const auto& source = metadata.columns().source;
  print_published(context.out, output, metadata, opened.file.bytes().size());
  if (source) context.out.print(" (the pickle: {})", human_size(source->length));
  context.out.write("\n");
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto opened = open(context, source_of(arguments.checkpoint, context.globals));
  if (!opened) return tl::unexpected(opened.error());
  if (opened->origin == dcp::Origin::Flatpoint) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: is a flatpoint file already", opened->path.string()));
  }
  const fs::path output =
      arguments.output.path ? fs::path(*arguments.output.path) : fs::path(opened->path.string() + ".flatpoint");
  if (auto error = check_output(output, opened->path, arguments.output.force)) return tl::unexpected(std::move(*error));
  const auto written =
      write_file(output, opened->file.bytes(), arguments.output.force ? IfExists::Replace : IfExists::Fail);
  if (!written) return tl::unexpected(with_hint(written.error()));
  if (context.globals.json) {
    print_json(context, *opened, output);
  } else {
    print(context, *opened, output);
  }
  return Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  add_destination(command, arguments->output, "by default the source's name with .flatpoint behind it");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kImport;
const Verb kImport{"import", "Turn a .metadata into a flatpoint file",
                   "  flatpoint import ckpt/                        writes ckpt/.metadata.flatpoint\n"
                   "  flatpoint import ckpt/.metadata -o out.flatpoint\n"
                   "  flatpoint import ckpt/ --rank 3               writes ckpt/__3.metadata.flatpoint\n",
                   declare};

}  // namespace flatpoint::tool
