// The rule by which a folder, a `.metadata`, a `.flatpoint` or safetensors files become an open file.

#include <algorithm>
#include <charconv>
#include <set>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "checkpoint/recognize.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/safetensors.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/torch_checkpointing.hpp"

namespace flatpoint::dcp {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".flatpoint";  // of a pickle's name: the name of the flatpoint file beside it

/// R of "__R.metadata", which a rank writes that saves without collectives.
std::optional<std::uint32_t> rank_of(std::string_view name) {
  constexpr std::string_view kPrefix = "__";
  constexpr std::string_view kEnd = ".metadata";
  if (!name.starts_with(kPrefix) || !name.ends_with(kEnd) || name.size() <= kPrefix.size() + kEnd.size())
    return std::nullopt;
  const char* begin = name.data() + kPrefix.size();
  const char* end = name.data() + name.size() - kEnd.size();
  std::uint32_t rank = 0;
  const auto [stop, error] = std::from_chars(begin, end, rank);
  if (error != std::errc() || stop != end || rank > INT32_MAX) return std::nullopt;
  return rank;
}

Result<OpenedCheckpoint> open_flatpoint(const fs::path& path, const OpenOptions& options) {
  auto file = MetadataFile::open(path, options.mode);
  RETURN_IF_ERROR(file);
  return OpenedCheckpoint{std::move(*file), path, Origin::Flatpoint, {}, {}};
}

Result<OpenedCheckpoint> open_pickle(const fs::path& path, const OpenOptions& options) {
  ImportOptions with_rank = options.import;
  if (const auto rank = rank_of(path.filename().string())) with_rank.fragment_rank = static_cast<std::int32_t>(*rank);
  auto imported = import_file(path, with_rank);
  RETURN_IF_ERROR(imported);
  auto file = MetadataFile::from_buffer(std::move(imported->bytes));
  RETURN_IF_ERROR(file);
  return OpenedCheckpoint{std::move(*file), path, Origin::Pickle, {}, std::move(imported->findings)};
}

Result<OpenedCheckpoint> open_safetensors(const fs::path& path) {
  auto imported = safetensors::import_files(path);
  RETURN_IF_ERROR(imported);
  auto file = MetadataFile::from_buffer(std::move(imported->bytes));
  RETURN_IF_ERROR(file);
  return OpenedCheckpoint{std::move(*file), path, Origin::Safetensors, {}, std::move(imported->findings)};
}

Result<OpenedCheckpoint> open_source(const fs::path& path, const OpenOptions& options) {
  return safetensors::is_safetensors(path) ? open_safetensors(path) : open_pickle(path, options);
}

Result<OpenedCheckpoint> open_file(const fs::path& path, const OpenOptions& options) {
  auto opened = open_flatpoint(path, options);
  if (opened || opened.error().code != ErrorCode::NotFlatpoint) return opened;
  opened = open_source(path, options);
  const bool other =
      !opened && (opened.error().code == ErrorCode::NotPickle || opened.error().code == ErrorCode::BadPickle);
  if (const std::string what = other ? recognize_file(path) : std::string(); !what.empty())
    return fail(ErrorCode::NotPickle, fmt::format("{}: {}", path.string(), what));
  return opened;
}

/// The flatpoint file, where it says what its source says.
Result<OpenedCheckpoint> open_both(const fs::path& flatpoint, const fs::path& source, const OpenOptions& options) {
  auto file = open_flatpoint(flatpoint, options);
  const std::string source_name = source.has_filename() ? source.filename().string() : "folder's safetensors files";
  if (file) {
    const auto check = check_source(file->file.view(), source);
    if (check && check->match == SourceMatch::SameBytes) {
      file->notices.push_back(
          fmt::format("{}: has another time than {} records, or had just been written then, so all of it was read and "
                      "compared: it is the same; `flatpoint import --force` records the time anew",
                      source.string(), flatpoint.filename().string()));
    }
    if (check && check->is_source()) return file;
  }
  auto opened = open_source(source, options);
  if (opened) {
    opened->notices.push_back(
        file ? fmt::format("{} was not imported from the {} beside it, which is read instead", flatpoint.string(),
                           source_name)
             : fmt::format("{}; the {} beside it is read instead", file.error().message, source_name));
  }
  return opened;
}

/// Whether a flatpoint file has to be compared with the safetensors files beside it: it does not say that they are none
/// of its business.
bool is_of_safetensors(const fs::path& flatpoint) {
  const auto file = MetadataFile::open(flatpoint);
  return !file || (file->view().columns().source && file->view().columns().source->kind == SourceKind::Safetensors);
}

Result<OpenedCheckpoint> open_files(const CheckpointFiles& files, const OpenOptions& options) {
  const fs::path& source = files.pickle.empty() ? files.safetensors : files.pickle;
  if (files.flatpoint.empty() || (options.anew && !source.empty())) return open_source(source, options);
  const bool has_source = !files.pickle.empty() || (!source.empty() && is_of_safetensors(files.flatpoint));
  return has_source ? open_both(files.flatpoint, source, options) : open_flatpoint(files.flatpoint, options);
}

std::string name_of_rank(std::uint32_t rank) { return fmt::format("__{}.metadata", rank); }

/// The names in a folder that end as ours or a rank's do, sorted.
Result<std::set<std::string>> names_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (rank_of(name) || name.ends_with(kSuffix)) names.insert(std::move(name));
  }
  if (error) return fail(ErrorCode::Io, fmt::format("{}: list folder: {}", folder.string(), error.message()));
  return names;
}

/// "__R.metadata" of "__R.metadata" and of "__R.metadata.flatpoint".
std::optional<std::uint32_t> rank_of_either(std::string_view name) {
  if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
  return rank_of(name);
}

/// The pickle of that name and the flatpoint file beside it.
CheckpointFiles pair_of(const fs::path& folder, const std::string& pickle_name) {
  CheckpointFiles files{folder / pickle_name, folder / fmt::format("{}{}", pickle_name, kSuffix), {}};
  std::error_code error;
  if (!fs::exists(files.pickle, error)) files.pickle.clear();
  if (!fs::exists(files.flatpoint, error)) files.flatpoint.clear();
  return files;
}

bool is_there(const CheckpointFiles& files) { return !files.pickle.empty() || !files.flatpoint.empty(); }

/// Of a folder without common files: the only rank that saved alone.
Result<std::uint32_t> only_rank(const fs::path& folder) {
  const auto names = names_in(folder);
  RETURN_IF_ERROR(names);
  std::set<std::uint32_t> ranks;
  for (const std::string& name : *names) {
    if (const auto rank = rank_of_either(name)) ranks.insert(*rank);
  }
  if (ranks.empty()) {
    const std::string what = recognize_folder(folder);
    if (!what.empty()) return fail(ErrorCode::NotFound, fmt::format("{}: {}", folder.string(), what));
    return fail(ErrorCode::NotFound,
                fmt::format("{}: no checkpoint: neither {} nor {} nor __R.metadata nor *.safetensors", folder.string(),
                            kMetadataFileName, kPickleName));
  }
  if (ranks.size() == 1) return *ranks.begin();
  constexpr std::size_t kShown = 16;
  std::vector<std::uint32_t> shown(ranks.begin(), ranks.end());
  shown.resize(std::min(shown.size(), kShown));
  return fail(
      ErrorCode::Ambiguous,
      fmt::format("{}: saved without collectives, {} files __R.metadata: R = {}{}; choose one rank, or merge them",
                  folder.string(), ranks.size(), fmt::join(shown, ", "), ranks.size() > kShown ? ", ..." : ""));
}

}  // namespace

std::string_view to_string(Origin origin) noexcept {
  switch (origin) {
    case Origin::Flatpoint: return "flatpoint";
    case Origin::Pickle: return "pickle";
    case Origin::Safetensors: return "safetensors";
  }
  return "unknown";
}

fs::path source_beside(const fs::path& flatpoint_path, const MetadataView& metadata) {
  const std::string name = flatpoint_path.filename().string();
  const auto& source = metadata.columns().source;
  if (source && source->kind == SourceKind::Safetensors) {
    const fs::path stem = flatpoint_path.parent_path() / flatpoint_path.stem();
    std::error_code ignored;
    const bool is_its_file = name.ends_with(kSuffix) && fs::is_regular_file(stem, ignored);
    if (is_its_file && safetensors::is_safetensors(stem)) return stem;
    return flatpoint_path.has_parent_path() ? flatpoint_path.parent_path() / "" : fs::path("./");
  }
  if (name.ends_with(kSuffix)) {
    const std::string stem = name.substr(0, name.size() - kSuffix.size());
    if (stem == kPickleName || rank_of(stem)) return flatpoint_path.parent_path() / stem;
  }
  const std::int32_t rank = metadata.columns().fragment_rank;
  if (metadata.metadata_class() == torch_checkpointing::kMetadataClass)
    return flatpoint_path.parent_path() / torch_checkpointing::kManifestName;
  return flatpoint_path.parent_path() / (rank < 0 ? kPickleName : name_of_rank(static_cast<std::uint32_t>(rank)));
}

Result<CheckpointFiles> find_files(const fs::path& folder, std::optional<std::uint32_t> rank) {
  if (!rank) {
    auto common = pair_of(folder, kPickleName);
    std::error_code ignored;
    const fs::path manifest = folder / torch_checkpointing::kManifestName;
    const bool has_manifest = fs::exists(manifest, ignored);
    if (has_manifest && !common.pickle.empty()) {
      return fail(ErrorCode::Ambiguous, fmt::format("{}: has DCP's {} and torch_checkpointing's {}: name one of them",
                                                    folder.string(), kPickleName, torch_checkpointing::kManifestName));
    }
    if (has_manifest) common.pickle = manifest;
    const bool may_be_safetensors = common.pickle.empty() && safetensors::is_safetensors(folder);
    if (is_there(common)) {
      if (may_be_safetensors) common.safetensors = folder / "";
      return common;
    }
    const auto only = only_rank(folder);
    if (!only && only.error().code == ErrorCode::NotFound && may_be_safetensors)
      return CheckpointFiles{{}, {}, folder / ""};
    RETURN_IF_ERROR(only);
    rank = *only;
  }
  const std::string name = name_of_rank(*rank);
  if (auto files = pair_of(folder, name); is_there(files)) return files;
  return fail(ErrorCode::NotFound,
              fmt::format("{}: no checkpoint: neither {}{} nor {}", folder.string(), name, kSuffix, name));
}

Result<OpenedCheckpoint> open_checkpoint(const fs::path& path, const OpenOptions& options) {
  std::error_code error;
  if (is_url(path) && !fs::exists(path, error)) {
    return fail(ErrorCode::NotFound,
                fmt::format("{}: is a URL, and files are read here: fetch its {} or {} and name that; in Python, "
                            "flatpoint.torch reads from URLs",
                            path.string(), kMetadataFileName, kPickleName));
  }
  if (!fs::is_directory(path, error)) return open_file(path, options);
  const auto files = find_files(path, options.rank);
  RETURN_IF_ERROR(files);
  return open_files(*files, options);
}

Result<std::vector<OpenedCheckpoint>> open_fragments(const fs::path& folder, const OpenOptions& options) {
  const auto names = names_in(folder);
  RETURN_IF_ERROR(names);
  std::vector<OpenedCheckpoint> fragments;
  for (const std::string& name : *names) {
    const bool is_pickle = rank_of(name).has_value();
    const bool is_beside_pickle = !is_pickle && names->contains(name.substr(0, name.size() - kSuffix.size()));
    if (is_beside_pickle) continue;  // opened with the pickle
    auto opened = is_pickle ? open_files(pair_of(folder, name), options) : open_flatpoint(folder / name, options);
    RETURN_IF_ERROR(opened);
    if (opened->file.view().columns().fragment_rank >= 0) fragments.push_back(std::move(*opened));
  }
  if (fragments.empty()) {
    return fail(ErrorCode::NotFound,
                fmt::format("{}: no fragment: neither a .flatpoint of one rank nor __R.metadata", folder.string()));
  }
  return fragments;
}

}  // namespace flatpoint::dcp
