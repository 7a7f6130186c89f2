
#include <algorithm>
#include <vector>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/byte_ranges.hpp"
#include "flatpoint/data.hpp"

namespace flatpoint::data {
namespace {

/// An item of storage_data, by position in its file.
struct PlacedItem {
  std::uint32_t file;
  std::uint64_t offset;
  std::uint64_t length;
  std::uint32_t entry;
  std::uint32_t chunk;  // by rows
  [[nodiscard]] std::uint64_t end() const noexcept { return offset + length; }
};

class Checker {
 public:
  Checker(const Reader& reader, const MetadataView& metadata, const CheckOptions& options)
      : reader_(reader), metadata_(metadata), options_(options) {}

  Result<CheckReport> run() {
    RETURN_IF_ERROR(gather());
    find_overlaps();
    for (const PlacedItem& item : items_) {
      check_item(item);
      done_ += item.length;
      if (options_.progress) options_.progress(done_, total_);
    }
    report_.items = items_.size();
    return std::move(report_);
  }

 private:
  static tl::unexpected<Error> corrupt() {
    return fail(ErrorCode::Corrupt, "the metadata breaks a rule; `flatpoint verify --check rules` names it");
  }

  Result<void> gather() {
    for (std::uint32_t i = 0; i < metadata_.size(); ++i) {
      const auto entry = metadata_.entry(i);
      if (!entry) return corrupt();
      const auto tensor = entry->tensor();
      if (tensor.corrupt()) return corrupt();
      const auto add = [&](const Lookup<StorageInfoView>& storage, std::uint32_t chunk) {
        if (storage.found()) items_.push_back({storage->file(), storage->byte_offset(), storage->length(), i, chunk});
        return !storage.corrupt();
      };
      if (!tensor && !add(entry->bytes_storage(), 0)) return corrupt();
      for (std::uint32_t c = 0; tensor && c < tensor->chunk_count(); ++c) {
        const auto chunk = tensor->chunk_by_row(c);
        if (!chunk || !add(chunk->storage(), c)) return corrupt();
      }
    }
    std::ranges::sort(items_, [](const PlacedItem& a, const PlacedItem& b) {
      return std::tie(a.file, a.offset, a.length) < std::tie(b.file, b.offset, b.length);
    });
    for (const PlacedItem& item : items_) total_ += item.length;
    return {};
  }

  [[nodiscard]] std::string_view fqn(const PlacedItem& item) const { return metadata_.entry(item.entry)->fqn(); }
  [[nodiscard]] std::string_view file_name(std::uint32_t file) const {
    const auto name = metadata_.file_name(file);
    return name ? *name : std::string_view("?");
  }

  /// Where torch's SerializationFormat.SAFETENSORS wrote, the metadata has the place of the header for all its tensors;
  /// the bytes of each lie behind it. Such an item is nothing but these bytes.
  [[nodiscard]] std::optional<ByteRange> raw_bytes(const PlacedItem& item) const {
    const auto tensor = metadata_.entry(item.entry)->tensor();
    if (!tensor) return std::nullopt;
    const auto located = reader_.locate(*tensor, *tensor->chunk_by_row(item.chunk));
    if (!located || located->range.length != item.length) return std::nullopt;
    return located->range;
  }

  [[nodiscard]] bool are_apart(const PlacedItem& a, const PlacedItem& b) const {
    if (a.offset != b.offset) return false;
    const auto of_a = raw_bytes(a);
    const auto of_b = raw_bytes(b);
    return of_a && of_b && (of_a->offset + of_a->length <= of_b->offset || of_b->offset + of_b->length <= of_a->offset);
  }

  void find_overlaps() {
    const auto range_of = [](const PlacedItem& item) { return columns::ByteRange{item.file, item.offset, item.end()}; };
    columns::each_overlap(
        std::span<const PlacedItem>(items_), range_of, [&](const PlacedItem& item, const PlacedItem& before) {
          if (are_apart(item, before)) return;
          add(report_.broken, finding_kind::kItemOverlap,
              fmt::format("{}: the item of FQN '{}' at byte {} begins inside that of FQN '{}' at byte {} with {} bytes",
                          file_name(item.file), fqn(item), item.offset, fqn(before), before.offset, before.length));
        });
  }

  void check_item(const PlacedItem& item) {
    if (options_.files != nullptr && !options_.files->holds(item.file, item.offset, item.length)) return;
    const auto entry = metadata_.entry(item.entry);
    const auto tensor = entry->tensor();
    const bool bytes = options_.depth == CheckDepth::Bytes;
    const auto checked =
        tensor ? reader_.check(*tensor, *tensor->chunk_by_row(item.chunk), bytes) : reader_.check(*entry, bytes);
    if (!checked) {
      const ErrorCode code = checked.error().code;
      const bool odd = code == ErrorCode::NotPlain || code == ErrorCode::UnknownTransform;
      if (odd) ++report_.without_checksum;
      add(odd ? report_.findings : report_.broken, to_string(code), checked.error().message);
    } else if (!*checked) {
      ++report_.without_checksum;
    } else if (bytes) {
      report_.checked_bytes += item.length;
    }
  }

  void add(std::vector<Finding>& list, std::string_view kind, std::string message) {
    if (report_.broken.size() + report_.findings.size() >= options_.max_messages && !list.empty()) {
      ++report_.suppressed;
    } else {
      list.push_back({std::string(kind), std::move(message)});
    }
  }

  const Reader& reader_;
  const MetadataView& metadata_;
  const CheckOptions& options_;
  CheckReport report_;
  std::vector<PlacedItem> items_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

Result<CheckReport> check(const Reader& reader, const MetadataView& metadata, const CheckOptions& options) {
  return Checker(reader, metadata, options).run();
}

}  // namespace flatpoint::data
