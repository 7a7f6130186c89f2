#include "safetensors/manifest.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/failing.hpp"
#include "base/file.hpp"
#include "base/format.hpp"
#include "base/xxh3.hpp"
#include "flatpoint/buffer.hpp"
#include "flatpoint/safetensors.hpp"
#include "safetensors/header.hpp"

namespace flatpoint::safetensors {
namespace {

namespace fs = std::filesystem;

Result<ManifestFile> look_at(const fs::path& folder, std::string name) {
  const auto file = base::File::open(folder / name);
  RETURN_IF_ERROR(file);
  return ManifestFile{std::move(name), file->size(), file->modified_ns()};
}

/// Takes over the names in a folder that matter.
Result<void> list(const fs::path& folder, std::vector<std::string>& files, std::vector<std::string>& indices) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (name.ends_with(kIndexSuffix)) {
      indices.push_back(std::move(name));
    } else if (name.ends_with(kSuffix)) {
      files.push_back(std::move(name));
    }
  }
  if (error) return fail(ErrorCode::Io, fmt::format("{}: list folder: {}", folder.string(), error.message()));
  std::ranges::sort(files);
  std::ranges::sort(indices);
  return {};
}

/// A file of `limit` bytes at most, or its first ones.
Result<std::string> read_front(const fs::path& path, std::uint64_t limit) {
  const auto file = base::File::open(path);
  RETURN_IF_ERROR(file);
  std::string bytes(std::min<std::uint64_t>(file->size(), limit), '\0');
  const auto n = file->read(0, std::as_writable_bytes(std::span(bytes)));
  if (n < 0) return base::system_error(path, "read", errno);
  bytes.resize(static_cast<std::size_t>(n));
  return bytes;
}

/// Length and JSON of a header; what is no header counts with its first bytes.
Result<std::string> read_header_bytes(const fs::path& path) {
  auto first = read_front(path, kLengthBytes);
  RETURN_IF_ERROR(first);
  const auto length = header_length(std::as_bytes(std::span(*first)), std::nullopt);
  return length ? read_front(path, kLengthBytes + *length) : first;
}

}  // namespace

Result<Manifest> Manifest::of(const fs::path& path) {
  Manifest manifest;
  std::vector<std::string> files;
  std::error_code ignored;
  const std::string name = path.filename().string();
  const bool is_folder = fs::is_directory(path, ignored);
  manifest.folder = is_folder ? path : path.parent_path();
  if (is_folder || name.ends_with(kIndexSuffix)) {
    std::vector<std::string> indices;
    const fs::path& folder = manifest.folder.empty() ? fs::path(".") : manifest.folder;
    RETURN_IF_ERROR(list(folder, files, indices));
    if (is_folder && indices.size() > 1) {
      return fail(ErrorCode::Ambiguous,
                  fmt::format("{}: several indices: {}; name one", path.string(), fmt::join(indices, ", ")));
    }
    if (is_folder && files.empty() && indices.empty())
      return fail(ErrorCode::NotFound, fmt::format("{}: no *{}", path.string(), kSuffix));
    manifest.index = is_folder ? (indices.empty() ? std::string() : indices.front()) : name;
  } else {
    files.push_back(name);
  }
  for (std::string& file : files) {
    auto looked = look_at(manifest.folder, std::move(file));
    RETURN_IF_ERROR(looked);
    manifest.files.push_back(std::move(*looked));
  }
  if (!manifest.index.empty()) {
    auto looked = look_at(manifest.folder, manifest.index);
    RETURN_IF_ERROR(looked);
    manifest.index_file = std::move(*looked);
  }
  return manifest;
}

const ManifestFile* Manifest::find(std::string_view name) const noexcept {
  const auto found = std::ranges::lower_bound(files, name, {}, &ManifestFile::name);
  return found != files.end() && found->name == name ? &*found : nullptr;
}

std::uint64_t Manifest::length() const noexcept {
  std::uint64_t bytes = index_file.length;
  for (const ManifestFile& file : files) bytes += file.length;
  return bytes;
}

std::int64_t Manifest::modified_ns() const noexcept {
  std::int64_t last = index_file.modified_ns;
  for (const ManifestFile& file : files) last = std::max(last, file.modified_ns);
  return last;
}

std::string Manifest::mark() const {
  std::string text;
  const auto add = [&](const ManifestFile& file) {
    text += file.name;
    text += fmt::format("{}{} {}\n", '\0', file.length, file.modified_ns);
  };
  add(index_file);
  for (const ManifestFile& file : files) add(file);
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

Result<std::uint64_t> Manifest::digest() const {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  const auto add = [&](const ManifestFile& file, const Result<std::string>& bytes) {
    const std::string head = fmt::format("{}{}{} {}\n", file.name, '\0', file.length, bytes->size());
    XXH3_64bits_update(&state, head.data(), head.size());
    XXH3_64bits_update(&state, bytes->data(), bytes->size());
  };
  if (!index.empty()) {
    const auto bytes = read_front(folder / index, index_file.length);
    RETURN_IF_ERROR(bytes);
    add(index_file, bytes);
  }
  for (const ManifestFile& file : files) {
    const auto bytes = read_header_bytes(folder / file.name);
    RETURN_IF_ERROR(bytes);
    add(file, bytes);
  }
  return XXH3_64bits_digest(&state);
}

bool is_safetensors(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    std::vector<std::string> files;
    std::vector<std::string> indices;
    return list(path, files, indices) && !(files.empty() && indices.empty());
  }
  if (path.filename().string().ends_with(kIndexSuffix)) return fs::is_regular_file(path, ignored);
  const auto first = read_front(path, kLengthBytes + 1);
  return first && looks_like_header(std::as_bytes(std::span(*first)));
}

}  // namespace flatpoint::safetensors
