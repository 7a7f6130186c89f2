// flatpoint verify - does a file keep every rule?
#include "flatpoint/verify.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "flatpoint/coverage.hpp"
#include "flatpoint/data.hpp"
#include "flatpoint/pickle_audit.hpp"
#include "flatpoint/safetensors.hpp"
#include "flatpoint/source.hpp"
#include "progress.hpp"
#include "standard_input.hpp"
#include "table.hpp"

namespace flatpoint::tool {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string checkpoint;
  bool source = false;
  bool coverage = false;
  std::optional<std::string> check;  // "rules", "files", "items", "bytes"
};

/// What the pickle, or the safetensors files, beside a flatpoint file say of it.
enum class Source {
  NotLookedFor,
  Absent,    // there is none
  NoRecord,  // the file was not imported
  Matches,
  Stale,
};

struct Verdict {
  fs::path path;  // of the file that was checked
  VerifyReport report;
  std::optional<MetadataFile> file = {};  // where it could be opened
  Source source = Source::NotLookedFor;
  std::string source_name = {};                 // of what was compared
  fs::path pickle = {};                         // where that is a pickle
  std::optional<CoverageReport> coverage = {};  // with --coverage; its findings are in the report
  std::optional<PickleAudit> unpickling = {};   // of a `.metadata`: what Python would run
  std::optional<data::FilesReport> files = {};  // but with --check rules; likewise
  std::optional<data::CheckReport> data = {};   // with --check items or bytes; likewise
  data::CheckDepth data_depth = data::CheckDepth::Items;
};

std::string_view word(Source source) {
  switch (source) {
    case Source::NotLookedFor: return "not_looked_for";
    case Source::Absent: return "absent";
    case Source::NoRecord: return "no_record";
    case Source::Matches: return "matches";
    case Source::Stale: return "stale";
  }
  return "unknown";
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

Result<Buffer> read_file(const fs::path& path) {
  if (is_standard_stream(path)) {
    const auto all = standard_input(SIZE_MAX);  // it was read before
    if (!all) return tl::unexpected(all.error());
    Buffer bytes(all->size());
    std::ranges::copy(*all, bytes.mutable_bytes().begin());
    return bytes;
  }
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return fail(ErrorCode::Io, fmt::format("{}: {}", path.string(), error.message()));
  Buffer bytes(size);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.mutable_bytes().data()), static_cast<std::streamsize>(size));
  if (!file) return fail(ErrorCode::Io, fmt::format("{}: could not be read", path.string()));
  return bytes;
}

/// Adds to the findings where chunks do not tile their tensors. Chunks outside are among the findings already.
void add_coverage(const MetadataFile& file, Verdict& verdict) {
  auto coverage = check_coverage(file.view());
  if (!coverage) {
    if (verdict.report.sound()) verdict.report.broken_rules.push_back({"coverage", coverage.error().message});
    return;
  }
  verdict.report.suppressed += coverage->suppressed;
  for (const Finding& finding : coverage->findings) {
    if (finding.kind != finding_kind::kChunkOutside) verdict.report.findings.push_back(finding);
  }
  verdict.coverage = std::move(*coverage);
}

/// Compares the source record with what lies beside the file, byte for byte. A difference is a broken rule.
Result<void> compare_source(Verdict& verdict, const MetadataFile& file) {
  const fs::path source = dcp::source_beside(verdict.path, file.view());
  const bool is_pickle = source.has_filename() && !safetensors::is_safetensors(source);
  verdict.source_name = source.has_filename() ? source.filename().string() : "safetensors files";
  verdict.source = Source::Absent;
  if (is_pickle ? !is_file(source) : !safetensors::is_safetensors(source)) return {};
  if (is_pickle) verdict.pickle = source;
  const auto check = dcp::check_source(file.view(), source, dcp::TrustTime::No);
  if (!check) return tl::unexpected(check.error());
  if (check->match == dcp::SourceMatch::NoRecord) {
    verdict.source = Source::NoRecord;
  } else if (check->is_source()) {
    verdict.source = Source::Matches;
  } else {
    verdict.source = Source::Stale;
    verdict.report.broken_rules.push_back(
        {"stale", fmt::format("{}: not what the file was imported from: {}", source.string(), check->difference)});
  }
  return {};
}

/// Adds what unpickling a `.metadata` would run besides making objects of DCP's own classes.
Result<void> add_unpickling(const fs::path& path, Verdict& verdict) {
  const auto bytes = read_file(path);
  if (!bytes) return tl::unexpected(bytes.error());
  PickleAudit audit = audit_pickle(bytes->bytes());
  for (const ForeignAct& act : audit.acts) {
    verdict.report.findings.push_back(
        {std::string(finding_kind::kForeignCode),
         fmt::format("unpickling: {}{}{} (byte {})", act.name, act.name.empty() ? "" : " ", act.what, act.position)});
  }
  verdict.report.suppressed += audit.suppressed;
  verdict.unpickling = std::move(audit);
  return {};
}

/// Errors: NotFlatpoint, and whatever kept it from being read.
Result<Verdict> verify_flatpoint(const Context& context, const Arguments& arguments, const fs::path& path,
                                 bool source) {
  auto file = open_file(path, OpenMode::Copy, context.globals.limits.max_input_bytes);
  if (file) {
    Verdict verdict{path, verify(*file)};
    if (arguments.coverage) add_coverage(*file, verdict);
    if (source) {
      auto done = compare_source(verdict, *file).and_then([&]() -> Result<void> {
        return verdict.pickle.empty() ? Result<void>() : add_unpickling(verdict.pickle, verdict);
      });
      if (!done) return tl::unexpected(std::move(done.error()));
    }
    verdict.file = std::move(*file);
    return verdict;
  }
  switch (file.error().code) {
    case ErrorCode::NotFlatpoint:
    case ErrorCode::NotFound:
    case ErrorCode::Io: return tl::unexpected(file.error());
    default: break;
  }
  const auto bytes = read_file(path);
  if (!bytes) return tl::unexpected(bytes.error());
  auto report = verify_bytes(bytes->bytes());
  if (!report) return tl::unexpected(report.error());
  return Verdict{path, std::move(*report)};
}

/// What is broken in a file that is recognised as one of DCP's or of safetensors'.
bool is_report(ErrorCode code) {
  return code == ErrorCode::BadPickle || code == ErrorCode::TooLarge || code == ErrorCode::BadItem ||
         code == ErrorCode::NotPlain || code == ErrorCode::Outside || code == ErrorCode::Truncated ||
         code == ErrorCode::Conflict;
}

/// Imports and checks the result. What a source breaks is a report; another program's file is an error.
Result<Verdict> verify_source(const Context& context, const Arguments& arguments, const fs::path& path) {
  auto opened = open_quietly(context, path);
  if (opened) {
    Verdict verdict{opened->path, verify(opened->file)};
    auto& findings = verdict.report.findings;
    findings.insert(findings.begin(), opened->findings.begin(), opened->findings.end());
    if (arguments.coverage) add_coverage(opened->file, verdict);
    if (opened->origin == dcp::Origin::Pickle) {
      if (auto done = add_unpickling(opened->path, verdict); !done) return tl::unexpected(std::move(done.error()));
    }
    verdict.file = std::move(opened->file);
    return verdict;
  }
  const Error& error = opened.error();
  if (!is_report(error.code)) return tl::unexpected(error);
  Verdict verdict{path, {}};
  verdict.report.broken_rules.push_back({std::string(to_string(error.code)), error.message});
  if (!is_standard_stream(path) && safetensors::is_safetensors(path)) return verdict;
  if (const fs::path pickle = is_file(path) || is_standard_stream(path) ? path : path / dcp::kPickleName;
      is_file(pickle) || is_standard_stream(pickle)) {
    if (auto done = add_unpickling(pickle, verdict); !done) return tl::unexpected(std::move(done.error()));
  }
  return verdict;
}

/// Adds what a check of the data files found: what is wrong with them is among the broken rules.
template <class Report>
void add_to(VerifyReport& report, const Report& found) {
  for (const Finding& broken : found.broken) report.broken_rules.push_back({broken.kind, broken.message});
  report.findings.insert(report.findings.end(), found.findings.begin(), found.findings.end());
  report.suppressed += found.suppressed;
}

/// Looks at the data files of metadata that keeps every rule, as deep as it was asked for; by default of a folder
/// whether they are there.
Result<void> check_data(const Context& context, const Arguments& arguments, Verdict& verdict) {
  std::error_code ignored;
  const std::string check =
      arguments.check.value_or(fs::is_directory(arguments.checkpoint, ignored) ? "files" : "rules");
  if (check == "rules" || !verdict.report.sound() || !verdict.file) return {};
  const MetadataView metadata = verdict.file->view();
  const fs::path folder = verdict.path.parent_path();
  // Beside one safetensors file that was asked for lie others.
  const bool is_one_of_many = verdict.path.extension() == ".safetensors";
  auto files = data::check_files(metadata, folder,
                                 {.allow_outside = context.globals.allow_outside, .unnamed_files = !is_one_of_many});
  if (!files) return tl::unexpected(std::move(files.error()));
  add_to(verdict.report, *files);
  verdict.files = std::move(*files);
  if (check == "files") return {};

  data::ReaderOptions reading;
  reading.allow_outside = context.globals.allow_outside;
  const auto reader = data::Reader::open(metadata, folder, reading);
  if (!reader) return tl::unexpected(reader.error());
  Progress progress;
  data::CheckOptions options;
  options.depth = check == "bytes" ? data::CheckDepth::Bytes : data::CheckDepth::Items;
  options.files = &*verdict.files;
  options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); };
  auto report = data::check(*reader, metadata, options);
  if (!report) return tl::unexpected(std::move(report.error()));
  add_to(verdict.report, *report);
  verdict.data = std::move(*report);
  verdict.data_depth = options.depth;
  return {};
}

/// Given a folder: its flatpoint file where it has one, which is compared with the pickle beside it.
Result<Verdict> verify_checkpoint(const Context& context, const Arguments& arguments) {
  const fs::path given(arguments.checkpoint);
  std::error_code ignored;
  if (!fs::is_directory(given, ignored)) {
    auto verdict = verify_flatpoint(context, arguments, given, arguments.source);
    const bool other = !verdict && (verdict.error().code == ErrorCode::NotFlatpoint ||
                                    verdict.error().code == ErrorCode::NotFound);  // whose error says what it is
    return other ? verify_source(context, arguments, given) : std::move(verdict);
  }
  const auto files = find_files(context, given);
  if (!files) return tl::unexpected(files.error());
  if (!files->flatpoint.empty()) return verify_flatpoint(context, arguments, files->flatpoint, /*source=*/true);
  return verify_source(context, arguments, files->pickle.empty() ? files->safetensors : files->pickle);
}

/// What was not checked, and how it is.
std::string_view unchecked_text(const Verdict& verdict) {
  if (!verdict.files) return "data files not looked at (--check files)";
  if (!verdict.data) return "data files not read (--check items, bytes)";
  return verdict.data_depth == data::CheckDepth::Items ? "bytes not compared with their checksums (--check bytes)" : "";
}

/// "2 of 4 data files missing: 5 of 13 FQNs (38 %) cannot be read whole".
std::string files_text(const data::FilesReport& report) {
  const std::string all = counted(report.files, "data file", "data files");
  if (report.missing == 0 && report.too_short == 0) return fmt::format("{}: there, and long enough", all);
  std::string text = report.missing > 0 ? fmt::format("{} of {} missing", grouped(report.missing), all) : all;
  if (report.too_short > 0) text += fmt::format(", {} too short", grouped(report.too_short));
  const double share = report.fqns == 0 ? 0 : 100.0 * report.lost / report.fqns;
  return text + fmt::format(": {} of {} ({:.0f} %) cannot be read whole", grouped(report.lost),
                            counted(report.fqns, "FQN", "FQNs"), share);
}

/// The name of the pickle that was looked into: ".metadata", "__3.metadata".
std::string unpickled_name(const Verdict& verdict) {
  if (is_standard_stream(verdict.path)) return dcp::kPickleName;
  return (verdict.pickle.empty() ? verdict.path : verdict.pickle).filename().string();
}

void print(Output& out, const Verdict& verdict) {
  static constexpr std::array kRuleColumns{Column{"rule"}, Column{"broken"}};
  static constexpr std::array kFindingColumns{Column{"finding"}, Column{"what"}};
  const VerifyReport& report = verdict.report;
  const std::string_view unchecked = unchecked_text(verdict);
  out.print(
      "{}: {}{}{}{}\n", printable(verdict.path.string()),
      report.sound() ? out.painted(Colour::Green, "sound") : out.painted(Colour::Red, "broken"),
      verdict.source == Source::Matches ? fmt::format(", and imported from the {} beside it", verdict.source_name) : "",
      unchecked.empty() ? "" : "; ", unchecked);
  if (verdict.files) out.print("{}\n", files_text(*verdict.files));
  if (verdict.coverage) {
    const auto& coverage = *verdict.coverage;
    out.print("{} of {} tiled by their chunks\n", grouped(coverage.tensors - coverage.not_tiled),
              counted(coverage.tensors, "tensor", "tensors"));
    if (coverage.not_judged > 0)
      out.print("{} that may hold tensors could not be judged\n", counted(coverage.not_judged, "object", "objects"));
  }
  if (verdict.unpickling) {
    out.print("unpickling the {} {}\n", printable(unpickled_name(verdict)),
              verdict.unpickling->clean() ? "makes objects of DCP's own classes and runs nothing else"
                                          : "runs more than DCP's own classes");
  }
  if (verdict.data) {
    out.print("{} checked, {} of them with a checksum that holds{}\n", counted(verdict.data->items, "item", "items"),
              human_size(verdict.data->checked_bytes),
              verdict.data->without_checksum == 0
                  ? std::string()
                  : fmt::format("; {} without a checksum", grouped(verdict.data->without_checksum)));
  }
  if (!report.sound()) {
    out.write("\n");
    print_table(out, kRuleColumns, report.broken_rules.size(), [&](std::uint64_t i, Cells& cells) {
      cells.add(report.broken_rules[i].rule);
      cells.add(printable(report.broken_rules[i].message, Backslash::Keep));
    });
  }
  if (!report.findings.empty()) {
    out.write("\n");
    print_table(out, kFindingColumns, report.findings.size(), [&](std::uint64_t i, Cells& cells) {
      cells.add(report.findings[i].kind);
      cells.add(printable(report.findings[i].message, Backslash::Keep));
    });
  }
  if (report.suppressed > 0) out.print("\n... and {} more of these\n", grouped(report.suppressed));
}

/// `what` names the first member: "rule" or "kind".
void write_message(Json& json, std::string_view what, std::string_view name, std::string_view message) {
  json.begin_object();
  json.member(what, name);
  json.member("message", message);
  json.end();
}

void write_unpickling(Json& json, const PickleAudit& audit) {
  json.key("unpickling").begin_object(Json::Style::Lines);
  json.member("clean", audit.clean());
  json.key("acts").begin_array(Json::Style::Lines);
  for (const ForeignAct& act : audit.acts) {
    json.begin_object();
    json.member("name", act.name);
    json.member("what", act.what);
    json.member("position", act.position);
    json.end();
  }
  json.end();
  json.end();
}

void print_json(Output& out, const Verdict& verdict) {
  const VerifyReport& report = verdict.report;
  Json json(out);
  json.begin_object(Json::Style::Lines);
  json.member("path", verdict.path.string());
  json.member("sound", report.sound());
  json.key("broken_rules").begin_array(Json::Style::Lines);
  for (const BrokenRule& rule : report.broken_rules) write_message(json, "rule", rule.rule, rule.message);
  json.end();
  json.key("findings").begin_array(Json::Style::Lines);
  for (const Finding& finding : report.findings) write_message(json, "kind", finding.kind, finding.message);
  json.end();
  json.member("suppressed", report.suppressed);
  json.member("source", word(verdict.source));
  if (verdict.coverage) {
    json.key("coverage").begin_object();
    json.member("tensors", verdict.coverage->tensors);
    json.member("not_tiled", verdict.coverage->not_tiled);
    json.member("not_judged", verdict.coverage->not_judged);
    json.end();
  }
  if (verdict.unpickling) write_unpickling(json, *verdict.unpickling);
  json.member("checked", verdict.data    ? verdict.data_depth == data::CheckDepth::Bytes ? "bytes" : "items"
                         : verdict.files ? "files"
                                         : "rules");
  if (verdict.files) {
    json.key("files").begin_object();
    json.member("files", verdict.files->files);
    json.member("missing", verdict.files->missing);
    json.member("too_short", verdict.files->too_short);
    json.member("fqns", verdict.files->fqns);
    json.member("lost", verdict.files->lost);
    json.end();
  }
  if (verdict.data) {
    json.key("data").begin_object();
    json.member("items", verdict.data->items);
    json.member("checked_bytes", verdict.data->checked_bytes);
    json.member("without_checksum", verdict.data->without_checksum);
    json.end();
  }
  json.end();
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  auto verdict = verify_checkpoint(context, arguments);
  if (!verdict) return tl::unexpected(verdict.error());
  if (auto checked = check_data(context, arguments, *verdict); !checked)
    return tl::unexpected(std::move(checked.error()));
  if (context.globals.json) {
    print_json(context.out, *verdict);
  } else {
    print(context.out, *verdict);
  }
  const bool tiled = !verdict->coverage || (verdict->coverage->not_tiled == 0 && verdict->coverage->not_judged == 0);
  const bool clean = !verdict->unpickling || verdict->unpickling->clean();
  return verdict->report.sound() && tiled && clean ? Exit::Yes : Exit::No;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_flag("--source", arguments->source,
                   "Also compare a file with the .metadata beside it, as is done for a folder");
  command.add_flag("--coverage", arguments->coverage,
                   "Also check that the chunks of every tensor tile it; a hole or an overlap is a negative answer");
  command
      .add_option(
          "--check", arguments->check,
          "How deep. rules: the metadata alone (a file's default); files: also whether all data files are there and "
          "long\n"
          "enough, and files that nobody names (a folder's); items: also dtype and size of every item against the\n"
          "metadata, and overlaps; bytes: also every byte against the CRC-32 that its item carries")
      .type_name("rules|files|items|bytes")
      .one_of({"rules", "files", "items", "bytes"});
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kVerify;
const Verb kVerify{"verify", "Check every rule of the format, and the data files; what is merely odd is listed apart",
                   "  flatpoint verify ckpt/\n"
                   "  flatpoint verify ckpt/ --coverage\n"
                   "  flatpoint verify ckpt/ --check rules  without a look at the data files\n"
                   "  flatpoint verify ckpt/.metadata       would unpickling it run anything but DCP's own classes?\n"
                   "  flatpoint verify ckpt/ --check bytes\n"
                   "  flatpoint verify ckpt/.metadata.flatpoint --source\n",
                   declare};

}  // namespace flatpoint::tool
