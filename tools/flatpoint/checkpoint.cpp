#include "checkpoint.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "progress.hpp"
#include "standard_input.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

/// The bytes that remain of the longer name when what both begin and end with is taken away.
std::size_t difference(std::string_view a, std::string_view b) noexcept {
  if (a.size() > b.size()) std::swap(a, b);
  const auto [front, ignored] = std::mismatch(a.begin(), a.end(), b.begin());
  const auto [back, ignored_too] = std::mismatch(a.rbegin(), std::make_reverse_iterator(front), b.rbegin());
  const auto common = (front - a.begin()) + (back - a.rbegin());
  return b.size() - static_cast<std::size_t>(common);
}

void add_hint(Error& error) {
  if (error.code == ErrorCode::Ambiguous) error.message += " (--of-rank R chooses)";
}

dcp::OpenOptions options_of(const Context& context, OpenMode mode) {
  dcp::OpenOptions options;
  options.mode = mode;
  options.rank = context.globals.of_rank;
  options.import.limits = context.globals.limits;
  return options;
}

/// Standard input, whichever of the two kinds it is.
Result<dcp::OpenedCheckpoint> open_standard_input(const dcp::OpenOptions& options) {
  const auto bytes = standard_input(options.import.limits.max_input_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto file = MetadataFile::from_bytes(*bytes);
  if (file) return dcp::OpenedCheckpoint{std::move(*file), "-", dcp::Origin::Flatpoint, {}, {}};
  if (file.error().code != ErrorCode::NotFlatpoint) return fail_at("standard input", std::move(file.error()));
  auto imported = dcp::import_pickle(*bytes, options.import);
  if (!imported) return fail_at("standard input", std::move(imported.error()));
  auto made = MetadataFile::from_buffer(std::move(imported->bytes));
  if (!made) return tl::unexpected(std::move(made.error()));
  return dcp::OpenedCheckpoint{std::move(*made), "-", dcp::Origin::Pickle, {}, std::move(imported->findings)};
}

/// Whoever waits for the same import again and again may not know that once is enough.
void advise_import(const Context& context, const dcp::OpenedCheckpoint& opened, double seconds) {
  constexpr double kSlow = 1;
  const bool is_slow = opened.origin != dcp::Origin::Flatpoint && seconds > kSlow && !is_standard_stream(opened.path);
  if (!is_slow || context.globals.json || !is_terminal(STDERR_FILENO)) return;
  complain("note",
           fmt::format("reading {} took {:.1f} s; `flatpoint import` writes a file beside it that opens at once",
                       opened.path.string(), seconds));
}

Result<dcp::OpenedCheckpoint> open_with(const dcp::OpenOptions& options, const std::filesystem::path& path) {
  if (is_standard_stream(path)) return open_standard_input(options);
  const Waiting waiting(path.string());
  auto opened = dcp::open_checkpoint(path, options);
  if (!opened) add_hint(opened.error());
  return opened;
}

}  // namespace

void print_notes(const Context& context, const dcp::OpenedCheckpoint& opened) {
  if (context.globals.json) return;
  for (const std::string& notice : opened.notices) complain("note", notice);
  for (const Finding& finding : opened.findings) complain("note", finding.message);
}

Result<dcp::CheckpointFiles> find_files(const Context& context, const std::filesystem::path& folder) {
  auto files = dcp::find_files(folder, context.globals.of_rank);
  if (!files) add_hint(files.error());
  return files;
}

Result<dcp::OpenedCheckpoint> open_quietly(const Context& context, const std::filesystem::path& path, OpenMode mode) {
  return open_with(options_of(context, mode), path);
}

Result<dcp::OpenedCheckpoint> open_anew(const Context& context, const std::filesystem::path& path) {
  dcp::OpenOptions options = options_of(context, OpenMode::Copy);
  options.anew = true;
  return open_with(options, path);
}

Result<dcp::OpenedCheckpoint> open(const Context& context, const std::filesystem::path& path, OpenMode mode) {
  const auto begin = std::chrono::steady_clock::now();
  auto opened = open_quietly(context, path, mode);
  if (!opened) return opened;
  print_notes(context, *opened);
  advise_import(context, *opened, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return opened;
}

Result<std::vector<dcp::OpenedCheckpoint>> open_folder(const Context& context, const std::filesystem::path& folder) {
  auto opened = dcp::open_fragments(folder, options_of(context, OpenMode::Copy));
  if (!opened) return opened;
  for (const dcp::OpenedCheckpoint& fragment : *opened) print_notes(context, fragment);
  return opened;
}

Result<data::Reader> open_data(const Context& context, const dcp::OpenedCheckpoint& opened) {
  data::ReaderOptions options;
  options.allow_outside = context.globals.allow_outside;
  return data::Reader::open(opened, options);
}

void write_checkpoint(Json& json, const dcp::OpenedCheckpoint& opened) {
  json.key("checkpoint").begin_object(Json::Style::Lines);
  json.member("path", opened.path.string());
  json.member("origin", to_string(opened.origin));
  json.member("notices", opened.notices);
  json.key("findings").begin_array();
  for (const Finding& finding : opened.findings) {
    json.begin_object();
    json.member("kind", finding.kind);
    json.member("message", finding.message);
    json.end();
  }
  json.end();
  json.end();
}

Lookup<EntryView> find_entry(const MetadataView& metadata, std::string& fqn) {
  const auto entry = metadata.find(fqn);
  if (!entry.absent() || fqn.find('\\') == std::string::npos) return entry;
  const auto meant = unescaped(fqn);
  if (!meant) return entry;
  const auto other = metadata.find(*meant);
  if (!other.absent()) fqn = *meant;
  return other;
}

std::vector<std::string_view> near_names(const MetadataView& metadata, std::string_view fqn) {
  constexpr std::size_t kMost = 3;
  std::vector<std::pair<std::size_t, std::string_view>> nearest;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    if (!entry) continue;
    const std::string_view name = entry->fqn();
    const std::size_t limit = nearest.size() < kMost ? fqn.size() / 2 + 1 : nearest.back().first;
    const std::size_t lengths = name.size() > fqn.size() ? name.size() - fqn.size() : fqn.size() - name.size();
    if (lengths >= limit) continue;
    const std::size_t score = difference(name, fqn);
    if (score >= limit) continue;
    const auto at = std::upper_bound(nearest.begin(), nearest.end(), std::pair(score, name),
                                     [](const auto& a, const auto& b) { return a.first < b.first; });
    nearest.insert(at, {score, name});
    if (nearest.size() > kMost) nearest.pop_back();
  }
  std::vector<std::string_view> names;
  for (const auto& [score, name] : nearest) names.push_back(name);
  return names;
}

Exit report_absent_fqn(Context& context, const dcp::OpenedCheckpoint& opened, std::string_view fqn) {
  const auto near = near_names(opened.file.view(), fqn);
  if (context.globals.json) {
    Json json(context.out);
    json.begin_object(Json::Style::Lines);
    write_checkpoint(json, opened);
    json.member("found", false);
    json.member("fqn", fqn);
    json.member("absent", "fqn");
    json.member("near", near);
    json.end();
    return Exit::No;
  }
  std::string message = fmt::format("absent: {} has no FQN '{}'", opened.path.string(), fqn);
  for (std::size_t i = 0; i < near.size(); ++i) message += fmt::format("{} '{}'", i == 0 ? "; nearest:" : ",", near[i]);
  complain({}, message);
  return Exit::No;
}

Error corrupt(const dcp::OpenedCheckpoint& opened, std::string_view what) {
  return {ErrorCode::Corrupt,
          fmt::format("{}: {} breaks a rule of the format; `flatpoint verify` names it", opened.path.string(), what)};
}

}  // namespace flatpoint::tool
