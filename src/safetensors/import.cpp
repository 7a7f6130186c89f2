#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <set>

#include "base/failing.hpp"
#include "base/file.hpp"
#include "base/format.hpp"
#include "flatpoint/safetensors.hpp"
#include "safetensors/header.hpp"
#include "safetensors/index.hpp"
#include "safetensors/manifest.hpp"
#include "write/draft.hpp"

namespace flatpoint::safetensors {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxIndexBytes = kMaxHeaderBytes;
constexpr std::size_t kMaxFindings = 100;  // an index of another model names a hundred thousand ghosts

/// How long a file can change without its time changing, at most.
constexpr std::int64_t kTick = 2'000'000'000;

/// A tensor, or a part of one, in one file.
struct Part {
  const HeaderTensor* tensor;
  std::uint32_t file;
  const Size* offsets;  // null: no note of which part of a tensor it is
};

class Importer {
 public:
  explicit Importer(Manifest manifest) : manifest_(std::move(manifest)) {}

  Result<Imported> run() {
    using std::chrono::nanoseconds;
    begun_ns_ = std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    RETURN_IF_ERROR(read_index());
    RETURN_IF_ERROR(read_headers());
    compare_with_index();
    RETURN_IF_ERROR(join_parts());
    const auto digest = manifest_.digest();
    RETURN_IF_ERROR(digest);
    const std::string mark = manifest_.mark();
    const bool recent = is_recent(manifest_.modified_ns());
    draft_.source = SourceRecord{.length = manifest_.length(),
                                 .digest = *digest,
                                 .modified_ns = manifest_.modified_ns(),
                                 .modified_recently = recent,
                                 .etag = recent ? std::string_view() : std::string_view(mark),
                                 .kind = SourceKind::Safetensors};
    draft_.has_storage_data = true;
    auto bytes = write::finish(std::move(draft_));
    RETURN_IF_ERROR(bytes);
    if (suppressed_ > 0) findings_.push_back({"suppressed", fmt::format("and {} more findings", suppressed_)});
    return Imported{std::move(*bytes), std::move(findings_)};
  }

 private:
  /// Whether what has this time may have changed since and kept it.
  [[nodiscard]] bool is_recent(std::int64_t modified_ns) const noexcept { return modified_ns > begun_ns_ - kTick; }

  [[nodiscard]] std::string path_of(std::string_view name) const { return (manifest_.folder / name).string(); }

  void find(std::string_view kind, std::string message) {
    if (findings_.size() < kMaxFindings) {
      findings_.push_back({std::string(kind), std::move(message)});
    } else {
      ++suppressed_;
    }
  }

  /// Which files there are: those that the index names, else all.
  Result<void> read_index() {
    if (manifest_.index.empty()) {
      for (const ManifestFile& file : manifest_.files) draft_.files.push_back(file.name);
      return {};
    }
    const std::string path = path_of(manifest_.index);
    if (manifest_.index_file.length > kMaxIndexBytes) {
      return fail(ErrorCode::TooLarge, fmt::format("{}: an index of {} bytes; {} are allowed", path,
                                                   manifest_.index_file.length, kMaxIndexBytes));
    }
    const auto file = base::File::open(path);
    RETURN_IF_ERROR(file);
    std::string text(file->size(), '\0');
    if (file->read(0, std::as_writable_bytes(std::span(text))) != std::ssize(text))
      return base::system_error(path, "read", errno);
    auto map = parse_index(text);
    if (!map) return fail_at(path, std::move(map.error()));
    index_ = std::move(*map);
    std::map<std::string_view, std::size_t> tensors;  // per file
    for (const auto& [tensor, name] : *index_) ++tensors[name];
    for (const auto& [name, count] : tensors) {
      if (const ManifestFile* const there = manifest_.find(name)) {
        draft_.files.push_back(there->name);
      } else {
        find("missing_file", fmt::format("{}: names {} tensors in {}, which is not there", path, count, name));
      }
    }
    if (!draft_.files.empty() || index_->empty()) return {};
    return fail(ErrorCode::NotFound, fmt::format("{}: none of the files that it names is there", path));
  }

  Result<void> read_headers() {
    for (std::uint32_t i = 0; i < draft_.files.size(); ++i) {
      const std::string path = path_of(draft_.files[i]);
      const auto file = base::File::open(path);
      RETURN_IF_ERROR(file);
      const ManifestFile* const there = manifest_.find(draft_.files[i]);
      auto header = read_header(base::FileSource(*file), 0, file->size());
      if (!header) return fail_at(path, std::move(header.error()));
      if (file->size() != there->length || file->modified_ns() != there->modified_ns || !file->is_unchanged())
        return fail(ErrorCode::Io, fmt::format("{}: changed while it was imported", path));
      draft_.file_facts.push_back(
          {.length = there->length,
           .modified_ns = is_recent(there->modified_ns) ? std::nullopt : std::optional(there->modified_ns),
           .format = FileFormat::Safetensors});
      ShardOffsets shards;
      if (const auto note = header->metadata.find(std::string(kShardingInfo)); note != header->metadata.end()) {
        auto parsed = parse_sharding_info(note->second);
        if (!parsed) return fail_at(path, std::move(parsed.error()));
        shards = std::move(*parsed);
      }
      headers_.push_back(std::move(*header));
      shards_.push_back(std::move(shards));
      for (const HeaderTensor& tensor : headers_.back().tensors) {
        const auto offsets = shards_.back().find(tensor.name);
        parts_.push_back({&tensor, i, offsets == shards_.back().end() ? nullptr : &offsets->second});
      }
    }
    std::ranges::sort(parts_, [](const Part& a, const Part& b) {
      return std::tie(a.tensor->name, a.file) < std::tie(b.tensor->name, b.file);
    });
    return {};
  }

  [[nodiscard]] std::span<const Part> parts_of(std::string_view name) const {
    const auto found = std::ranges::equal_range(parts_, name, {},
                                                [](const Part& part) { return std::string_view(part.tensor->name); });
    return {found.begin(), found.end()};
  }

  void compare_with_index() {
    if (!index_) return;
    for (const auto& [name, file] : *index_) {
      if (manifest_.find(file) == nullptr) continue;  // said of the file
      const auto parts = parts_of(name);
      const auto is_there = [&](const Part& part) { return draft_.files[part.file] == file; };
      if (parts.empty()) {
        find("ghost_entry",
             fmt::format("{}: names tensor '{}' in {}, which does not hold it", path_of(manifest_.index), name, file));
      } else if (std::ranges::none_of(parts, is_there)) {
        find("misplaced_tensor", fmt::format("{}: names tensor '{}' in {}, but {} holds it", path_of(manifest_.index),
                                             name, file, draft_.files[parts.front().file]));
      }
    }
    for (const Part& part : parts_) {
      if (index_->contains(part.tensor->name)) continue;
      find("unindexed_tensor", fmt::format("{}: holds tensor '{}', which {} does not name",
                                           path_of(draft_.files[part.file]), part.tensor->name, manifest_.index));
    }
  }

  Result<void> join_parts() {
    for (std::size_t begin = 0; begin < parts_.size();) {
      const auto parts = parts_of(parts_[begin].tensor->name);
      begin += parts.size();
      const bool are_shards = std::ranges::all_of(parts, [](const Part& part) { return part.offsets != nullptr; });
      auto added = parts.size() == 1 || are_shards ? add(parts) : add_one_of(parts);
      RETURN_IF_ERROR(added);
    }
    return {};
  }

  /// A tensor that is in several files as a whole: the one that the index names is meant.
  Result<void> add_one_of(std::span<const Part> parts) {
    const std::string& name = parts.front().tensor->name;
    const auto named = index_ ? index_->find(name) : WeightMap::const_iterator();
    for (const Part& part : parts) {
      if (!index_ || named == index_->end() || draft_.files[part.file] != named->second) continue;
      find("duplicate_tensor",
           fmt::format("tensor '{}' is in {} files; the index names {}", name, parts.size(), draft_.files[part.file]));
      return add({&part, 1});
    }
    return fail(ErrorCode::Conflict,
                fmt::format("tensor '{}' is both in {} and in {}, and nothing says that these are parts of it", name,
                            path_of(draft_.files[parts[0].file]), path_of(draft_.files[parts[1].file])));
  }

  /// One tensor of all its parts, which is as large as they reach.
  Result<void> add(std::span<const Part> parts) {
    const HeaderTensor& first = *parts.front().tensor;
    const std::size_t ndim = first.shape.size();
    Size whole(ndim, 0);
    std::set<Size> seen;
    write::DraftEntry entry;
    entry.fqn = first.name;
    entry.box_begin = draft_.boxes.size();
    entry.chunk_begin = draft_.rows.size();
    for (const Part& part : parts) {
      const HeaderTensor& tensor = *part.tensor;
      const Size offsets = part.offsets != nullptr ? *part.offsets : Size(ndim, 0);
      RETURN_IF_ERROR(check_part(first, part, offsets));
      if (!seen.insert(offsets).second) {
        return fail(ErrorCode::Conflict,
                    fmt::format("{}: the part of tensor '{}' at [{}] is in another file already",
                                path_of(draft_.files[part.file]), tensor.name, fmt::join(offsets, ", ")));
      }
      for (std::size_t d = 0; d < ndim; ++d) {
        draft_.boxes.push_back(offsets[d]);
        whole[d] = std::max(whole[d], offsets[d] + tensor.shape[d]);
      }
      for (const std::int64_t size : tensor.shape) draft_.boxes.push_back(size);
      draft_.rows.push_back({.file = part.file,
                             .byte_offset = headers_[part.file].data_begin + tensor.offset,
                             .length = tensor.length,
                             .data_begin = 0});
      ++entry.chunk_count;
    }
    entry.properties.dtype = first.dtype;
    entry.ndim = static_cast<std::uint8_t>(ndim);
    entry.size_begin = draft_.sizes.size();
    for (const std::int64_t size : whole) draft_.sizes.push_back(size);
    draft_.entries.push_back(entry);
    return {};
  }

  [[nodiscard]] Result<void> check_part(const HeaderTensor& first, const Part& part, const Size& offsets) const {
    const HeaderTensor& tensor = *part.tensor;
    const auto wrong = [&](ErrorCode code, std::string_view what) {
      return fail(code, fmt::format("{}: the part of tensor '{}' at [{}] {}", path_of(draft_.files[part.file]),
                                    tensor.name, fmt::join(offsets, ", "), what));
    };
    if (offsets.size() != tensor.shape.size())
      return wrong(ErrorCode::BadItem, fmt::format("has shape [{}]", fmt::join(tensor.shape, ", ")));
    if (tensor.dtype != first.dtype || tensor.shape.size() != first.shape.size()) {
      return wrong(ErrorCode::Conflict,
                   fmt::format("is {} of {} dimensions, another part {} of {}", name_of(tensor.dtype),
                               tensor.shape.size(), name_of(first.dtype), first.shape.size()));
    }
    for (std::size_t d = 0; d < offsets.size(); ++d) {
      if (offsets[d] > INT64_MAX - tensor.shape[d]) return wrong(ErrorCode::BadItem, "ends beyond 2^63");
    }
    if (tensor.dtype == ScalarType::Float4_e2m1fn_x2 && !offsets.empty() && offsets.back() != 0)
      return wrong(ErrorCode::NotPlain, "is cut along a dimension that counts pairs for some and values for others");
    return {};
  }

  Manifest manifest_;
  std::int64_t begun_ns_ = 0;
  std::optional<WeightMap> index_;
  std::deque<Header> headers_;       // by file
  std::deque<ShardOffsets> shards_;  // likewise
  std::vector<Part> parts_;          // by name, then file
  write::Draft draft_;               // borrows from all of these
  std::vector<Finding> findings_;
  std::size_t suppressed_ = 0;
};

}  // namespace

Result<Imported> import_files(const fs::path& path) {
  auto manifest = Manifest::of(path);
  RETURN_IF_ERROR(manifest);
  const Manifest before = *manifest;
  auto imported = Importer(std::move(*manifest)).run();
  RETURN_IF_ERROR(imported);
  const auto after = Manifest::of(path);
  if (!after || after->mark() != before.mark())
    return fail(ErrorCode::Io, fmt::format("{}: changed while it was imported", path.string()));
  return imported;
}

}  // namespace flatpoint::safetensors
