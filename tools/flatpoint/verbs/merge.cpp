// flatpoint merge - the fragments of many ranks become the metadata of the whole checkpoint.
#include "flatpoint/merge.hpp"

#include <filesystem>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "publish.hpp"
#include "standard_input.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::vector<std::string> fragments;
  Destination output;
  DataPlace data;
  bool partial = false;
};

struct Opened {
  std::vector<dcp::OpenedCheckpoint> files;
  std::vector<fs::path> paths;
};

Result<std::vector<dcp::OpenedCheckpoint>> open_one(const Context& context, const fs::path& path) {
  auto file = open(context, path);
  if (!file) return tl::unexpected(std::move(file.error()));
  if (file->file.view().columns().fragment_rank < 0) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{}: is no fragment: it does not say which rank wrote it", path.string()));
  }
  std::vector<dcp::OpenedCheckpoint> files;
  files.push_back(std::move(*file));
  return files;
}

Result<Opened> open_all(const Context& context, const std::vector<std::string>& arguments) {
  Opened opened;
  for (const std::string& argument : arguments) {
    std::error_code ignored;
    auto files = fs::is_directory(argument, ignored) ? open_folder(context, argument) : open_one(context, argument);
    if (!files) return tl::unexpected(std::move(files.error()));
    for (dcp::OpenedCheckpoint& file : *files) {
      opened.paths.push_back(file.path);
      opened.files.push_back(std::move(file));
    }
  }
  return opened;
}

Result<fs::path> output_of(const Arguments& arguments) {
  if (arguments.output.path) return fs::path(*arguments.output.path);
  std::error_code ignored;
  if (arguments.fragments.size() == 1 && fs::is_directory(arguments.fragments[0], ignored)) {
    return fs::path(arguments.fragments[0]) / kMetadataFileName;
  }
  return fail(ErrorCode::InvalidArgument, "-o OUT is needed where the fragments are not those of one folder");
}

void print_json(Context& context, const fs::path& output, const MetadataFile& file, const Merged& merged,
                std::size_t fragments) {
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_published(json, output, file.view(), file.bytes().size());
  json.member("fragments", fragments);
  json.member("replicas", merged.replicas);
  json.key("findings").begin_array(Json::Style::Lines);
  for (const Finding& finding : merged.findings) {
    json.begin_object();
    json.member("kind", finding.kind);
    json.member("message", finding.message);
    json.end();
  }
  json.end();
  json.member("suppressed", merged.suppressed);
  json.end();
}

void print(Context& context, const fs::path& output, const MetadataFile& file, const Merged& merged,
           std::size_t fragments) {
  for (const Finding& finding : merged.findings) complain("note", finding.message);
  if (merged.suppressed > 0) complain("note", fmt::format("{} more like these", merged.suppressed));
  print_published(context.out, output, file.view(), file.bytes().size());
  context.out.print(" from {}", counted(fragments, "fragment", "fragments"));
  if (merged.replicas > 0) context.out.print(", without {}", counted(merged.replicas, "replica", "replicas"));
  context.out.write("\n");
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto output = output_of(arguments);
  if (!output) return tl::unexpected(output.error());
  const auto opened = open_all(context, arguments.fragments);
  if (!opened) return tl::unexpected(opened.error());
  std::vector<Fragment> fragments;
  for (std::size_t i = 0; i < opened->files.size(); ++i) {
    const Columns& columns = opened->files[i].file.view().columns();
    fragments.push_back({&columns, static_cast<std::uint32_t>(columns.fragment_rank), opened->paths[i].string()});
  }
  MergeOptions options;
  options.complete = !arguments.partial;
  auto merged = merge(fragments, options);
  if (!merged) return tl::unexpected(std::move(merged.error()));
  const Destination destination{output->string(), arguments.output.force};
  auto bytes =
      place_data(context, arguments.data, destination, opened->paths.front().parent_path(), std::move(merged->bytes));
  if (!bytes) return tl::unexpected(std::move(bytes.error()));
  merged->bytes = std::move(*bytes);
  if (auto written = publish(context, *output, merged->bytes.bytes(), destination.force, opened->paths); !written) {
    return tl::unexpected(std::move(written.error()));
  }
  if (is_standard_stream(*output)) return Exit::Yes;
  const auto file = MetadataFile::from_bytes(merged->bytes.bytes());
  if (!file) return tl::unexpected(file.error());
  context.globals.json ? print_json(context, *output, *file, *merged, fragments.size())
                       : print(context, *output, *file, *merged, fragments.size());
  return Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  command
      .add_option(
          "FRAGMENT", arguments->fragments,
          "A fragment, a __R.metadata, or a folder: all .flatpoint files of one rank and all __R.metadata in it")
      .required();
  add_destination(command, arguments->output, "by default FOLDER/.metadata.flatpoint where one folder is given");
  add_data_place(command, arguments->data);
  command.add_flag("--partial", arguments->partial,
                   "Join what is there: a missing rank is no error, and a tensor with holes a note");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kMerge;
const Verb kMerge{"merge", "Join what ranks wrote alone into the metadata of the whole",
                  "  flatpoint merge ckpt/                         writes ckpt/.metadata.flatpoint\n"
                  "  flatpoint merge rank*.flatpoint -o whole.flatpoint\n"
                  "  flatpoint merge ckpt/ --partial --json        where a rank's fragment is lost\n",
                  declare};

}  // namespace flatpoint::tool
