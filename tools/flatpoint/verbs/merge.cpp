// flatpoint merge - the fragments of many ranks become the metadata of the whole checkpoint.
#include "flatpoint/merge.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "publish.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::vector<std::string> fragments;
  Destination output;
  bool no_holes = false;
};

bool is_rank_pickle(const std::string& name) {
  constexpr std::string_view kSuffix = ".metadata";
  if (!name.starts_with("__") || !name.ends_with(kSuffix)) return false;
  const auto digits = std::string_view(name).substr(2, name.size() - 2 - kSuffix.size());
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

/// What may be a fragment in a folder, sorted: every `__R.metadata`, and every .flatpoint that was not imported from
/// one of those.
Result<std::vector<fs::path>> candidates_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (is_rank_pickle(name) || at->path().extension() == ".flatpoint") names.insert(name);
  }
  if (error) return fail(ErrorCode::Io, fmt::format("{}: list folder: {}", folder.string(), error.message()));
  std::vector<fs::path> paths;
  for (const std::string& name : names) {
    const std::string pickle = fs::path(name).stem().string();
    if (!names.contains(pickle)) paths.push_back(folder / name);
  }
  return paths;
}

struct Opened {
  std::vector<dcp::OpenedCheckpoint> files;
  std::vector<fs::path> paths;
};

/// Opens a fragment. `in_folder`: one of a folder that may hold other flatpoint files, which are passed over.
Result<void> open_fragment(const Context& context, const fs::path& path, bool in_folder, Opened& opened) {
  auto file = open(context, path);
  if (!file) return tl::unexpected(std::move(file.error()));
  if (file->file.view().columns().fragment_rank < 0) {
    if (in_folder) return {};
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{}: is no fragment: it does not say which rank wrote it", path.string()));
  }
  opened.paths.push_back(path);
  opened.files.push_back(std::move(*file));
  return {};
}

Result<Opened> open_all(const Context& context, const std::vector<std::string>& arguments) {
  Opened opened;
  for (const std::string& argument : arguments) {
    std::error_code ignored;
    if (!fs::is_directory(argument, ignored)) {
      if (auto one = open_fragment(context, argument, false, opened); !one)
        return tl::unexpected(std::move(one.error()));
      continue;
    }
    const auto candidates = candidates_in(argument);
    if (!candidates) return tl::unexpected(candidates.error());
    const std::size_t before = opened.files.size();
    for (const fs::path& path : *candidates) {
      if (auto one = open_fragment(context, path, true, opened); !one) return tl::unexpected(std::move(one.error()));
    }
    if (opened.files.size() == before) {
      return fail(ErrorCode::NotFound,
                  fmt::format("{}: no fragment: neither a .flatpoint of one rank nor __R.metadata", argument));
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
  if (arguments.no_holes) options.holes = Holes::Refuse;
  auto merged = merge(fragments, options);
  if (!merged) return tl::unexpected(std::move(merged.error()));
  if (auto written = publish(*output, merged->bytes, arguments.output.force, opened->paths); !written) {
    return tl::unexpected(std::move(written.error()));
  }
  const auto file = MetadataFile::from_bytes(merged->bytes.bytes());
  if (!file) return tl::unexpected(file.error());
  context.globals.json ? print_json(context, *output, *file, *merged, fragments.size())
                       : print(context, *output, *file, *merged, fragments.size());
  return Exit::Yes;
}

Run declare(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_text(command, "FRAGMENT", arguments->fragments,
           "A fragment, a __R.metadata, or a folder: all .flatpoint files of one rank and all __R.metadata in it")
      ->required();
  add_destination(command, arguments->output, "by default FOLDER/.metadata.flatpoint where one folder is given");
  command.add_flag("--no-holes", arguments->no_holes, "A tensor that its chunks do not cover is an error, not a note");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kMerge;
const Verb kMerge{"merge", "Join what ranks wrote alone into the metadata of the whole",
                  "  flatpoint merge ckpt/                         writes ckpt/.metadata.flatpoint\n"
                  "  flatpoint merge rank*.flatpoint -o whole.flatpoint\n"
                  "  flatpoint merge ckpt/ --no-holes --json\n",
                  declare};

}  // namespace flatpoint::tool
