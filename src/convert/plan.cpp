// Which tensor goes where, and everything that can be known to be wrong before a byte is written.
#include <algorithm>
#include <map>
#include <set>

#include "archive/write_item.hpp"
#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/file.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "convert/ranges.hpp"
#include "flatpoint/convert.hpp"
#include "flatpoint/coverage.hpp"
#include "flatpoint/safetensors.hpp"
#include "flatpoint/source.hpp"
#include "safetensors/index.hpp"

namespace flatpoint::data {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> broken_metadata(std::string_view what) {
  return fail(ErrorCode::Corrupt, fmt::format("{}: the metadata breaks a rule; `verify` names it", what));
}

/// What holds no tensors of a checkpoint: files that the others of a model need.
bool is_other_file(std::string_view name) {
  const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
  return !name.starts_with('.') && !ends(".distcp") && !ends(".safetensors") && !ends(".safetensors.index.json") &&
         !ends(".metadata") && !ends(".flatpoint");
}

class Planner {
 public:
  Planner(const dcp::OpenedCheckpoint& source, const Reader& reader, const ConvertOptions& options)
      : metadata_(source.file.view()), folder_(source.path.parent_path()), reader_(reader), options_(options) {}

  Result<Conversion> run() {
    RETURN_IF_ERROR(check_data_files());
    std::vector<ConvertedTensor> tensors;
    RETURN_IF_ERROR(choose(tensors));
    if (tensors.empty() && objects_.empty()) return fail(ErrorCode::NotFound, "there is no tensor to convert");
    RETURN_IF_ERROR(check_tensors(tensors));
    plan_.to = options_.to;
    if (options_.to == ConvertTo::Dcp) {
      RETURN_IF_ERROR(shard(std::move(tensors)));
      RETURN_IF_ERROR(list_other_files());
      return std::move(plan_);
    }
    RETURN_IF_ERROR(options_.like.empty() ? place(std::move(tensors)) : place_like(std::move(tensors)));
    for (ConvertedFile& file : plan_.files) {
      RETURN_IF_ERROR(lay_out(file));
    }
    write_index();
    RETURN_IF_ERROR(list_other_files());
    return std::move(plan_);
  }

 private:
  [[nodiscard]] Result<void> check_data_files() const {
    const auto report = check_files(
        metadata_, folder_, {.allow_outside = options_.allow_outside, .unnamed_files = false, .max_messages = 1});
    RETURN_IF_ERROR(report);
    if (report->broken.empty()) return {};
    const Finding& first = report->broken.front();
    const ErrorCode code = first.kind == "not_found"   ? ErrorCode::NotFound
                           : first.kind == "truncated" ? ErrorCode::Truncated
                           : first.kind == "changed"   ? ErrorCode::Changed
                           : first.kind == "outside"   ? ErrorCode::Outside
                                                       : ErrorCode::Io;
    return fail(code, first.message);
  }

  /// Entries in the order of the source, by their new names.
  [[nodiscard]] Result<void> choose(std::vector<ConvertedTensor>& tensors) {
    std::map<std::string, std::string_view, std::less<>> taken;
    for (std::uint32_t i = 0; i < metadata_.size(); ++i) {
      const auto entry = metadata_.entry_in_dcp_order(i);
      if (!entry) return broken_metadata(fmt::format("entry {}", i));
      const std::string_view fqn = entry->fqn();
      auto name = options_.name_of ? options_.name_of(fqn) : std::optional<std::string>(fqn);
      if (!name) {
        plan_.not_chosen.emplace_back(fqn);
        continue;
      }
      const auto tensor = entry->tensor();
      if (tensor.corrupt()) return broken_metadata(fmt::format("FQN '{}'", fqn));
      if (!tensor && entry->type() == StorageType::Bytes && options_.to == ConvertTo::Safetensors) {
        plan_.bytes_items.emplace_back(fqn);
        continue;
      }
      if (!tensor && entry->type() != StorageType::Bytes)
        return fail(ErrorCode::Conflict,
                    fmt::format("FQN '{}': is of a class that is none of DCP's, so that nobody knows "
                                "what it holds; leave it out",
                                fqn));
      const auto [other, is_new] = taken.emplace(*name, fqn);
      if (!is_new)
        return fail(ErrorCode::Conflict,
                    fmt::format("FQNs '{}' and '{}' would both become '{}'", other->second, fqn, *name));
      if (!tensor) {
        const auto item = reader_.read_item(*entry);
        RETURN_IF_ERROR(item);
        objects_.push_back({*entry, std::move(*name), 0, item->size()});
        continue;
      }
      const auto size = tensor->size();
      ConvertedTensor& added = tensors.emplace_back();
      added.tensor = *tensor;
      added.name = std::move(*name);
      added.box = {Size(size.size(), 0), Size(size.begin(), size.end())};
    }
    return {};
  }

  [[nodiscard]] Result<void> check_tensors(std::vector<ConvertedTensor>& tensors) {
    for (ConvertedTensor& converted : tensors) {
      const TensorView& tensor = converted.tensor;
      if (options_.to == ConvertTo::Dcp && !archive::can_store(tensor.dtype())) {
        return fail(ErrorCode::NotPlain, fmt::format("FQN '{}': items of dtype {} cannot be written; leave it out",
                                                     tensor.fqn(), tensor.dtype_name()));
      }
      if (options_.to == ConvertTo::Safetensors && safetensors::safetensors_name_of(tensor.dtype()).empty()) {
        return fail(ErrorCode::NotPlain, fmt::format("FQN '{}': safetensors files have no dtype {}; leave it out",
                                                     tensor.fqn(), tensor.dtype_name()));
      }
      if (tensor.row().properties.layout != Layout::Strided)
        return fail(ErrorCode::NotPlain,
                    fmt::format("FQN '{}': has the layout {}", tensor.fqn(), tensor.layout_name()));
      const auto bytes = box_bytes(tensor, tensor.size());
      RETURN_IF_ERROR(bytes);
      converted.bytes = *bytes;
      const Coverage coverage = check_coverage(tensor, {.max_findings = 1});
      if (!coverage.tiles) {
        const CoverageFinding& finding = coverage.findings.front();
        return fail(finding.kind == CoverageProblem::Hole ? ErrorCode::Holes : ErrorCode::Conflict,
                    fmt::format("FQN '{}': {}", tensor.fqn(), to_string(finding)));
      }
      const auto woven = needs_weaving(tensor);
      RETURN_IF_ERROR(woven);
      converted.is_woven = *woven;
      plan_.tensors += 1;
      plan_.tensor_bytes += *bytes;
      if (*woven) plan_.woven_bytes += *bytes;
    }
    return {};
  }

  /// Looks at every item.
  [[nodiscard]] Result<bool> needs_weaving(const TensorView& tensor) const {
    bool is_woven = false;
    for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
      const auto chunk = tensor.chunk_by_row(i);
      if (!chunk) return broken_metadata(fmt::format("FQN '{}'", tensor.fqn()));
      const ChunkStorageMetadata box = chunk->to_value();
      if (columns::is_empty(box.sizes)) continue;
      is_woven = is_woven || !is_one_range(box, tensor.size());
      const auto where = reader_.locate(tensor, *chunk);
      if (where) continue;
      if (where.error().code != ErrorCode::NotPlain) return tl::unexpected(where.error());
      // Compressed, or in another order, which can be read; or no plain tensor at all, which this finds.
      is_woven = true;
      std::vector<std::byte> element(item_size(tensor.dtype()));
      const Size one(box.sizes.size(), 1);
      RETURN_IF_ERROR(reader_.read(tensor, box.offsets, one, {element.data(), {}}));
    }
    return is_woven;
  }

  [[nodiscard]] Result<void> place(std::vector<ConvertedTensor> tensors) {
    std::uint64_t bytes = 0;
    plan_.files.emplace_back();
    for (ConvertedTensor& tensor : tensors) {
      const bool fits = tensor.bytes <= options_.max_shard_bytes && bytes <= options_.max_shard_bytes - tensor.bytes;
      if (!fits && !plan_.files.back().tensors.empty()) {
        plan_.files.emplace_back();
        bytes = 0;
      }
      bytes += tensor.bytes;
      plan_.files.back().tensors.push_back(std::move(tensor));
    }
    const std::size_t count = plan_.files.size();
    if (count > 99'999)
      return fail(ErrorCode::TooLarge,
                  fmt::format("{} files; allow larger ones than {} bytes", count, options_.max_shard_bytes));
    for (std::size_t i = 0; i < count; ++i)
      plan_.files[i].name =
          count == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, count);
    return {};
  }

  [[nodiscard]] Result<void> place_like(std::vector<ConvertedTensor> tensors) {
    auto file = base::File::open(options_.like);
    RETURN_IF_ERROR(file);
    constexpr std::size_t kMostBytes = std::size_t{1} << 30;
    if (file->size() > kMostBytes)
      return fail(ErrorCode::TooLarge,
                  fmt::format("{}: is no index: it has {} bytes", options_.like.string(), file->size()));
    std::string text(file->size(), '\0');
    const auto n = file->read(0, std::as_writable_bytes(std::span(text)));
    if (n != std::ssize(text)) return base::system_error(options_.like, "read", n < 0 ? errno : EIO);
    const auto map = safetensors::parse_index(text);
    if (!map) return fail_at(options_.like.string(), map.error());
    std::map<std::string_view, std::size_t> numbers;
    for (const auto& [name, target] : *map) {
      if (!target.ends_with(".safetensors"))
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("{}: '{}' is no name of a safetensors file", options_.like.string(), target));
      numbers.emplace(target, 0);
    }
    for (auto& [name, number] : numbers) {
      number = plan_.files.size();
      plan_.files.emplace_back().name = name;
    }
    std::set<std::string_view> found;
    for (ConvertedTensor& tensor : tensors) {
      const auto at = map->find(tensor.name);
      if (at == map->end())
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("{}: does not say where '{}' goes; leave it out", options_.like.string(), tensor.name));
      found.insert(at->first);
      plan_.files[numbers.at(at->second)].tensors.push_back(std::move(tensor));
    }
    for (const auto& [name, target] : *map) {
      if (!found.contains(name)) plan_.missing.push_back(name);
    }
    return {};
  }

  /// Each tensor's chunks into the files of the ranks that hold them; objects first, as torch has them.
  [[nodiscard]] Result<void> shard(std::vector<ConvertedTensor> tensors) {
    std::uint64_t ranks = 1;
    for (const std::int64_t n : options_.mesh) {
      if (n <= 0 || !base::multiply(ranks, static_cast<std::uint64_t>(n), ranks) || ranks > 99'999)
        return fail(ErrorCode::InvalidArgument, "a mesh has 1 to 99,999 ranks");
    }
    std::map<std::uint32_t, ConvertedFile> files;
    ConvertedFile& first = files[0];
    for (ConvertedBytes& object : objects_) {
      object.begin = first.bytes;
      first.bytes += object.bytes;
      first.objects.push_back(std::move(object));
    }
    for (const ConvertedTensor& whole : tensors) {
      std::vector<Placement> placements = options_.placements;
      for (Placement& placement : placements) {
        const auto* const even = std::get_if<Shard>(&placement);
        const auto* const strided = std::get_if<StridedShard>(&placement);
        const auto ndim = static_cast<std::int64_t>(whole.box.sizes.size());
        const std::int64_t dim = even != nullptr ? even->dim : strided != nullptr ? strided->dim : 0;
        if ((even != nullptr || strided != nullptr) && (dim >= ndim || dim < -ndim)) placement = Replicate{};
      }
      const auto sharding = Sharding::create(whole.box.sizes, options_.mesh, placements);
      if (!sharding) return fail_at(fmt::format("FQN '{}'", whole.tensor.fqn()), sharding.error());
      for (const std::uint32_t rank : sharding->chunk_ranks()) {
        ConvertedTensor part = whole;
        part.box = sharding->local_box(rank);
        // An empty shard says nothing but where it is not; a tensor without elements is one chunk.
        if (columns::is_empty(part.box.sizes) && (!columns::is_empty(whole.box.sizes) || rank != 0)) continue;
        if (columns::is_empty(whole.box.sizes)) part.box = whole.box;
        const auto bytes = box_bytes(part.tensor, part.box.sizes);
        RETURN_IF_ERROR(bytes);
        part.bytes = *bytes;
        part.is_woven = true;
        ConvertedFile& file = files[rank];
        RETURN_IF_ERROR(append_item(file, part));
        file.tensors.push_back(std::move(part));
      }
    }
    plan_.woven_bytes = plan_.tensor_bytes;
    for (auto& [rank, file] : files) {
      if (file.bytes == 0) continue;
      file.name = fmt::format("__{}_0.distcp", rank);
      plan_.files.push_back(std::move(file));
    }
    return {};
  }

  [[nodiscard]] Result<void> append_item(ConvertedFile& file, ConvertedTensor& part) const {
    const archive::TensorItem item(part.tensor.dtype(), part.box.sizes, part.bytes);
    const std::uint64_t alignment = std::max<std::uint32_t>(options_.alignment, 1);
    const std::uint64_t over = (file.bytes + item.head().size()) % alignment;
    part.item_begin = file.bytes + (over == 0 ? 0 : alignment - over);
    part.begin = part.item_begin + item.head().size();
    part.item_bytes = item.head().size() + part.bytes + item.tail(0).size();
    if (__builtin_add_overflow(part.item_begin, part.item_bytes, &file.bytes) || file.bytes > INT64_MAX)
      return fail(ErrorCode::TooLarge, "a file would have more bytes than a file can");
    return {};
  }

  /// Tensors of whole pages first, so that all of them begin at pages; then the widest elements first, so that each
  /// tensor is aligned.
  [[nodiscard]] static Result<void> lay_out(ConvertedFile& file) {
    std::ranges::stable_sort(file.tensors, std::ranges::greater(), [](const ConvertedTensor& converted) {
      return std::pair(converted.bytes % kPage == 0, item_size(converted.tensor.dtype()));
    });
    std::vector<safetensors::NamedTensor> named;
    named.reserve(file.tensors.size());
    for (const ConvertedTensor& converted : file.tensors) {
      const auto size = converted.tensor.size();
      named.push_back({converted.name, converted.tensor.dtype(), Size(size.begin(), size.end()), converted.bytes});
    }
    auto head = safetensors::head_of(named, {.format = "pt", .alignment = kPage});
    if (!head) return fail_at(file.name, std::move(head.error()));
    file.head = std::move(*head);
    file.bytes = file.head.size();
    for (ConvertedTensor& converted : file.tensors) {
      converted.begin = file.bytes;
      if (__builtin_add_overflow(file.bytes, converted.bytes, &file.bytes) || file.bytes > INT64_MAX)
        return fail(ErrorCode::TooLarge, fmt::format("{}: has more bytes than a file can", file.name));
    }
    return {};
  }

  void write_index() {
    if (plan_.files.size() == 1 && options_.like.empty()) return;
    std::map<std::string_view, std::string_view> map;
    for (const ConvertedFile& file : plan_.files) {
      for (const ConvertedTensor& tensor : file.tensors) map.emplace(tensor.name, file.name);
    }
    plan_.index =
        fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", plan_.tensor_bytes);
    const char* between = "\n";
    for (const auto& [name, file] : map) {
      fmt::append(plan_.index, "{}    {}: {}", between, safetensors::json_string(name), safetensors::json_string(file));
      between = ",\n";
    }
    plan_.index += "\n  }\n}\n";
  }

  [[nodiscard]] Result<void> list_other_files() {
    std::set<std::string, std::less<>> data_files;
    for (std::uint32_t i = 0; i < metadata_.file_count(); ++i) {
      if (const auto name = metadata_.file_name(i)) data_files.emplace(*name);
    }
    const fs::path folder = folder_.empty() ? fs::path(".") : folder_;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      std::string name = at->path().filename().string();
      if (std::error_code ignored; !at->is_regular_file(ignored) || !is_other_file(name) || data_files.contains(name))
        continue;
      (options_.carry && options_.carry(name) ? plan_.carried : plan_.not_carried).push_back(std::move(name));
    }
    if (error) return fail(ErrorCode::Io, fmt::format("{}: {}", folder.string(), error.message()));
    std::ranges::sort(plan_.carried);
    std::ranges::sort(plan_.not_carried);
    return {};
  }

  MetadataView metadata_;
  fs::path folder_;
  const Reader& reader_;
  const ConvertOptions& options_;
  std::vector<ConvertedBytes> objects_;
  Conversion plan_;
};

}  // namespace

bool is_one_range(const ChunkStorageMetadata& chunk, std::span<const std::int64_t> whole) noexcept {
  std::size_t d = 0;
  while (d < whole.size() && chunk.sizes[d] == 1) ++d;
  for (++d; d < whole.size(); ++d) {
    if (chunk.sizes[d] != whole[d]) return false;
  }
  return true;
}

Result<Conversion> plan_conversion(const dcp::OpenedCheckpoint& source, const Reader& reader,
                                   const ConvertOptions& options) {
  return Planner(source, reader, options).run();
}

}  // namespace flatpoint::data
