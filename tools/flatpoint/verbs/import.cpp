// flatpoint import - a .metadata, a metadata.pkl, or the headers of safetensors files, become a flatpoint file.
#include <filesystem>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/data.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/torch_checkpointing.hpp"
#include "progress.hpp"
#include "publish.hpp"
#include "standard_input.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  Destination output;
  bool data = false;
  bool checksums = false;
};

/// What to import. In a folder it is taken even where a flatpoint file that was made from it lies beside it.
Result<fs::path> source_of(const fs::path& given, const Context& context) {
  std::error_code ignored;
  if (!fs::is_directory(given, ignored)) return given;
  const auto files = find_files(context, given);
  if (!files) return tl::unexpected(files.error());
  if (!files->pickle.empty()) return files->pickle;
  return files->safetensors.empty() ? files->flatpoint : files->safetensors;
}

/// Beside the source. That of a folder of safetensors files is the folder itself; a manifest of torch_checkpointing is
/// a folder's as well.
fs::path default_output(const fs::path& source) {
  if (source.filename() == torch_checkpointing::kManifestName) return source.parent_path() / kMetadataFileName;
  return source.has_filename() ? fs::path(source.string() + ".flatpoint") : source / kMetadataFileName;
}

/// The file to write: the import, or with what its data files say.
struct Written {
  std::span<const std::byte> bytes;
  std::optional<data::FoundData> found;
};

Result<Written> with_data(const Context& context, const dcp::OpenedCheckpoint& opened, const Arguments& arguments) {
  Written written{opened.file.bytes(), {}};
  if (!arguments.data && !arguments.checksums) return written;
  data::FindDataOptions options;
  options.checksums = arguments.checksums;
  options.allow_outside = context.globals.allow_outside;
  Progress progress;
  if (options.checksums)
    options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); };
  auto found = data::find_data(opened.file.view(), opened.path.parent_path(), options);
  if (!found) return tl::unexpected(std::move(found.error()));
  written.found = std::move(*found);
  written.bytes = written.found->bytes.bytes();
  return written;
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const fs::path& output, const Written& file) {
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  write_published(json, output, opened.file.view(), file.bytes.size());
  json.member("already_imported", false);
  if (file.found) {
    json.key("data").begin_object();
    json.member("chunks", file.found->chunks - file.found->not_plain);
    json.member("not_plain", file.found->not_plain);
    json.end();
  }
  json.end();
}

void print(Context& context, const dcp::OpenedCheckpoint& opened, const fs::path& output, const Written& file) {
  const MetadataView metadata = opened.file.view();
  const auto& source = metadata.columns().source;
  print_published(context.out, output, metadata, file.bytes.size());
  if (source) {
    context.out.print(" ({}: {})", source->kind == SourceKind::Pickle ? "the pickle" : "the files",
                      human_size(source->length));
  }
  if (file.found) {
    context.out.print("; the data of {} chunks found", file.found->chunks - file.found->not_plain);
    if (file.found->not_plain > 0) context.out.print(", {} are not plain", file.found->not_plain);
  }
  context.out.write("\n");
}

/// Whether `output` was imported from `source` already. Errors: Conflict where it is another file.
Result<bool> is_up_to_date(const fs::path& source, const Destination& output) {
  auto free = check_free(output);
  if (free) return false;
  const auto file = MetadataFile::open(*output.path);
  const auto check = file ? dcp::check_source(file->view(), source) : Result<dcp::SourceCheck>(dcp::SourceCheck{});
  if (check && check->is_source()) return true;
  return tl::unexpected(std::move(free.error()));
}

Exit report_up_to_date(Context& context, const fs::path& source, const fs::path& output) {
  if (!context.globals.json) {
    context.out.print("{}: already imported from {}\n", printable(output.string()), printable(source.string()));
    return Exit::Yes;
  }
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  json.member("output", output.string());
  json.member("already_imported", true);
  json.end();
  return Exit::Yes;
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto source = source_of(arguments.checkpoint, context);
  if (!source) return tl::unexpected(source.error());
  if (is_standard_stream(*source) && !arguments.output.path)
    return fail(ErrorCode::InvalidArgument, "-o OUT is needed where standard input is read");
  const bool wants_data = arguments.data || arguments.checksums;
  if (is_standard_stream(*source) && wants_data)
    return fail(ErrorCode::InvalidArgument, "--data and --checksums need a folder with data files, not standard input");
  const fs::path output = arguments.output.path ? fs::path(*arguments.output.path) : default_output(*source);
  const auto done = is_up_to_date(*source, {output.string(), arguments.output.force});
  if (!done) return tl::unexpected(done.error());
  // The data files may be others by now: what is asked of them is looked at anew.
  if (*done && !wants_data) return report_up_to_date(context, *source, output);
  const auto opened = open_anew(context, *source);
  if (!opened) return tl::unexpected(opened.error());
  if (opened->origin == dcp::Origin::Flatpoint) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: is a flatpoint file already", opened->path.string()));
  }
  print_notes(context, *opened);
  const auto file = with_data(context, *opened, arguments);
  if (!file) return tl::unexpected(file.error());
  const auto written = publish(context, output, file->bytes, arguments.output.force || *done, {opened->path});
  if (!written) return tl::unexpected(written.error());
  if (is_standard_stream(output)) return Exit::Yes;
  if (context.globals.json) {
    print_json(context, *opened, output, *file);
  } else {
    print(context, *opened, output, *file);
  }
  return Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  add_destination(command, arguments->output, "by default the source's name with .flatpoint behind it");
  command.add_flag("--data", arguments->data,
                   "Also look into the data files, by two small reads per chunk, for where each chunk's bytes begin");
  command.add_flag("--checksums", arguments->checksums,
                   "Likewise, and read all of them once for the XXH3-64 of each chunk");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kImport;
const Verb kImport{"import",
                   "Turn a .metadata, a metadata.pkl, or the headers of safetensors files, into a flatpoint file",
                   "  flatpoint import ckpt/                        writes ckpt/.metadata.flatpoint\n"
                   "  flatpoint import ckpt/ --data                 other languages read the data then, without torch\n"
                   "  flatpoint import ckpt/.metadata -o out.flatpoint\n"
                   "  ssh host cat ckpt/.metadata | flatpoint import - -o - | flatpoint ls -\n"
                   "  flatpoint import ckpt/ --of-rank 3            writes ckpt/__3.metadata.flatpoint\n"
                   "  flatpoint import model/                       of safetensors: writes model/.metadata.flatpoint\n"
                   "  flatpoint import step-100/                    of torch_checkpointing, likewise\n",
                   declare};

}  // namespace flatpoint::tool
