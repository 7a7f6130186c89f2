// flatpoint export - the .metadata that PyTorch reads.
#include <charconv>
#include <filesystem>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/write_file.hpp"
#include "publish.hpp"
#include "standard_input.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  Destination output;
  bool keep = false;
  bool drop = false;
};

/// "2.14", "2.14.1": the patch release makes no difference.
Result<void> read_torch_version(std::string_view text, dcp::ExportOptions& options) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto take = [&](std::uint32_t& number) {
    const auto [stop, error] = std::from_chars(at, end, number);
    at = stop;
    return error == std::errc();
  };
  const bool fits =
      take(options.torch_major) && at != end && *at++ == '.' && take(options.torch_minor) && (at == end || *at == '.');
  if (!fits || options.torch_major < 2) {
    return fail(ErrorCode::InvalidArgument, fmt::format("expected a version such as 2.14, not '{}'", text));
  }
  constexpr dcp::ExportOptions kNewest;
  if (options.torch_major > kNewest.torch_major) {
    return fail(ErrorCode::InvalidArgument, fmt::format("nothing is known of PyTorch {} yet; the newest known is {}.{}",
                                                        text, kNewest.torch_major, kNewest.torch_minor));
  }
  return {};
}

/// Makes the pickle that was written the source of the flatpoint file that it was written from, where it lies beside
/// it: it would pass for stale. Says where it leaves something out.
Result<void> record_as_source(const dcp::OpenedCheckpoint& opened, const fs::path& pickle) {
  std::error_code ignored;
  const fs::path beside = dcp::source_beside(opened.path, opened.file.view());
  if (opened.origin != dcp::Origin::Flatpoint || !fs::equivalent(beside, pickle, ignored)) return {};
  const auto bytes = dcp::record_source(opened.file.view(), pickle);
  if (bytes) return write_file(opened.path, bytes->bytes());
  if (bytes.error().code != ErrorCode::Conflict) return tl::unexpected(bytes.error());
  complain("note", fmt::format("{} says more than this {}, which is read in its place from now on",
                               opened.path.string(), pickle.filename().string()));
  return {};
}

void print(Context& context, const dcp::OpenedCheckpoint& opened, const fs::path& path, const dcp::Exported& exported) {
  const MetadataView metadata = opened.file.view();
  if (context.globals.json) {
    Json json(context.out);
    json.begin_object(Json::Style::Lines);
    write_checkpoint(json, opened);
    write_published(json, path, metadata, exported.bytes.size());
    json.member("dropped", exported.dropped);
    json.end();
    return;
  }
  for (const std::string& dropped : exported.dropped) complain("note", fmt::format("left out: {}", dropped));
  print_published(context.out, path, metadata, exported.bytes.size());
  context.out.write("\n");
}

Result<Exit> run(const Arguments& arguments, dcp::ExportOptions options, Context& context) {
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  options.limits.max_depth = context.globals.limits.max_depth;
  if (arguments.keep) options.foreign_names = dcp::ForeignNames::Keep;
  if (arguments.drop) options.foreign_names = dcp::ForeignNames::Drop;
  auto exported = dcp::export_pickle(opened->file.view(), options);
  if (!exported) {
    Error& error = exported.error();
    if (error.code == ErrorCode::OpaqueRecords)
      error.message += " (--keep-opaque writes it, --drop-opaque leaves it out)";
    return tl::unexpected(std::move(error));
  }
  const fs::path path = *arguments.output.path;
  if (auto done = publish(context, path, exported->bytes.bytes(), arguments.output.force, {opened->path}); !done) {
    return tl::unexpected(std::move(done.error()));
  }
  if (is_standard_stream(path)) {
    for (const std::string& dropped : exported->dropped) complain("note", fmt::format("left out: {}", dropped));
    return Exit::Yes;
  }
  if (auto done = record_as_source(*opened, path); !done) return tl::unexpected(std::move(done.error()));
  print(context, *opened, path, *exported);
  return Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  const auto options = std::make_shared<dcp::ExportOptions>();
  add_checkpoint(command, arguments->checkpoint);
  add_destination(command, arguments->output);
  command
      .add_option_function(
          "--torch", [options](std::string_view text) { return read_torch_version(text, *options); },
          "The oldest PyTorch that has to read it (2.15)")
      .type_name("VERSION");
  const Option& keep =
      command.add_flag("--keep-opaque", arguments->keep, "Write records that need names other than DCP's");
  command.add_flag("--drop-opaque", arguments->drop, "Leave such records out, and say which").excludes(keep);
  command.add_flag("--dcp-classes", options->dcp_classes,
                   "Write DCP's own Metadata and _StorageInfo in the place of another project's classes like them");
  return [arguments, options](Context& context) { return run(*arguments, *options, context); };
}

}  // namespace

extern const Verb kExport;
const Verb kExport{"export", "Write the .metadata that PyTorch reads",
                   "  flatpoint export ckpt/.metadata.flatpoint -o ckpt/.metadata\n"
                   "  flatpoint export ckpt/ -o old.metadata --torch 2.14   without strides, which 2.14 cannot read\n"
                   "  flatpoint export ckpt/ -o plain.metadata --drop-opaque\n"
                   "  flatpoint export olmo/ -o plain.metadata --dcp-classes        torch reads it without OLMo-core\n",
                   declare};

}  // namespace flatpoint::tool
