#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "build/chunk_layout.hpp"
#include "build/draft.hpp"
#include "build/first_use.hpp"
#include "build/pool.hpp"
#include "build/storage_columns.hpp"
#include "build/text_builder.hpp"
#include "format/constants.hpp"
#include "format/encode.hpp"
#include "format/fqn_slots.hpp"

namespace flatpoint::build {
namespace {

/// Frees a column that is not needed any more.
template <class Column>
void release(Column& column) {
  Column().swap(column);
}

/// Turns a draft into columns, step by step; each step fills members that `columns` then shows as spans.
class Finisher {
 public:
  explicit Finisher(Draft draft) : draft_(std::move(draft)) {}

  Result<Buffer> run() {
    if (auto error = check_limits()) return tl::unexpected(std::move(*error));
    if (auto error = sort_entries()) return tl::unexpected(std::move(*error));
    write_entries();
    if (auto error = write_loose_storage()) return tl::unexpected(std::move(*error));
    if (sizes_.values().size() > kMaxValues || boxes_.values().size() > kMaxValues) {
      return fail(ErrorCode::TooLarge, "shapes or boxes alone pass the format's limit of 2 GiB");
    }
    storage_.finish();
    release(draft_.chunk_files), release(draft_.chunk_offsets), release(draft_.chunk_lengths), release(draft_.chunk_transforms);
    if (auto error = write_planner()) return tl::unexpected(std::move(*error));
    write_opaque();
    return format::encode(columns());
  }

 private:
  static constexpr std::size_t kMaxValues = format::kMaxFileSize / sizeof(std::int64_t);

  /// What would not fit the file's 32-bit numbers; the exact size is encode's to check.
  [[nodiscard]] std::optional<Error> check_limits() const {
    std::uint64_t text = 0;
    for (const DraftEntry& entry : draft_.entries) text += entry.fqn.size();
    for (const DraftLooseStorage& loose : draft_.loose_storage) text += loose.fqn.size();
    std::uint64_t opaque = 0;
    for (const DraftOpaque& record : draft_.opaque) opaque += record.name.size() + record.pickle.size();
    const std::pair<const char*, std::uint64_t> sizes[] = {{"FQNs", draft_.entries.size() * sizeof(EntryRow)},
                                                           {"chunks", draft_.chunk_files.size() * sizeof(std::uint32_t)},
                                                           {"names", text},
                                                           {"opaque records", opaque}};
    for (const auto& [what, bytes] : sizes) {
      if (bytes > format::kMaxFileSize) {
        return Error{ErrorCode::TooLarge, fmt::format("{} alone take {} bytes; the format ends below 2 GiB", what, bytes)};
      }
    }
    return std::nullopt;
  }

  std::optional<Error> sort_entries() {
    const auto& entries = draft_.entries;
    sorted_.resize(entries.size());
    std::iota(sorted_.begin(), sorted_.end(), 0U);
    const auto less = [&](std::uint32_t a, std::uint32_t b) { return entries[a].fqn < entries[b].fqn; };
    if (!std::is_sorted(sorted_.begin(), sorted_.end(), less)) {
      std::sort(sorted_.begin(), sorted_.end(), less);
      fqn_order_.resize(entries.size());
      for (std::uint32_t position = 0; position < sorted_.size(); ++position) fqn_order_[sorted_[position]] = position;
    }
    const auto same = [&](std::uint32_t a, std::uint32_t b) { return entries[a].fqn == entries[b].fqn; };
    const auto twice = std::adjacent_find(sorted_.begin(), sorted_.end(), same);
    if (twice == sorted_.end()) return std::nullopt;
    return Error{ErrorCode::Conflict, fmt::format("FQN '{}' is declared twice", entries[*twice].fqn)};
  }

  void write_entries() {
    FirstUse type_names(draft_.type_names, std::less<>());
    entries_.reserve(sorted_.size());
    for (const std::uint32_t e : sorted_) write_entry(draft_.entries[e], type_names);
    for (const std::uint32_t name : type_names.used()) type_names_.add(draft_.type_names[name]);
    release(draft_.boxes);
  }

  std::uint32_t add_name(std::string_view name) {
    const auto begin = static_cast<std::uint32_t>(fqns_.size());
    fqns_.append(name);
    return begin;
  }

  void write_entry(const DraftEntry& from, FirstUse& type_names) {
    EntryRow row{};
    row.fqn_length = static_cast<std::uint32_t>(from.fqn.size());
    row.fqn_begin = add_name(from.fqn);
    row.storage_type = from.type;
    DraftRows rows{from.chunk_begin, from.chunk_count, {}, {}, 0};
    if (from.type == StorageType::Tensor) {
      row.rank = from.rank;
      row.properties = canonical(from.properties, type_names);
      rows.rank = from.rank;
      rows.boxes = std::span(draft_.boxes).subspan(from.box_begin, std::size_t{2} * from.rank * from.chunk_count);
      rows.chunk_of_row = write_boxes(from, rows.boxes, row);
      write_size(from, rows.boxes, row);
    }
    if (from.type != StorageType::Tensor && !storage_.is_stored(from)) rows.count = 0;
    storage_.add(rows);
    row.chunk_begin = storage_.row_begin();
    row.chunk_count = rows.count;
    row.length_begin = storage_.length_begin();
    row.lengths_differ = storage_.lengths_differ();
    entries_.push_back(row);
  }

  /// Properties that are equal as facts, equal as bytes.
  static TensorPropertiesRow canonical(TensorPropertiesRow properties, FirstUse& type_names) {
    const auto name = [&](bool used, std::uint16_t i) { return used ? static_cast<std::uint16_t>(type_names.number(i)) : std::uint16_t{0}; };
    properties.dtype_name = name(properties.dtype == ScalarType::Other, properties.dtype_name);
    properties.layout_name = name(properties.layout == Layout::Other, properties.layout_name);
    properties.requires_grad = properties.requires_grad != 0;
    properties.pin_memory = properties.pin_memory != 0;
    return properties;
  }

  /// Returns the order of the rows: the chunk of each, empty where DCP's order is theirs.
  std::span<const std::uint32_t> write_boxes(const DraftEntry& from, std::span<const std::int64_t> boxes, EntryRow& row) {
    row.chunk_layout = ChunkLayout::Explicit;
    if (from.chunk_count == 0) return {};
    layout_.find(std::span(draft_.sizes).subspan(from.size_begin, from.rank), boxes, from.chunk_count);
    row.chunk_layout = layout_.layout();
    row.box_begin = boxes_.add(layout_.values());
    row.reordered = !layout_.order().empty();
    row.order_begin = orders_.add(layout_.order());
    return layout_.chunk_of_row();
  }

  void write_size(const DraftEntry& from, std::span<const std::int64_t> boxes, EntryRow& row) {
    const auto size = std::span<const std::int64_t>(draft_.sizes).subspan(from.size_begin, from.rank);
    scratch_.assign(size.begin(), size.end());
    if (from.properties.strides == StridesKind::Explicit) {
      const auto strides = std::span<const std::int64_t>(draft_.sizes).subspan(from.strides_begin, from.rank);
      const auto first_sizes = from.chunk_count > 0 ? boxes.subspan(from.rank, from.rank) : size;
      if (std::ranges::equal(strides, contiguous_strides(first_sizes))) {
        row.properties.strides = StridesKind::Contiguous;
      } else {
        scratch_.insert(scratch_.end(), strides.begin(), strides.end());
      }
    }
    row.size_begin = sizes_.add(scratch_);
  }

  /// What storage_data says of no chunk, sorted by its key.
  std::optional<Error> write_loose_storage() {
    const auto& loose = draft_.loose_storage;
    const auto offset_of = [&](std::size_t i) {
      return std::span<const std::int64_t>(draft_.sizes).subspan(loose[i].offset_begin, loose[i].has_offset ? loose[i].rank : 0);
    };
    const auto less = [&](std::uint32_t a, std::uint32_t b) {
      if (loose[a].fqn != loose[b].fqn) return loose[a].fqn < loose[b].fqn;
      if (loose[a].has_offset != loose[b].has_offset) return loose[b].has_offset;
      return std::ranges::lexicographical_compare(offset_of(a), offset_of(b));
    };
    std::vector<std::uint32_t> order(loose.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), less);
    const std::size_t chunk_rows = draft_.chunk_files.size() - loose.size();
    for (std::size_t i = 0; i < order.size(); ++i) {
      const DraftLooseStorage& from = loose[order[i]];
      if (i > 0 && !less(order[i - 1], order[i])) {
        return Error{ErrorCode::Conflict, fmt::format("storage information of FQN '{}' is declared twice for one offset", from.fqn)};
      }
      storage_.add({chunk_rows + order[i], 1, {}, {}, 0});
      LooseStorageRow row{};
      row.fqn_length = static_cast<std::uint32_t>(from.fqn.size());
      row.fqn_begin = add_name(from.fqn);
      row.has_offset = from.has_offset;
      row.rank = from.has_offset ? from.rank : std::uint8_t{0};
      row.offset_begin = sizes_.add(offset_of(order[i]));
      row.length_begin = storage_.length_begin();
      loose_.push_back(row);
    }
    return std::nullopt;
  }

  std::optional<Error> write_planner() {
    if (!draft_.has_planner_data) return std::nullopt;
    FirstUse paths(draft_.paths, [](const auto& a, const auto& b) {
      return std::ranges::lexicographical_compare(a, b, {}, &path_key, &path_key);
    });
    std::size_t keys = 0;
    fqn_paths_.reserve(sorted_.size());
    for (const std::uint32_t e : sorted_) {
      const std::uint32_t path = draft_.entries[e].path;
      keys += path != kNoPath;
      fqn_paths_.push_back(path == kNoPath ? std::uint16_t{0} : static_cast<std::uint16_t>(paths.number(path) + 1));
    }
    if (paths.used().size() > kMaxPaths) {
      return Error{ErrorCode::TooLarge, fmt::format("{} shapes of planner paths; the format holds {}", paths.used().size(), kMaxPaths)};
    }
    if (keys == 0) fqn_paths_.clear();
    for (const std::uint32_t path : paths.used()) {
      path_elements_.insert(path_elements_.end(), draft_.paths[path].begin(), draft_.paths[path].end());
      path_ends_.push_back(static_cast<std::uint32_t>(path_elements_.size()));
    }
    write_planner_order(keys);
    return std::nullopt;
  }

  static constexpr std::size_t kMaxPaths = 0xFFFF;
  static std::pair<std::uint16_t, std::uint8_t> path_key(const PathElementRow& element) { return {element.components, element.is_index}; }

  /// Dropped where it is the order of state_dict_metadata.
  void write_planner_order(std::size_t keys) {
    if (draft_.planner_order.empty()) return;
    std::size_t i = 0;
    for (std::uint32_t e = 0; e < draft_.entries.size() && i < keys; ++e) {
      if (draft_.entries[e].path == kNoPath) continue;
      if (draft_.planner_order[i] != e) break;
      ++i;
    }
    if (i == keys) return;
    for (const std::uint32_t e : draft_.planner_order) planner_order_.push_back(fqn_order_.empty() ? e : fqn_order_[e]);
  }

  void write_opaque() {
    auto& records = draft_.opaque;
    std::sort(records.begin(), records.end(), [](const DraftOpaque& a, const DraftOpaque& b) {
      return std::tie(a.kind, a.position, a.name, a.pickle) < std::tie(b.kind, b.position, b.name, b.pickle);
    });
    for (const DraftOpaque& record : records) {
      OpaqueRecordRow row{};
      row.kind = record.kind;
      row.position = record.position;
      row.name_begin = static_cast<std::uint32_t>(opaque_names_.size());
      row.name_length = static_cast<std::uint32_t>(record.name.size());
      row.pickle_begin = static_cast<std::uint32_t>(opaque_pickles_.size());
      row.pickle_length = static_cast<std::uint32_t>(record.pickle.size());
      opaque_names_.append(record.name);
      opaque_pickles_.append(record.pickle);
      opaque_.push_back(row);
    }
  }

  void show_storage_meta(Columns& c) {
    if (!draft_.storage_meta) return;
    const DraftStorageMeta& meta = *draft_.storage_meta;
    for (const std::string_view module : meta.modules) modules_.add(module);
    c.storage_meta = StorageMetaColumns{optional_bytes(meta.checkpoint_id), meta.checkpoint_id_type, optional_bytes(meta.save_id),
                                        optional_bytes(meta.load_id), meta.has_modules, modules_.column()};
  }

  Columns columns() {
    Columns c;
    c.fragment_rank = draft_.fragment_rank;
    c.entries = entries_;
    c.fqns = bytes_of(fqns_);
    fqn_slots_ = format::make_fqn_slots(static_cast<std::uint32_t>(entries_.size()), [&](std::uint32_t i) {
      return std::string_view(fqns_).substr(entries_[i].fqn_begin, entries_[i].fqn_length);
    });
    c.fqn_slots = fqn_slots_;
    c.fqn_order = fqn_order_;
    c.sizes = sizes_.values();
    c.boxes = boxes_.values();
    c.chunk_order = orders_.values();
    c.type_names = type_names_.column();
    storage_.show(c);
    c.loose_storage = loose_;
    c.has_planner_data = draft_.has_planner_data;
    c.fqn_paths = fqn_paths_;
    c.path_elements = path_elements_;
    c.path_ends = path_ends_;
    c.planner_order = planner_order_;
    show_storage_meta(c);
    c.version = optional_bytes(draft_.version);
    c.opaque = opaque_;
    c.opaque_names = bytes_of(opaque_names_);
    c.opaque_pickles = bytes_of(opaque_pickles_);
    c.metadata_class = optional_bytes(draft_.metadata_class);
    c.storage_info_class = optional_bytes(draft_.storage_info_class);
    c.source = draft_.source;
    return c;
  }

  Draft draft_;
  std::vector<std::uint32_t> sorted_;     // position -> entry of the draft
  std::vector<std::uint32_t> fqn_order_;  // entry of the draft -> position; empty where equal

  ChunkLayoutFinder layout_;
  StorageColumns storage_{draft_};
  std::vector<std::int64_t> scratch_;

  std::vector<EntryRow> entries_;
  std::string fqns_;
  std::vector<std::uint32_t> fqn_slots_;
  Pool<std::int64_t> sizes_;
  Pool<std::int64_t> boxes_;
  Pool<std::uint32_t> orders_;
  TextBuilder type_names_;
  std::vector<LooseStorageRow> loose_;
  std::vector<std::uint16_t> fqn_paths_;
  std::vector<PathElementRow> path_elements_;
  std::vector<std::uint32_t> path_ends_;
  std::vector<std::uint32_t> planner_order_;
  TextBuilder modules_;
  std::vector<OpaqueRecordRow> opaque_;
  std::string opaque_names_;
  std::string opaque_pickles_;
};

}  // namespace

Result<Buffer> finish(Draft&& draft) { return Finisher(std::move(draft)).run(); }

}  // namespace flatpoint::build
