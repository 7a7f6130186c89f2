// flatpoint import - a .metadata becomes a flatpoint file.
#include <filesystem>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "publish.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  Destination output;
};

/// The pickle to import. In a folder it is taken even where a flatpoint file that was made from it lies beside it.
Result<fs::path> source_of(const fs::path& given, const Context& context) {
  std::error_code ignored;
  if (!fs::is_directory(given, ignored)) return given;
  const auto files = find_files(context, given);
  if (!files) return tl::unexpected(files.error());
  return files->pickle.empty() ? files->flatpoint : files->pickle;
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
  const auto source = source_of(arguments.checkpoint, context);
  if (!source) return tl::unexpected(source.error());
  const auto opened = open(context, *source);
  if (!opened) return tl::unexpected(opened.error());
  if (opened->origin == dcp::Origin::Flatpoint) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: is a flatpoint file already", opened->path.string()));
  }
  const fs::path output =
      arguments.output.path ? fs::path(*arguments.output.path) : fs::path(opened->path.string() + ".flatpoint");
  const auto written = publish(output, opened->file.bytes(), arguments.output.force, {opened->path});
  if (!written) return tl::unexpected(written.error());
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
                   "  flatpoint import ckpt/ --of-rank 3            writes ckpt/__3.metadata.flatpoint\n",
                   declare};

}  // namespace flatpoint::tool
