#include "checkpoint/recognize.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/file.hpp"
#include "base/format.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/torch_checkpointing.hpp"

namespace flatpoint::dcp {
namespace {

namespace fs = std::filesystem;

bool path_exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_checkpoint(const fs::path& folder) {
  return path_exists(folder / kPickleName) || path_exists(folder / kMetadataFileName) ||
         path_exists(folder / torch_checkpointing::kManifestName);
}

/// What lies in a folder, as far as one look shows.
struct Contents {
  std::vector<std::string> checkpoints;  // subfolders that are some
  bool data = false;
};

Contents contents_of(const fs::path& folder) {
  constexpr int kMost = 10'000;
  Contents contents;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  for (int seen = 0; !error && at != fs::directory_iterator() && seen < kMost; at.increment(error), ++seen) {
    const fs::path& path = at->path();
    std::error_code ignored;
    contents.data |= path.extension() == ".distcp";
    if (at->is_directory(ignored) && is_checkpoint(path)) contents.checkpoints.push_back(path.filename().string());
  }
  std::ranges::sort(contents.checkpoints);
  return contents;
}

std::string subfolders_text(std::vector<std::string> names) {
  constexpr std::size_t kShown = 3;
  const std::size_t more = names.size() - std::min(names.size(), kShown);
  names.resize(names.size() - more);
  return fmt::format("has checkpoints in its subfolders: name one of {}{}", fmt::join(names, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : std::string());
}

}  // namespace

bool is_url(const fs::path& path) {
  const std::string text = path.string();
  const std::size_t end = text.find("://");
  constexpr std::size_t kLongest = 16;
  const auto is_scheme = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+'; };
  return end != std::string::npos && end > 1 && end <= kLongest &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), is_scheme);
}

std::string recognize_file(const fs::path& path) {
  const auto file = base::File::open(path);
  if (!file) return {};
  std::array<std::byte, 16> buffer{};
  const auto read = std::max<std::ptrdiff_t>(file->read(0, buffer), 0);
  const auto head = std::span(buffer).first(static_cast<std::size_t>(read));
  const std::string extension = path.extension().string();
  if (extension == ".distcp") return "is a data file of DCP's, which holds bytes of tensors: name its folder";
  if (head.size() >= 4 && std::memcmp(head.data(), "PK\3\4", 4) == 0) {
    return "is a zip archive as torch.save writes; torch.distributed.checkpoint.format_utils.torch_save_to_dcp makes a "
           "checkpoint of one";
  }
  return {};
}

std::string recognize_folder(const fs::path& folder) {
  const Contents contents = contents_of(folder);
  if (!contents.checkpoints.empty()) return subfolders_text(contents.checkpoints);
  if (contents.data) return "has data files, but their metadata is missing: the save did not end";
  return {};
}

}  // namespace flatpoint::dcp
