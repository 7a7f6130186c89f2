#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "support/model.hpp"

namespace flatpoint::test {
namespace {

using write::Draft;
using write::DraftEntry;

/// Decides what is no fact. Without a generator: the plain way.
class Layouter {
 public:
  explicit Layouter(std::mt19937_64* random) : random_(random) {}

  /// True once in n.
  [[nodiscard]] bool sometimes(std::uint64_t n) const { return random_ != nullptr && (*random_)() % n == 0; }
  template <class Column>
  void shuffle(Column& column) const {
    if (random_ != nullptr) std::shuffle(column.begin(), column.end(), *random_);
  }
  [[nodiscard]] std::vector<std::uint32_t> order(std::size_t count) const {
    std::vector<std::uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    shuffle(order);
    return order;
  }
  /// Appends a range, or finds it where it stands already; sometimes behind values that nothing refers to.
  template <class Column, class Range>
  std::size_t put(Column& column, const Range& range) const {
    if (random_ == nullptr || !sometimes(3)) {
      const auto found = std::search(column.begin(), column.end(), range.begin(), range.end());
      if (found != column.end()) return static_cast<std::size_t>(found - column.begin());
    }
    if (sometimes(4)) column.push_back(-77);
    const std::size_t begin = column.size();
    column.insert(column.end(), range.begin(), range.end());
    return begin;
  }

 private:
  std::mt19937_64* random_;
};

/// A list of the draft in some order, with items that nothing uses and items that are there twice.
template <class T>
class ListNumbers {
 public:
  ListNumbers(std::vector<T> items, const T& unused, const Layouter& layout, bool duplicates)
      : items_(std::move(items)) {
    if (duplicates && !items_.empty() && layout.sometimes(2)) items_.push_back(items_.front());
    if (layout.sometimes(2)) items_.push_back(unused);
    layout.shuffle(items_);
  }
  [[nodiscard]] std::uint32_t number(const T& item) {
    std::vector<std::uint32_t> found;
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
      if (items_[i] == item) found.push_back(i);
    }
    return found.at(next_++ % found.size());  // of equal ones, each in turn
  }
  [[nodiscard]] const std::vector<T>& items() const { return items_; }

 private:
  std::vector<T> items_;
  std::size_t next_ = 0;
};

template <class T>
void add_distinct(std::vector<T>& items, const T& item) {
  if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
}

using Transforms = std::pair<SequenceType, std::vector<std::string>>;

class DraftMaker {
 public:
  DraftMaker(const Model& model, std::mt19937_64* random)
      : model_(model),
        layout_(random),
        types_(type_names(), "unused", layout_, true),
        paths_(paths(), {{7, 0, 0}}, layout_, true),
        transforms_(transforms(), {SequenceType::Tuple, {"unused"}}, layout_, true) {}

  Draft run() {
    draft_.fragment_rank = model_.fragment_rank;
    for (const std::string& name : types_.items()) draft_.type_names.push_back(keep(name));
    draft_.paths = paths_.items();
    for (const auto& [type, descriptors] : transforms_.items()) {
      auto& list = draft_.transform_lists.emplace_back();
      list.type = type;
      for (const std::string& text : descriptors) list.descriptors.push_back(keep(text));
    }
    for (const ModelEntry& entry : model_.entries) add_entry(entry);
    place_rows();
    add_storage();
    add_planner();
    add_rest();
    return std::move(draft_);
  }

 private:
  std::vector<std::string> type_names() const {
    std::vector<std::string> names;
    for (const ModelEntry& entry : model_.entries) {
      if (entry.properties.dtype == ScalarType::Other) add_distinct(names, entry.properties.dtype_name);
      if (entry.properties.layout == Layout::Other) add_distinct(names, entry.properties.layout_name);
    }
    return names;
  }
  std::vector<std::vector<PathElementRow>> paths() const {
    std::vector<std::vector<PathElementRow>> paths;
    for (const ModelEntry& entry : model_.entries) {
      if (entry.path) add_distinct(paths, *entry.path);
    }
    return paths;
  }
  std::vector<Transforms> transforms() const {
    std::vector<Transforms> lists;
    if (!model_.storage_data) return lists;
    for (const ModelItem& item : *model_.storage_data) {
      if (item.info.transform_descriptors)
        add_distinct(lists, Transforms(item.transforms_type, *item.info.transform_descriptors));
    }
    return lists;
  }

  /// The draft's texts live in the model, or here: the draft is used while the maker's texts are kept by the caller.
  std::string_view keep(const std::string& text) { return *texts().insert(text).first; }
  static std::set<std::string>& texts() {
    thread_local std::set<std::string> texts;
    return texts;
  }

  void add_entry(const ModelEntry& from) {
    DraftEntry entry;
    entry.fqn = from.fqn;
    entry.type = from.type;
    if (from.path) entry.path = paths_.number(*from.path);
    if (from.type == StorageType::Tensor) {
      entry.ndim = static_cast<std::uint8_t>(from.size.size());
      entry.size_begin = layout_.put(draft_.sizes, from.size);
      Size boxes;
      for (const ChunkStorageMetadata& chunk : from.chunks) {
        boxes.insert(boxes.end(), chunk.offsets.begin(), chunk.offsets.end());
        boxes.insert(boxes.end(), chunk.sizes.begin(), chunk.sizes.end());
      }
      entry.box_begin = layout_.put(draft_.boxes, boxes);
      entry.chunk_count = static_cast<std::uint32_t>(from.chunks.size());
      add_properties(from, entry);
    } else if (from.type == StorageType::Bytes) {
      const bool stored =
          model_.storage_data && std::any_of(model_.storage_data->begin(), model_.storage_data->end(),
                                             [&](const ModelItem& i) { return i.fqn == from.fqn && !i.offset; });
      entry.chunk_count = stored || !layout_.sometimes(2) ? 1 : 0;
    }
    draft_.entries.push_back(entry);
  }

  void add_properties(const ModelEntry& from, DraftEntry& entry) {
    const TensorProperties& p = from.properties;
    TensorPropertiesRow& row = entry.properties;
    row.dtype = p.dtype;
    row.layout = p.layout;
    row.memory_format = p.memory_format;
    row.requires_grad = p.requires_grad ? (layout_.sometimes(2) ? 0xFF : 1) : 0;
    row.pin_memory = p.pin_memory;
    row.dtype_name = layout_.sometimes(2) ? 7 : 0;  // means nothing unless dtype is Other
    if (p.dtype == ScalarType::Other) row.dtype_name = static_cast<std::uint16_t>(types_.number(p.dtype_name));
    if (p.layout == Layout::Other) row.layout_name = static_cast<std::uint16_t>(types_.number(p.layout_name));
    if (!p.strides) return;
    const bool contiguous = *p.strides == contiguous_strides(from.chunks.empty() ? from.size : from.chunks[0].sizes);
    if (contiguous && layout_.sometimes(2)) {
      row.strides = StridesKind::Contiguous;
      return;
    }
    row.strides = StridesKind::Explicit;
    entry.strides_begin = layout_.put(draft_.sizes, *p.strides);
  }

  /// Entries' rows, in any order of the entries.
  void place_rows() {
    std::size_t row = 0;
    for (const std::uint32_t e : layout_.order(draft_.entries.size())) {
      draft_.entries[e].chunk_begin = row;
      row += draft_.entries[e].chunk_count;
    }
    resize_rows(row);
  }

  void resize_rows(std::size_t rows) {
    draft_.rows.files.resize(rows, kNoFile);
    draft_.rows.byte_offsets.resize(rows, layout_.sometimes(2) ? 5 : 0);  // means nothing without a file
    draft_.rows.lengths.resize(rows, layout_.sometimes(2) ? 6 : 0);
    if (!transforms_.items().empty()) draft_.rows.transforms.resize(rows, 0);
  }

  void add_storage() {
    if (!model_.storage_data) return;
    draft_.has_storage_data = true;
    const std::vector<ModelItem>& items = *model_.storage_data;
    const bool implied = order_is_implied(items) && !layout_.sometimes(2);
    std::vector<std::string> names;
    for (const ModelItem& item : items) add_distinct(names, item.info.relative_path);
    ListNumbers<std::string> files(names, "unused", implied ? Layouter(nullptr) : layout_, true);
    for (const std::string& name : files.items()) draft_.files.push_back(keep(name));

    std::vector<std::size_t> loose;
    std::vector<std::size_t> row_of_item(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto chunk = model_.chunk_of(items[i]);
      if (!chunk) {
        loose.push_back(i);
      } else {
        row_of_item[i] = draft_.entries[chunk->first].chunk_begin + chunk->second;
      }
    }
    layout_.shuffle(loose);
    for (const std::size_t i : loose) row_of_item[i] = add_loose(items[i]);
    for (std::size_t i = 0; i < items.size(); ++i) {
      place(items[i], row_of_item[i], files);
      place_repeats(items[i], files);
      if (items[i].index == model_.usual_index(items[i])) continue;
      const std::int64_t index = items[i].index.value_or(layout_.sometimes(2) ? 9 : 0);
      draft_.hints.push_back({static_cast<std::uint32_t>(row_of_item[i]), items[i].index.has_value(), index});
    }
    if (!implied) draft_.storage_order.assign(row_of_item.begin(), row_of_item.end());
    layout_.shuffle(draft_.hints);
  }

  std::size_t add_loose(const ModelItem& item) {
    write::DraftLooseStorage loose;
    loose.fqn = item.fqn;
    loose.has_offset = item.offset.has_value();
    if (item.offset) {
      loose.ndim = static_cast<std::uint8_t>(item.offset->size());
      loose.offset_begin = layout_.put(draft_.sizes, *item.offset);
    }
    draft_.loose_storage.push_back(loose);
    resize_rows(draft_.rows.files.size() + 1);
    return draft_.rows.files.size() - 1;
  }

  void place(const ModelItem& item, std::size_t row, ListNumbers<std::string>& files) {
    draft_.rows.files[row] = files.number(item.info.relative_path);
    draft_.rows.byte_offsets[row] = item.info.offset;
    draft_.rows.lengths[row] = item.info.length;
    if (item.info.transform_descriptors) {
      const auto list = transforms_.number({item.transforms_type, *item.info.transform_descriptors});
      draft_.rows.transforms[row] = static_cast<std::uint16_t>(list + 1);
    }
  }

  /// Further chunks with the same key may say the same, or nothing.
  void place_repeats(const ModelItem& item, ListNumbers<std::string>& files) {
    const auto first = model_.chunk_of(item);
    if (!first || !item.offset) return;
    const auto& chunks = model_.entries[first->first].chunks;
    for (std::size_t c = first->second + 1; c < chunks.size(); ++c) {
      if (chunks[c].offsets == *item.offset && layout_.sometimes(2))
        place(item, draft_.entries[first->first].chunk_begin + c, files);
    }
  }

  /// Whether the order of storage_data is by first use of its files, then strictly by offset.
  static bool order_is_implied(const std::vector<ModelItem>& items) {
    std::map<std::string, std::size_t> files;
    const auto key = [&](const ModelItem& item) {
      return std::pair(files.emplace(item.info.relative_path, files.size()).first->second, item.info.offset);
    };
    for (std::size_t i = 1; i < items.size(); ++i) {
      const auto before = key(items[i - 1]);
      if (!(before < key(items[i]))) return false;
    }
    return true;
  }

  void add_planner() {
    if (!model_.planner_data) return;
    draft_.has_planner_data = true;
    const bool usual = std::is_sorted(model_.planner_data->begin(), model_.planner_data->end());
    if (!usual || layout_.sometimes(2)) draft_.planner_order = *model_.planner_data;
  }

  void add_rest() {
    const auto optional = [&](const std::optional<std::string>& text) {
      return text ? std::optional<std::string_view>(*text) : std::nullopt;
    };
    if (const auto& from = model_.storage_meta) {
      auto& meta = draft_.storage_meta.emplace();
      meta.checkpoint_id = optional(from->checkpoint_id);
      meta.checkpoint_id_type = from->checkpoint_id_type;
      meta.save_id = optional(from->save_id);
      meta.load_id = optional(from->load_id);
      meta.has_modules = from->modules.has_value();
      if (from->modules) meta.modules.assign(from->modules->begin(), from->modules->end());
    }
    draft_.version = optional(model_.version);
    for (const ModelOpaque& o : model_.opaque) draft_.opaque.push_back({o.kind, o.position, o.name, o.pickle});
    layout_.shuffle(draft_.opaque);
    draft_.metadata_class = optional(model_.metadata_class);
    draft_.storage_info_class = optional(model_.storage_info_class);
    draft_.source = model_.source;
  }

  const Model& model_;
  Layouter layout_;
  ListNumbers<std::string> types_;
  ListNumbers<std::vector<PathElementRow>> paths_;
  ListNumbers<Transforms> transforms_;
  Draft draft_;
};

}  // namespace

Draft to_draft(const Model& model, std::mt19937_64* layout) { return DraftMaker(model, layout).run(); }

}  // namespace flatpoint::test
