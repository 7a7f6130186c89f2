// The rule by which a folder, a `.metadata` or a `.flatpoint` becomes an open file.
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/format.hpp"
#include "base/mapping.hpp"
#include "flatpoint/dcp.hpp"
#include "pickle/digest.hpp"

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

std::int64_t modified_ns(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

Result<OpenedCheckpoint> open_flatpoint(const fs::path& path, const OpenOptions& options) {
  auto file = MetadataFile::open(path, options.mode);
  if (!file) return tl::unexpected(std::move(file.error()));
  return OpenedCheckpoint{std::move(*file), path, Origin::Flatpoint, {}, {}};
}

Result<OpenedCheckpoint> open_pickle(const fs::path& path, const OpenOptions& options) {
  ImportOptions with_rank = options.import;
  if (const auto rank = rank_of(path.filename().string())) with_rank.fragment_rank = static_cast<std::int32_t>(*rank);
  auto imported = import_file(path, with_rank);
  if (!imported) return tl::unexpected(std::move(imported.error()));
  auto file = MetadataFile::from_buffer(std::move(imported->bytes));
  if (!file) return tl::unexpected(std::move(file.error()));
  return OpenedCheckpoint{std::move(*file), path, Origin::Pickle, {}, std::move(imported->findings)};
}

Result<OpenedCheckpoint> open_either(const fs::path& path, const OpenOptions& options) {
  auto opened = open_flatpoint(path, options);
  if (opened || opened.error().code != ErrorCode::NotFlatpoint) return opened;
  return open_pickle(path, options);
}

/// Whether `file` was imported from the pickle as it is now: length, last 4096 bytes, and the time where no id tells
/// saves apart. Reads one page, not the pickle.
bool matches_source(const MetadataFile& file, const fs::path& pickle_path) {
  const auto& source = file.view().columns().source;
  if (!source) return false;
  const auto pickle = base::Mapping::open(pickle_path, /*copy=*/false);
  if (!pickle || pickle->bytes().size() != source->length) return false;
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(pickle->bytes().data()), pickle->bytes().size());
  return tail_digest(bytes) == source->tail_digest &&
         (source->modified_ns == 0 || source->modified_ns == modified_ns(pickle_path));
}

Result<OpenedCheckpoint> open_both(const fs::path& flatpoint_path, const fs::path& pickle_path,
                                   const OpenOptions& options) {
  auto file = open_flatpoint(flatpoint_path, options);
  if (file && matches_source(file->file, pickle_path)) return file;
  auto opened = open_pickle(pickle_path, options);
  if (opened) {
    opened->notices.push_back(
        file ? fmt::format("{} was not imported from the {} beside it, which is read instead", flatpoint_path.string(),
                           kPickleName)
             : fmt::format("{}; the {} beside it is read instead", file.error().message, kPickleName));
  }
  return opened;
}

/// What is in the folder under a name of DCP's: that pickle, the flatpoint file beside it, or both.
Result<OpenedCheckpoint> open_pair(const fs::path& folder, const std::string& pickle_name, const OpenOptions& options) {
  const fs::path pickle_path = folder / pickle_name;
  const fs::path flatpoint_path = folder / fmt::format("{}{}", pickle_name, kSuffix);
  std::error_code error;
  if (!fs::exists(flatpoint_path, error)) return open_pickle(pickle_path, options);
  return fs::exists(pickle_path, error) ? open_both(flatpoint_path, pickle_path, options)
                                        : open_flatpoint(flatpoint_path, options);
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

/// A folder without a common file: the metadata that its ranks wrote alone.
Result<OpenedCheckpoint> open_rank_of_folder(const fs::path& folder, const OpenOptions& options) {
  const auto names = names_in(folder);
  if (!names) return tl::unexpected(names.error());
  std::set<std::uint32_t> ranks;
  for (const std::string& name : *names) {
    if (const auto rank = rank_of_either(name)) ranks.insert(*rank);
  }
  if (ranks.empty()) {
    return fail(ErrorCode::NotFound, fmt::format("{}: no checkpoint: neither {} nor {} nor __R.metadata",
                                                 folder.string(), kMetadataFileName, kPickleName));
  }
  if (ranks.size() == 1) return open_pair(folder, name_of_rank(*ranks.begin()), options);
  constexpr std::size_t kShown = 16;
  std::vector<std::uint32_t> shown(ranks.begin(), ranks.end());
  shown.resize(std::min(shown.size(), kShown));
  return fail(
      ErrorCode::Ambiguous,
      fmt::format("{}: saved without collectives, {} files __R.metadata: R = {}{}; choose one rank, or merge them",
                  folder.string(), ranks.size(), fmt::join(shown, ", "), ranks.size() > kShown ? ", ..." : ""));
}

}  // namespace

Result<OpenedCheckpoint> open_checkpoint(const fs::path& path, const OpenOptions& options) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return open_either(path, options);
  if (options.rank) return open_pair(path, name_of_rank(*options.rank), options);
  const bool has_common_file = fs::exists(path / kMetadataFileName, error) || fs::exists(path / kPickleName, error);
  return has_common_file ? open_pair(path, kPickleName, options) : open_rank_of_folder(path, options);
}

Result<std::vector<OpenedCheckpoint>> open_fragments(const fs::path& folder, const OpenOptions& options) {
  const auto names = names_in(folder);
  if (!names) return tl::unexpected(names.error());
  std::vector<OpenedCheckpoint> fragments;
  for (const std::string& name : *names) {
    const bool is_pickle = rank_of(name).has_value();
    const bool is_beside_pickle = !is_pickle && names->contains(name.substr(0, name.size() - kSuffix.size()));
    if (is_beside_pickle) continue;  // opened with the pickle
    auto opened = is_pickle ? open_pair(folder, name, options) : open_flatpoint(folder / name, options);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    if (opened->file.view().columns().fragment_rank >= 0) fragments.push_back(std::move(*opened));
  }
  if (fragments.empty()) {
    return fail(ErrorCode::NotFound,
                fmt::format("{}: no fragment: neither a .flatpoint of one rank nor __R.metadata", folder.string()));
  }
  return fragments;
}

}  // namespace flatpoint::dcp
