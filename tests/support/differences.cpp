
#include <algorithm>
#include <map>
#include <tuple>

#include "base/format.hpp"
#include "flatpoint/records.hpp"
#include "support/model.hpp"

namespace flatpoint::test {
namespace {

using Key = std::pair<std::string, std::optional<Size>>;

class Comparer {
 public:
  Comparer(const MetadataFile& file, const Model& model) : view_(file.view()), c_(view_.columns()), model_(model) {}

  std::vector<std::string> run() {
    if (model_.storage_data) {
      for (const ModelItem& item : *model_.storage_data) items_.emplace(Key(item.fqn, item.offset), &item);
    }
    expect(view_.size() == model_.entries.size(), "size()");
    for (std::uint32_t i = 0; i < model_.entries.size() && differences_.empty(); ++i) compare_entry(i);
    compare_sorted();
    compare_prefixes();
    compare_storage_data();
    compare_planner_data();
    compare_rest();
    return std::move(differences_);
  }

 private:
  bool expect(bool holds, std::string_view what) {
    if (!holds) differences_.push_back(fmt::format("{}{}", where_, what));
    return holds;
  }

  void compare_entry(std::uint32_t i) {
    const ModelEntry& wanted = model_.entries[i];
    where_ = fmt::format("entry {}: ", i);
    const auto entry = view_.entry_in_dcp_order(i);
    if (!expect(entry.found(), "entry_in_dcp_order") || !expect(entry->fqn() == wanted.fqn, "fqn")) return;
    const auto same = view_.find(wanted.fqn);
    expect(same.found() && same->position() == entry->position(), "find");
    expect(entry->type() == wanted.type, "type");
    compare_path(*entry, wanted);
    const auto tensor = entry->tensor();
    if (wanted.type == StorageType::Tensor) {
      if (expect(tensor.found(), "tensor")) compare_tensor(*tensor, wanted);
    } else {
      expect(tensor.absent(), "tensor of what is none");
    }
    const auto item = items_.find(Key(wanted.fqn, std::nullopt));
    const bool stored = wanted.type == StorageType::Bytes && item != items_.end();
    expect(stored ? holds(entry->bytes_storage(), *item->second) : entry->bytes_storage().absent(), "bytes_storage");
    where_.clear();
  }

  void compare_tensor(const TensorView& tensor, const ModelEntry& wanted) {
    expect(std::ranges::equal(tensor.size(), wanted.size), "size");
    expect(tensor.ndim() == wanted.size.size(), "ndim");
    expect(tensor.properties() == wanted.properties, "properties");
    expect(tensor.dtype() == wanted.properties.dtype, "dtype");
    expect(tensor.memory_format() == wanted.properties.memory_format, "memory_format");
    expect(tensor.requires_grad() == wanted.properties.requires_grad, "requires_grad");
    expect(tensor.pin_memory() == wanted.properties.pin_memory, "pin_memory");
    expect(tensor.has_strides() == wanted.properties.strides.has_value(), "has_strides");
    const bool escaped = wanted.properties.dtype == ScalarType::Other;
    expect(tensor.dtype_name() == (escaped ? std::string_view(wanted.properties.dtype_name) : name_of(tensor.dtype())),
           "dtype_name");
    if (!expect(tensor.chunk_count() == wanted.chunks.size(), "chunk_count")) return;
    expect(tensor.chunk(tensor.chunk_count()).absent(), "chunk behind the last");
    Size before;
    for (std::uint32_t i = 0; i < wanted.chunks.size(); ++i) {
      const auto chunk = tensor.chunk(i);
      if (expect(chunk.found(), "chunk")) compare_chunk(tensor, *chunk, wanted, i);
      const auto by_row = tensor.chunk_by_row(i);
      if (!expect(by_row.found(), "chunk_by_row")) continue;
      const Size offsets = by_row->to_value().offsets;
      expect(i == 0 || !(offsets < before), "rows are sorted");
      before = offsets;
    }
    expect(tensor.find_chunk(Size(wanted.size.size() + 1, 0)).absent(), "find_chunk with another ndim");
    Size outside(wanted.size.size(), 987654321);
    if (!outside.empty()) expect(tensor.find_chunk(outside).absent(), "find_chunk where none starts");
  }

  void compare_chunk(const TensorView& tensor, const ChunkView& chunk, const ModelEntry& wanted, std::uint32_t i) {
    const ChunkStorageMetadata& box = wanted.chunks[i];
    const auto say = [&](std::string_view what) {
      return fmt::format("chunk {} [{}]: {}", i, fmt::join(box.offsets, ", "), what);
    };
    expect(chunk.to_value() == box, say("box"));
    expect(chunk.ndim() == box.offsets.size(), say("ndim"));
    for (std::uint8_t d = 0; d < chunk.ndim(); ++d) {
      expect(chunk.offset(d) == box.offsets[d] && chunk.size(d) == box.sizes[d], say("offset, size"));
    }
    const auto item = items_.find(Key(wanted.fqn, box.offsets));
    expect(item == items_.end() ? chunk.storage().absent() : holds(chunk.storage(), *item->second), say("storage"));
    const auto first = std::ranges::find(wanted.chunks, box.offsets, &ChunkStorageMetadata::offsets);
    const auto found = tensor.find_chunk(box.offsets);
    expect(found.found() && found->to_value() == *first, say("find_chunk"));
  }

  static bool holds(const Lookup<StorageInfoView>& storage, const ModelItem& item) {
    if (!storage.found() || storage->to_value() != item.info) return false;
    if (storage->transform_count().has_value() != item.info.transform_descriptors.has_value()) return false;
    return storage->relative_path() == item.info.relative_path && storage->byte_offset() == item.info.offset &&
           storage->length() == item.info.length;
  }

  void compare_sorted() {
    for (std::uint32_t i = 0; i < view_.size(); ++i) {
      const auto entry = view_.entry(i);
      if (!expect(entry.found() && entry->position() == i, "entry")) return;
      if (i > 0) expect(view_.entry(i - 1)->fqn() < entry->fqn(), "entries are sorted");
      for (const std::string& miss :
           {std::string(entry->fqn()) + '\0', std::string(entry->fqn()) + ".x", "x" + std::string(entry->fqn())}) {
        const bool there = std::ranges::find(model_.entries, miss, &ModelEntry::fqn) != model_.entries.end();
        expect(there ? view_.find(miss).found() : view_.find(miss).absent(), "find what is not there");
      }
    }
    expect(view_.entry(view_.size()).absent() && view_.entry_in_dcp_order(view_.size()).absent(),
           "entry behind the last");
  }

  void compare_prefixes() {
    for (const ModelEntry& entry : model_.entries) {
      for (const std::size_t length : {std::size_t{0}, entry.fqn.size() / 2, entry.fqn.size()}) {
        compare_prefix(entry.fqn.substr(0, length));
        compare_prefix(entry.fqn.substr(0, length) + "\xFF\xFF");
      }
    }
  }

  void compare_prefix(const std::string& prefix) {
    const auto count =
        std::ranges::count_if(model_.entries, [&](const ModelEntry& e) { return e.fqn.starts_with(prefix); });
    const auto range = view_.prefix(prefix);
    if (count == 0) {
      expect(range.absent(), "prefix of nothing");
      return;
    }
    if (!expect(range.found() && range->size() == count, fmt::format("prefix '{}'", prefix))) return;
    expect(
        view_.entry(range->begin)->fqn().starts_with(prefix) && view_.entry(range->end - 1)->fqn().starts_with(prefix),
        "prefix range");
  }

  /// storage_data is its items by look-up, and its order as docs/format.md says it lies in the columns.
  void compare_storage_data() {
    expect(c_.has_storage_data == model_.storage_data.has_value(), "has_storage_data");
    if (!model_.storage_data) return;
    for (const ModelItem& item : *model_.storage_data) {
      where_ = fmt::format("storage_data['{}', {}]: ", item.fqn, item.offset ? fmt::join(*item.offset, ", ") : "None");
      expect(holds(view_.find(MetadataIndex{item.fqn, item.offset, 12345}), item), "find");
      MetadataIndex other{item.fqn, item.offset, item.index};
      if (other.offset) {
        other.offset->push_back(1);
      } else {
        other.offset.emplace();
      }
      expect(items_.contains(Key(other.fqn, other.offset)) == view_.find(other).found(), "find another offset");
    }
    where_.clear();
    const std::vector<std::uint32_t> order = storage_order();
    if (!expect(order.size() == model_.storage_data->size(), "number of items in storage_data")) return;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const ModelItem& item = (*model_.storage_data)[i];
      where_ = fmt::format("storage_data item {}: ", i);
      const auto [key, usual] = key_of_row(order[i]);
      expect(key == Key(item.fqn, item.offset), "key");
      expect(index_hint(view_, order[i], usual) == item.index, "index");
    }
    where_.clear();
    compare_loose_storage();
    std::map<std::string, int> files;
    for (const ModelItem& item : *model_.storage_data) ++files[item.info.relative_path];
    expect(view_.file_count() == files.size(), "file_count");
    expect(view_.file_name(view_.file_count()).absent(), "file_name behind the last");
    for (const ModelItem& item : *model_.storage_data) {
      const auto storage = view_.find_storage(
          item.fqn, item.offset ? std::optional<std::span<const std::int64_t>>(*item.offset) : std::nullopt);
      if (!storage.found()) continue;
      expect(*view_.file_name(storage->file()) == item.info.relative_path, "file_name");
      const std::uint32_t list = c_.chunk_transforms.empty() ? 0U : c_.chunk_transforms[row_of(item)];
      if (list != 0) expect(c_.transform_lists[list - 1].type == item.transforms_type, "type of the transform list");
    }
  }

  void compare_loose_storage() {
    std::size_t i = 0;
    for (; const auto loose = loose_storage(view_, i); ++i) {
      const auto item = items_.find(key_of_row(loose->row).first);
      if (!expect(item != items_.end() && !model_.chunk_of(*item->second) && holds(loose->storage, *item->second),
                  "loose storage"))
        return;
      const auto first = first_loose_storage(view_, loose->fqn);
      expect(first && *first <= i && loose_storage(view_, *first)->fqn == loose->fqn, "first_loose_storage");
      expect(*first == 0 || loose_storage(view_, *first - 1)->fqn < loose->fqn, "loose storage is sorted");
    }
    const auto wanted =
        std::ranges::count_if(*model_.storage_data, [&](const ModelItem& item) { return !model_.chunk_of(item); });
    expect(i == static_cast<std::size_t>(wanted), "number of loose storage");
  }

  std::vector<std::uint32_t> storage_order() const {
    if (!c_.storage_order.empty()) return {c_.storage_order.begin(), c_.storage_order.end()};
    std::vector<std::uint32_t> rows;
    for (std::uint32_t row = 0; row < c_.chunk_files.size(); ++row) {
      if (c_.chunk_files[row] == kNoFile) continue;
      if (row > 0 && row < c_.chunk_rows() && same_tensor(row) && key_of_row(row).first == key_of_row(row - 1).first)
        continue;
      rows.push_back(row);
    }
    std::ranges::sort(
        rows, {}, [&](std::uint32_t row) { return std::tuple(c_.chunk_files[row], c_.chunk_byte_offsets[row], row); });
    return rows;
  }

  [[nodiscard]] std::uint32_t entry_of_row(std::uint32_t row) const {
    std::uint32_t entry = 0;
    while (row >= c_.entries[entry].chunk_begin + c_.entries[entry].chunk_count) ++entry;
    return entry;
  }
  [[nodiscard]] bool same_tensor(std::uint32_t row) const { return entry_of_row(row) == entry_of_row(row - 1); }

  /// A row's MetadataIndex, and the index that it usually has: the first position in DCP's order that leads to the row.
  [[nodiscard]] std::pair<Key, std::optional<std::int64_t>> key_of_row(std::uint32_t row) const {
    if (row >= c_.chunk_rows()) {
      const LooseStorageView loose = *loose_storage(view_, row - c_.chunk_rows());
      return {{std::string(loose.fqn),
               loose.has_offset ? std::optional(Size(loose.offset.begin(), loose.offset.end())) : std::nullopt},
              std::nullopt};
    }
    const EntryView entry = *view_.entry(entry_of_row(row));
    if (entry.type() != StorageType::Tensor) return {{std::string(entry.fqn()), std::nullopt}, std::nullopt};
    const TensorView tensor = *entry.tensor();
    std::int64_t position = 0;
    while (tensor.chunk(static_cast<std::uint32_t>(position))->row() != row) ++position;
    return {{std::string(entry.fqn()), tensor.chunk_by_row(row - entry.row().chunk_begin)->to_value().offsets},
            position};
  }

  [[nodiscard]] std::uint32_t row_of(const ModelItem& item) const {
    for (std::uint32_t row = 0;; ++row) {
      if (key_of_row(row).first == Key(item.fqn, item.offset)) return row;
    }
  }

  void compare_path(const EntryView& entry, const ModelEntry& wanted) {
    const auto path = planner_path(view_, entry);
    if (!model_.planner_data || !wanted.path) {
      expect(path.absent(), "planner path of what has none");
      return;
    }
    if (!expect(path.found(), "planner path")) return;
    PlannerPathView rest = *path;
    std::string joined;  // the elements, each with its dot, are the FQN
    std::size_t elements = 0;
    for (auto element = rest.next(); !element.absent(); element = rest.next(), ++elements) {
      if (!expect(element.found() && elements < wanted.path->size(), "element of a planner path")) return;
      const PathElementRow& row = (*wanted.path)[elements];
      const auto components = static_cast<std::size_t>(std::ranges::count(element->text, '.')) + 1;
      expect(element->is_index == (row.is_index != 0) && components == row.components, "element of a planner path");
      joined += (elements > 0 ? "." : "") + std::string(element->text);
    }
    expect(elements == wanted.path->size() && joined == wanted.fqn, "elements of a planner path");
  }

  void compare_planner_data() {
    expect(c_.has_planner_data == model_.planner_data.has_value(), "has_planner_data");
    if (!model_.planner_data) return;
    std::vector<std::string> wanted;
    for (const std::uint32_t e : *model_.planner_data) wanted.push_back(model_.entries[e].fqn);
    std::vector<std::string> actual;
    for (const std::uint32_t position : c_.planner_order) actual.emplace_back(view_.entry(position)->fqn());
    for (std::uint32_t i = 0; i < view_.size() && c_.planner_order.empty(); ++i) {
      const EntryView entry = *view_.entry_in_dcp_order(i);
      if (!c_.fqn_paths.empty() && c_.fqn_paths[entry.position()] != 0) actual.emplace_back(entry.fqn());
    }
    expect(actual == wanted, "order of planner_data");
  }

  void compare_rest() {
    const auto text = [](const std::optional<ByteColumn>& column) {
      return column ? std::optional(std::string(column->begin(), column->end())) : std::nullopt;
    };
    const auto meta = view_.storage_meta();
    expect(meta.has_value() == model_.storage_meta.has_value(), "has storage_meta");
    if (meta) expect(meta->to_value() == *model_.storage_meta, "storage_meta");
    if (meta)
      expect(meta->checkpoint_id() == model_.storage_meta->checkpoint_id &&
                 meta->save_id() == model_.storage_meta->save_id,
             "its texts");
    expect(view_.version() == model_.version, "version");
    expect(text(c_.metadata_class) == model_.metadata_class, "metadata_class");
    expect(text(c_.storage_info_class) == model_.storage_info_class, "storage_info_class");
    expect(c_.source == model_.source, "source");
    expect(c_.fragment_rank == model_.fragment_rank, "fragment_rank");
    std::vector<ModelOpaque> wanted = model_.opaque;
    std::ranges::sort(wanted);
    std::vector<ModelOpaque> actual;
    for (std::size_t i = 0; const auto record = opaque_record(view_, i); ++i) {
      const std::string pickle(reinterpret_cast<const char*>(record->pickle.data()), record->pickle.size());
      actual.push_back({record->kind, record->position, std::string(record->name), pickle});
    }
    expect(actual == wanted, "opaque records");
  }

  MetadataView view_;
  const Columns& c_;
  const Model& model_;
  std::map<Key, const ModelItem*> items_;
  std::string where_;
  std::vector<std::string> differences_;
};

}  // namespace

std::vector<std::string> differences(const MetadataFile& file, const Model& model) {
  return Comparer(file, model).run();
}

}  // namespace flatpoint::test
