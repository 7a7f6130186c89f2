// flatpoint rename, drop, keep - a new metadata file with other names, or without some of them.
#include "flatpoint/edit.hpp"

#include <algorithm>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "glob.hpp"
#include "name_map.hpp"
#include "pattern_rename.hpp"
#include "publish.hpp"
#include "standard_input.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  std::vector<std::string> patterns;
  std::optional<std::string> map;
  Destination output;
  DataPlace data;
  bool drop_opaque = false;
};

/// What an edit did, for people and programs.
struct Report {
  const char* what;  // "renamed", "dropped"
  std::uint64_t count = 0;
};

void print_report(Context& context, const dcp::OpenedCheckpoint& opened, const std::string& output, const Buffer& bytes,
                  const MetadataView& metadata, const Report& report) {
  if (!context.globals.json) {
    print_published(context.out, output, metadata, bytes.size());
    context.out.print(", {} {}\n", grouped(report.count), report.what);
    return;
  }
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  write_published(json, output, metadata, bytes.size());
  json.member(report.what, report.count);
  json.end();
}

/// Says that there is nothing to do, as a negative answer. Nothing is written then.
Exit report_nothing(Context& context, const dcp::OpenedCheckpoint& opened, const Report& report) {
  if (!context.globals.json) {
    complain("", fmt::format("{}: no FQN matches; nothing is written", opened.path.string()));
    return Exit::No;
  }
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("output", nullptr);
  json.member(report.what, 0);
  json.end();
  return Exit::No;
}

Result<Exit> write_edited(const Arguments& arguments, Context& context, const dcp::OpenedCheckpoint& opened,
                          const NameEdit& name_of, const Report& report) {
  if (report.count == 0) return report_nothing(context, opened, report);
  EditOptions options;
  if (arguments.drop_opaque) options.opaque = OpaqueRecords::Drop;
  auto bytes = edit(opened.file.view().columns(), name_of, options);
  if (!bytes) {
    if (bytes.error().code == ErrorCode::OpaqueRecords) bytes.error().message += " (--drop-opaque leaves them out)";
    return tl::unexpected(std::move(bytes.error()));
  }
  bytes = place_data(context, arguments.data, arguments.output, opened.path.parent_path(), std::move(*bytes));
  if (!bytes) return tl::unexpected(std::move(bytes.error()));
  const fs::path output = *arguments.output.path;
  if (auto written = publish(context, output, bytes->bytes(), arguments.output.force, {opened.path}); !written) {
    return tl::unexpected(std::move(written.error()));
  }
  if (is_standard_stream(output)) return Exit::Yes;
  const auto file = MetadataFile::from_bytes(bytes->bytes());
  if (!file) return tl::unexpected(file.error());
  print_report(context, opened, *arguments.output.path, *bytes, file->view(), report);
  return Exit::Yes;
}

/// Calls visit(fqn) for every entry.
template <class Visit>
Result<void> for_each_fqn(const dcp::OpenedCheckpoint& opened, Visit&& visit) {
  const MetadataView metadata = opened.file.view();
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    if (!entry) return tl::unexpected(corrupt(opened, fmt::format("entry {}", i)));
    visit(entry->fqn());
  }
  return {};
}

// ---- drop, keep

Result<Exit> run_selection(const Arguments& arguments, Context& context, bool keep) {
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  const NameEdit name_of = [&](std::string_view fqn) -> std::optional<std::string> {
    const bool matches = std::any_of(arguments.patterns.begin(), arguments.patterns.end(),
                                     [&](const std::string& pattern) { return glob_matches(pattern, fqn); });
    return matches == keep ? std::optional<std::string>(fqn) : std::nullopt;
  };
  std::uint64_t kept = 0;
  if (auto each = for_each_fqn(*opened, [&](std::string_view fqn) { kept += name_of(fqn).has_value(); }); !each) {
    return tl::unexpected(std::move(each.error()));
  }
  const std::uint64_t dropped = opened->file.view().size() - kept;
  return write_edited(arguments, context, *opened, name_of, keep ? Report{"kept", kept} : Report{"dropped", dropped});
}

template <bool kKeepMatches>
Run declare_selection(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("PATTERN", arguments->patterns, "FQNs that match one of these: *, ?, [a-z]; * matches dots too")
      .required();
  add_destination(command, arguments->output);
  add_data_place(command, arguments->data);
  command.add_flag("--drop-opaque", arguments->drop_opaque, "Leave out opaque records, which cannot be looked into");
  return [arguments](Context& context) { return run_selection(*arguments, context, kKeepMatches); };
}

// ---- rename

Result<void> check_map(const dcp::OpenedCheckpoint& opened, const NameMap& map) {
  for (const auto& [from, to] : map) {
    const auto entry = opened.file.view().find(from);
    if (entry.corrupt()) return tl::unexpected(corrupt(opened, fmt::format("FQN '{}'", from)));
    if (entry.absent()) return fail(ErrorCode::NotFound, fmt::format("{}: no FQN '{}'", opened.path.string(), from));
  }
  return {};
}

Result<Exit> run_rename(const Arguments& arguments, Context& context) {
  if (arguments.map.has_value() == !arguments.patterns.empty() || arguments.patterns.size() % 2 != 0) {
    return fail(ErrorCode::InvalidArgument, "expected FROM TO, or --map FILE");
  }
  std::vector<PatternRename> patterns;
  for (std::size_t i = 0; i < arguments.patterns.size(); i += 2) {
    patterns.emplace_back(arguments.patterns[i], arguments.patterns[i + 1]);
    if (patterns.back().fits()) continue;
    return fail(ErrorCode::InvalidArgument, fmt::format("'{}' and '{}' have different numbers of *",
                                                        arguments.patterns[i], arguments.patterns[i + 1]));
  }
  NameMap map;
  if (arguments.map) {
    auto read = read_name_map(*arguments.map);
    if (!read) return tl::unexpected(std::move(read.error()));
    map = std::move(*read);
  }
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  if (auto known = check_map(*opened, map); !known) return tl::unexpected(std::move(known.error()));
  const NameEdit name_of = [&](std::string_view fqn) -> std::optional<std::string> {
    if (const auto mapped = map.find(fqn); mapped != map.end()) return mapped->second;
    for (const PatternRename& pattern : patterns) {
      if (auto renamed = pattern(fqn)) return renamed;
    }
    return std::string(fqn);
  };
  Report report{"renamed"};
  if (auto each = for_each_fqn(*opened, [&](std::string_view fqn) { report.count += *name_of(fqn) != fqn; }); !each) {
    return tl::unexpected(std::move(each.error()));
  }
  return write_edited(arguments, context, *opened, name_of, report);
}

Run declare_rename(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("FROM TO", arguments->patterns,
                     "Names, in pairs; what a * of FROM matches takes the place of the same * in TO, or of {1}, {2}, "
                     ".... The first pair that matches "
                     "counts");
  command
      .add_option("--map", arguments->map,
                  "A file with a line per FQN: old name, tab, new name, written as `ls` prints them")
      .type_name("FILE");
  add_destination(command, arguments->output);
  add_data_place(command, arguments->data);
  command.add_flag("--drop-opaque", arguments->drop_opaque, "Leave out opaque records, which cannot be looked into");
  return [arguments](Context& context) { return run_rename(*arguments, context); };
}

}  // namespace

extern const Verb kRename, kDrop, kKeep;

const Verb kRename{"rename", "Write a new file with other names",
                   "  flatpoint rename ckpt/ 'model.*' 'module.*' -o renamed.flatpoint\n"
                   "  flatpoint rename ckpt/ '*.blocks.*.w' '*.layers.*.weight' -o renamed.flatpoint\n"
                   "  flatpoint rename ckpt/ --map names.tsv -o renamed.flatpoint\n",
                   declare_rename};

const Verb kDrop{"drop", "Write a new file without some FQNs",
                 "  flatpoint drop ckpt/ 'optimizer.*' -o weights.flatpoint\n", declare_selection<false>};

const Verb kKeep{"keep", "Write a new file with some FQNs only",
                 "  flatpoint keep ckpt/ 'model.layers.0.*' 'model.embed*' -o part.flatpoint\n",
                 declare_selection<true>};

}  // namespace flatpoint::tool
