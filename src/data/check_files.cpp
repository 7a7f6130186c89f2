// Which data files are there, and long enough; what is lost where they are not.
#include <algorithm>
#include <set>
#include <vector>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "data/files.hpp"
#include "flatpoint/data.hpp"
#include "flatpoint/records.hpp"

namespace flatpoint::data {
namespace {

namespace fs = std::filesystem;

class FilesChecker {
 public:
  FilesChecker(const MetadataView& metadata, const fs::path& folder, const FilesOptions& options)
      : metadata_(metadata), folder_(folder), options_(options), ends_(metadata.file_count(), 0) {}

  Result<FilesReport> run() {
    const auto reach = [&](const StorageInfoView& item) {
      std::uint64_t end = 0;
      if (__builtin_add_overflow(item.byte_offset(), item.length(), &end)) end = UINT64_MAX;
      ends_[item.file()] = std::max(ends_[item.file()], end);
      return true;
    };
    report_.files = metadata_.file_count();
    report_.lengths.assign(ends_.size(), 0);
    RETURN_IF_ERROR(for_each_fqn(reach, [](bool) {}));
    for (std::size_t i = 0; i < metadata_.columns().loose_storage.size(); ++i) {
      const auto loose = loose_storage(metadata_, i);
      if (!loose || loose->storage.file() >= ends_.size()) return corrupt();
      reach(loose->storage);
    }
    for (std::uint32_t file = 0; file < report_.files; ++file) look_at(file);
    const auto is_whole = [&](const StorageInfoView& item) {
      return report_.holds(item.file(), item.byte_offset(), item.length());
    };
    const auto count = [&](bool whole) { ++report_.fqns, report_.lost += !whole; };
    RETURN_IF_ERROR(for_each_fqn(is_whole, count));
    // Beside the files of one rank lie those of the others.
    if (options_.unnamed_files && metadata_.columns().fragment_rank < 0) find_unnamed_files();
    return std::move(report_);
  }

 private:
  static tl::unexpected<Error> corrupt() {
    return fail(ErrorCode::Corrupt, "the metadata breaks a rule; `flatpoint verify --check rules` names it");
  }

  /// Calls visit(item) for every item, and finish(whether visit was true of all) for every FQN that has one.
  template <class Visit, class Finish>
  Result<void> for_each_fqn(Visit&& visit, Finish&& finish) {
    for (std::uint32_t i = 0; i < metadata_.size(); ++i) {
      bool all = true;
      bool any = false;
      const auto add = [&](const Lookup<StorageInfoView>& item) {
        if (!item) return item.absent();
        if (item->file() >= ends_.size()) return false;
        any = true;
        all &= visit(*item);
        return true;
      };
      const auto entry = metadata_.entry(i);
      const auto tensor = entry ? entry->tensor() : entry.status();
      bool sound = entry.found() && !tensor.corrupt() && (tensor.found() || add(entry->bytes_storage()));
      for (std::uint32_t c = 0; sound && tensor && c < tensor->chunk_count(); ++c) {
        const auto chunk = tensor->chunk_by_row(c);
        sound = chunk && add(chunk->storage());
      }
      if (!sound) return corrupt();
      if (any) finish(all);
    }
    return {};
  }

  void look_at(std::uint32_t file) {
    const auto name = metadata_.file_name(file);
    const std::string_view relative = name ? *name : std::string_view();
    if (relative.find('\0') != std::string_view::npos || (leaves_folder(relative) && !options_.allow_outside)) {
      ++report_.missing;
      return add(report_.broken, to_string(ErrorCode::Outside),
                 fmt::format("{}: the path of a data file leaves the checkpoint's folder", relative));
    }
    const fs::path path = folder_ / relative;
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::is_regular_file(status)) {
      ++report_.missing;
      if (!fs::exists(status) && (!error || error == std::errc::no_such_file_or_directory))
        return add(report_.broken, to_string(ErrorCode::NotFound),
                   fmt::format("{}: the data file is missing", path.string()));
      return add(report_.broken, to_string(ErrorCode::Io),
                 fmt::format("{}: {}", path.string(), error ? error.message() : std::string("is no file")));
    }
    const std::uintmax_t length = fs::file_size(path, error);
    report_.lengths[file] = error ? 0 : length;
    const bool is_too_short = report_.lengths[file] < ends_[file];
    report_.too_short += is_too_short ? 1 : 0;
    if (const auto recorded = metadata_.file_facts(file).length; recorded && *recorded != report_.lengths[file]) {
      return add(report_.broken, to_string(ErrorCode::Changed),
                 fmt::format("{}: has {} bytes, the metadata knows one of {}", path.string(), length, *recorded));
    }
    if (!is_too_short) return;
    add(report_.broken, to_string(ErrorCode::Truncated),
        fmt::format("{}: has {} bytes, but its last item ends at byte {}", path.string(), length, ends_[file]));
  }

  /// Files with the endings of data that no item lies in: of another save, or forgotten.
  void find_unnamed_files() {
    std::set<fs::path> named;
    for (std::uint32_t i = 0; i < metadata_.file_count(); ++i) {
      if (const auto name = metadata_.file_name(i)) named.insert((folder_ / *name).lexically_normal());
    }
    std::vector<fs::path> unnamed;
    std::error_code error;
    for (fs::recursive_directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
      const auto ending = at->path().extension();
      if ((ending == ".distcp" || ending == ".safetensors") && !named.contains(at->path().lexically_normal()))
        unnamed.push_back(at->path());
    }
    std::ranges::sort(unnamed);
    for (const auto& path : unnamed)
      add(report_.findings, finding_kind::kUnnamedFile,
          fmt::format("{}: no item of the metadata lies in it", path.string()));
  }

  void add(std::vector<Finding>& list, std::string_view kind, std::string message) {
    if (list.size() >= options_.max_messages) {
      ++report_.suppressed;
    } else {
      list.push_back({std::string(kind), std::move(message)});
    }
  }

  const MetadataView& metadata_;
  const fs::path& folder_;
  const FilesOptions& options_;
  std::vector<std::uint64_t> ends_;  // of each file's last item
  FilesReport report_;
};

}  // namespace

Result<FilesReport> check_files(const MetadataView& metadata, const fs::path& folder, const FilesOptions& options) {
  return FilesChecker(metadata, folder, options).run();
}

}  // namespace flatpoint::data
