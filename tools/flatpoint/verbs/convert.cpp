// flatpoint convert - a checkpoint anew, in another form.
#include "flatpoint/convert.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "glob.hpp"
#include "mesh.hpp"
#include "name_map.hpp"
#include "pattern_rename.hpp"
#include "progress.hpp"
#include "table.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string source;
  std::string target;
  std::optional<std::string> to;
  std::optional<std::uint32_t> files;
  std::string mesh;
  std::string placements;
  std::uint32_t align = 1;
  std::uint64_t max_shard_bytes = data::ConvertOptions().max_shard_bytes;
  std::optional<std::string> like;
  std::vector<std::string> keep;
  std::vector<std::string> drop;
  std::vector<std::string> rename;
  std::optional<std::string> map;
  std::vector<std::string> carry;
  bool force = false;
  bool dry_run = false;
  bool verify = false;
  bool no_sync = false;
};

bool matches(const std::vector<std::string>& patterns, std::string_view text) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return glob_matches(pattern, text); });
}

/// "5GB", "512MiB", "1000".
Result<void> read_bytes(std::string_view text, std::uint64_t& bytes) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  constexpr std::array kUnits{Unit{"", 1},
                              Unit{"B", 1},
                              Unit{"KB", 1'000},
                              Unit{"MB", 1'000'000},
                              Unit{"GB", 1'000'000'000},
                              Unit{"TB", 1'000'000'000'000},
                              Unit{"KiB", std::uint64_t{1} << 10},
                              Unit{"MiB", std::uint64_t{1} << 20},
                              Unit{"GiB", std::uint64_t{1} << 30},
                              Unit{"TiB", std::uint64_t{1} << 40}};
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const auto* const known = std::ranges::find(kUnits, unit, &Unit::name);
  if (error != std::errc() || known == kUnits.end() || number == 0 ||
      __builtin_mul_overflow(number, known->bytes, &bytes)) {
    return fail(ErrorCode::InvalidArgument, fmt::format("expected bytes such as 5GB or 512MiB, not '{}'", text));
  }
  return {};
}

/// Into which form: what the source is not.
bool to_dcp(const Arguments& arguments, const dcp::OpenedCheckpoint& opened) {
  return arguments.to ? *arguments.to == "dcp" : opened.origin == dcp::Origin::Safetensors;
}

/// The ranks of a target of DCP. Errors: InvalidArgument.
Result<void> read_ranks(const Arguments& arguments, bool is_dcp, data::ConvertOptions& options) {
  const bool given =
      arguments.files || !arguments.mesh.empty() || !arguments.placements.empty() || arguments.align != 1;
  if (given && !is_dcp)
    return fail(ErrorCode::InvalidArgument, "--files, --mesh, --placements and --align go with --to dcp");
  if (is_dcp && arguments.like) return fail(ErrorCode::InvalidArgument, "--like goes with --to safetensors");
  if (arguments.mesh.empty() != arguments.placements.empty() || (arguments.files && !arguments.mesh.empty()))
    return fail(ErrorCode::InvalidArgument, "give --files, or --mesh with --placements");
  constexpr std::uint32_t kPages = 1U << 20;
  if (arguments.align == 0 || arguments.align > kPages)
    return fail(ErrorCode::InvalidArgument, fmt::format("--align: 1 to {}", kPages));
  options.to = is_dcp ? data::ConvertTo::Dcp : data::ConvertTo::Safetensors;
  options.alignment = arguments.align;
  if (arguments.files) options.mesh = {*arguments.files};
  if (arguments.mesh.empty()) return {};
  auto mesh = parse_mesh(arguments.mesh);
  if (!mesh) return tl::unexpected(std::move(mesh.error()));
  auto placements = parse_placements(arguments.placements);
  if (!placements) return tl::unexpected(std::move(placements.error()));
  options.mesh = std::move(*mesh);
  options.placements = std::move(*placements);
  return {};
}

/// New names: by a file, else by the first pattern that matches.
struct Names {
  NameMap map;
  std::vector<PatternRename> patterns;

  [[nodiscard]] std::string operator()(std::string_view fqn) const {
    if (const auto mapped = map.find(fqn); mapped != map.end()) return mapped->second;
    for (const PatternRename& pattern : patterns) {
      if (auto renamed = pattern(fqn)) return std::move(*renamed);
    }
    return std::string(fqn);
  }
};

/// Errors: InvalidArgument, those of read_name_map; NotFound for an old name that is none.
Result<Names> read_names(const Arguments& arguments, const dcp::OpenedCheckpoint& opened) {
  Names names;
  for (const std::string& text : arguments.rename) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || text.find('=', equals + 1) != std::string::npos)
      return fail(ErrorCode::InvalidArgument, fmt::format("--rename: expected FROM=TO, not '{}'", text));
    names.patterns.emplace_back(std::string_view(text).substr(0, equals), std::string_view(text).substr(equals + 1));
    if (!names.patterns.back().fits())
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("--rename: '{}': what its * match cannot be told from one another then", text));
  }
  if (!arguments.map) return names;
  auto map = read_name_map(*arguments.map);
  if (!map) return tl::unexpected(std::move(map.error()));
  for (const auto& [from, to] : *map) {
    const auto entry = opened.file.view().find(from);
    if (entry.corrupt()) return tl::unexpected(corrupt(opened, fmt::format("FQN '{}'", from)));
    if (entry.absent()) return fail(ErrorCode::NotFound, fmt::format("{}: no FQN '{}'", opened.path.string(), from));
  }
  names.map = std::move(*map);
  return names;
}

data::ConvertOptions options_of(const Arguments& arguments, const Context& context, const Names& names) {
  data::ConvertOptions options;
  options.max_shard_bytes = arguments.max_shard_bytes;
  options.like = arguments.like.value_or("");
  options.allow_outside = context.globals.allow_outside;
  options.name_of = [&](std::string_view fqn) -> std::optional<std::string> {
    const bool kept = arguments.keep.empty() || matches(arguments.keep, fqn);
    return kept && !matches(arguments.drop, fqn) ? std::optional(names(fqn)) : std::nullopt;
  };
  options.carry = [&](std::string_view file) { return matches(arguments.carry, file); };
  return options;
}

/// What was done, as far as it was.
struct Done {
  std::optional<data::ConvertReport> report;  // unset: nothing was written
  double seconds = 0;
};

/// Bytes of memory, at their most. What getrusage says begins with the process that started this one.
std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::uint64_t kib = 0;
    if (std::sscanf(line.c_str(), "VmHWM: %" SCNu64 " kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

void print_names(Output& out, std::string_view what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  constexpr std::size_t kShown = 5;
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) shown.push_back(printable(names[i]));
  out.print("{}: {}", what, fmt::join(shown, ", "));
  if (names.size() > kShown) out.print(" and {} more", grouped(names.size() - kShown));
  out.write("\n");
}

void print(Output& out, const data::Conversion& plan, const Arguments& arguments, const Done& done) {
  if (!done.report) {
    static constexpr std::array kColumns{Column{"file"}, Column{"tensors", Align::Right},
                                         Column{"bytes", Align::Right}};
    print_table(out, kColumns, plan.files.size(), [&](std::uint64_t i, Cells& cells) {
      cells.add(printable(plan.files[i].name));
      cells.add(grouped(plan.files[i].tensors.size()));
      cells.add(grouped(plan.files[i].bytes));
    });
  }
  out.print("{}{}: {} of {}, {} in {}", done.report ? "" : "would write ", printable(arguments.target),
            counted(plan.tensors, "tensor", "tensors"), human_size(plan.tensor_bytes),
            plan.woven_bytes == 0 ? "all copied" : human_size(plan.woven_bytes) + " woven",
            counted(plan.files.size(), "file", "files"));
  if (done.report) {
    out.print(
        ", {:.2f} s, {}/s, {} of memory", done.seconds,
        human_size(static_cast<std::uint64_t>(static_cast<double>(plan.tensor_bytes) / std::max(done.seconds, 1e-6))),
        human_size(peak_memory()));
    if (done.report->cloned > 0) out.print(", {} cloned", human_size(done.report->cloned));
    if (arguments.verify) out.write(", verified");
  }
  out.write("\n");
  print_names(out, "left out, as they are no tensors", plan.bytes_items);
  print_names(out, "left out, as --keep and --drop say", plan.not_chosen);
  print_names(out, "missing, but named by --like", plan.missing);
  print_names(out, "carried along", plan.carried);
  print_names(out, "other files there (--carry copies them)", plan.not_carried);
}

void print_json(Output& out, const dcp::OpenedCheckpoint& opened, const data::Conversion& plan,
                const Arguments& arguments, const Done& done) {
  Json json(out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("output", arguments.target);
  json.member("to", plan.to == data::ConvertTo::Dcp ? "dcp" : "safetensors");
  json.member("written", done.report.has_value());
  json.member("verified", done.report.has_value() && arguments.verify);
  json.key("files").begin_array(Json::Style::Lines);
  for (const data::ConvertedFile& file : plan.files) {
    json.begin_object();
    json.member("name", file.name);
    json.member("tensors", file.tensors.size());
    json.member("bytes", file.bytes);
    json.end();
  }
  json.end();
  json.member("tensors", plan.tensors);
  json.member("bytes", plan.tensor_bytes);
  json.member("woven", plan.woven_bytes);
  json.member("left_out", plan.bytes_items);
  json.member("not_chosen", plan.not_chosen);
  json.member("missing", plan.missing);
  json.member("carried", plan.carried);
  json.member("other_files", plan.not_carried);
  if (done.report) {
    json.member("cloned", done.report->cloned);
    json.member("seconds", done.seconds);
    json.member("peak_memory", peak_memory());
  }
  json.end();
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto opened = open(context, arguments.source);
  if (!opened) return tl::unexpected(opened.error());
  const auto reader = open_data(context, *opened);
  if (!reader) return tl::unexpected(reader.error());
  const auto names = read_names(arguments, *opened);
  if (!names) return tl::unexpected(names.error());
  auto choices = options_of(arguments, context, *names);
  if (auto read = read_ranks(arguments, to_dcp(arguments, *opened), choices); !read)
    return tl::unexpected(std::move(read.error()));
  const auto plan = data::plan_conversion(*opened, *reader, choices);
  if (!plan) return tl::unexpected(plan.error());
  Done done;
  if (!arguments.dry_run) {
    Progress progress;
    const auto begin = Clock::now();
    data::ConvertRun options;
    options.force = arguments.force;
    options.sync = !arguments.no_sync;
    options.verify = arguments.verify;
    options.allow_outside = context.globals.allow_outside;
    options.progress = [&](std::uint64_t bytes, std::uint64_t total) { progress.show(bytes, total); };
    auto report = data::convert(*opened, *reader, *plan, arguments.target, options);
    if (!report) {
      if (report.error().code == ErrorCode::Conflict && !arguments.force)
        report.error().message += " (--force replaces a checkpoint)";
      return tl::unexpected(std::move(report.error()));
    }
    done = {*report, std::chrono::duration<double>(Clock::now() - begin).count()};
  }
  if (context.globals.json) {
    print_json(context.out, *opened, *plan, arguments, done);
  } else {
    print(context.out, *plan, arguments, done);
  }
  return Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  command
      .add_option("SRC", arguments->source,
                  "A checkpoint's folder, a .metadata, a flatpoint or .safetensors file, with its data files")
      .required();
  command.add_option("DST", arguments->target, "The folder to write, which appears when it is whole").required();
  command
      .add_option("--to", arguments->to,
                  "The form of DST. dcp: what torch.distributed.checkpoint loads; the default for safetensors files")
      .one_of({"safetensors", "dcp"});
  command.add_option("--files", arguments->files, "Of dcp: dimension 0 of each tensor cut into N files").type_name("N");
  command.add_option("--mesh", arguments->mesh, "Of dcp: a file for each rank of this device mesh, such as 8x4")
      .type_name("MESH");
  command
      .add_option("--placements", arguments->placements,
                  "A placement per dimension of the mesh, such as S0,R; dimensions that a tensor lacks replicate it")
      .type_name("P,...");
  command
      .add_option("--align", arguments->align,
                  "Of dcp: tensors' bytes begin at multiples of this, such as 4096, for mapping")
      .type_name("BYTES");
  command
      .add_option_function(
          "--max-shard-size",
          [arguments](std::string_view text) { return read_bytes(text, arguments->max_shard_bytes); },
          "Begin another file where one would have more bytes of tensors")
      .type_name("SIZE")
      .shows_default("5GB");
  command
      .add_option("--like", arguments->like,
                  "Put each tensor into the file that this model.safetensors.index.json names for it")
      .type_name("INDEX");
  command.add_option("--keep", arguments->keep, "Only FQNs that match; may be given again").type_name("PATTERN");
  command.add_option("--drop", arguments->drop, "None of the FQNs that match; may be given again").type_name("PATTERN");
  command
      .add_option("--rename", arguments->rename,
                  "New names: what a * of FROM matches takes the place of the same * in TO, or of {1}, {2}, ...; the\n"
                  "first that matches counts")
      .type_name("FROM=TO");
  command
      .add_option("--map", arguments->map,
                  "A file with a line per FQN: old name, tab, new name, written as `ls` prints them")
      .type_name("FILE");
  command
      .add_option("--carry", arguments->carry,
                  "Copy other files of SRC's folder that match, such as '*.json'; may be given again")
      .type_name("PATTERN");
  command.add_flag("-f,--force", arguments->force, "Replace a checkpoint that is there, in one step");
  command.add_flag("--dry-run", arguments->dry_run, "Check everything, say what would be written, write nothing");
  command.add_flag("--verify", arguments->verify,
                   "Check the source's checksums, read all of DST back from the disk and compare every bit");
  command.add_flag("--no-sync", arguments->no_sync, "Do not wait for the disk: DST may be lost in a crash");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kConvert;
const Verb kConvert{"convert",
                    "Write a checkpoint anew, as safetensors files or in another sharding, at the speed of a copy",
                    "  flatpoint convert ckpt/ model/ --keep 'model.*' --carry '*.json'\n"
                    "  flatpoint convert ckpt/ model/ --keep 'app.model.*' --rename 'app.model.*=model.*'\n"
                    "  flatpoint convert ckpt/ model/ --max-shard-size 2GB --verify\n"
                    "  flatpoint convert ckpt/ model/ --like original/model.safetensors.index.json --dry-run\n"
                    "  flatpoint convert model/ ckpt/ --to dcp --mesh 4x2 --placements S0,S1\n"
                    "  flatpoint convert ckpt/ resharded/ --to dcp --files 64 --align 4096\n",
                    declare};

}  // namespace flatpoint::tool
