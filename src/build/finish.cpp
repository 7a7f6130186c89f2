#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "build/chunk_layout.hpp"
#include "build/draft.hpp"
#include "build/pool.hpp"
#include "format/constants.hpp"
#include "format/encode.hpp"
#include "format/fqn_slots.hpp"

namespace flatpoint::build {
namespace {

ByteColumn bytes_of(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

std::optional<ByteColumn> optional_bytes(const std::optional<std::string_view>& text) {
  return text ? std::optional(bytes_of(*text)) : std::nullopt;
}

/// Texts as a blob and their ends.
class TextBuilder {
 public:
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  [[nodiscard]] TextColumn column() const { return {bytes_of(bytes_), ends_}; }

 private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_;
};

/// Turns a draft into columns, step by step; each step fills members that `columns` then shows as spans.
class Finisher {
 public:
  explicit Finisher(Draft draft) : draft_(std::move(draft)) {}

  Result<Buffer> run() {
    if (auto error = check_limits()) return tl::unexpected(std::move(*error));
    if (auto error = sort_entries()) return tl::unexpected(std::move(*error));
    write_entries();
    write_loose_storage();
    if (sizes_.values().size() > kMaxValues || boxes_.values().size() > kMaxValues || fqns_.size() > format::kMaxFileSize) {
      return fail(ErrorCode::TooLarge, "shapes, boxes or names alone pass the format's limit of 2 GiB");
    }
    write_storage_order();
    write_files();
    write_hints();
    write_planner();
    write_opaque();
    return format::encode(columns());
  }

 private:
  static constexpr std::size_t kMaxValues = format::kMaxFileSize / sizeof(std::int64_t);

  [[nodiscard]] std::size_t row_count() const { return draft_.chunk_files.size(); }
  [[nodiscard]] std::size_t chunk_rows() const { return row_count() - draft_.loose_storage.size(); }

  /// What would not fit the file's 32-bit numbers; the exact size is encode's to check.
  std::optional<Error> check_limits() const {
    const auto too_many = [](const char* what, std::size_t count) {
      return Error{ErrorCode::TooLarge, fmt::format("{} {} pass the format's limit of 2 GiB", count, what)};
    };
    if (draft_.entries.size() > format::kMaxFileSize / sizeof(EntryRow)) return too_many("FQNs", draft_.entries.size());
    if (row_count() > format::kMaxFileSize / sizeof(std::uint32_t)) return too_many("chunks", row_count());
    if (draft_.paths.size() >= std::numeric_limits<std::uint16_t>::max()) return too_many("shapes of planner paths", draft_.paths.size());
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
    entries_.reserve(sorted_.size());
    files_.reserve(row_count());
    offsets_.reserve(row_count());
    row_map_.resize(row_count());
    if (!draft_.chunk_transforms.empty()) transforms_.reserve(row_count());
    for (const std::uint32_t e : sorted_) write_entry(draft_.entries[e]);
  }

  std::uint32_t add_name(std::string_view name) {
    const auto begin = static_cast<std::uint32_t>(fqns_.size());
    fqns_.append(name);
    return begin;
  }

  void write_entry(const DraftEntry& from) {
    EntryRow row{};
    row.fqn_length = static_cast<std::uint32_t>(from.fqn.size());
    row.fqn_begin = add_name(from.fqn);
    row.storage_type = from.type;
    row.chunk_begin = static_cast<std::uint32_t>(files_.size());
    row.chunk_count = from.chunk_count;
    if (from.type == StorageType::Tensor) write_tensor(from, row);
    for (std::uint32_t i = 0; i < from.chunk_count; ++i) {
      const std::uint32_t chunk = layout_in_use_ && !layout_.chunk_of_row().empty() ? layout_.chunk_of_row()[i] : i;
      move_row(from.chunk_begin + chunk);
    }
    write_lengths(from, row);
    entries_.push_back(row);
    layout_in_use_ = false;
  }

  void write_tensor(const DraftEntry& from, EntryRow& row) {
    const std::span all_sizes(draft_.sizes);
    const auto size = all_sizes.subspan(from.size_begin, from.rank);
    const auto boxes = std::span(draft_.boxes).subspan(from.box_begin, std::size_t{2} * from.rank * from.chunk_count);
    row.rank = from.rank;
    row.properties = from.properties;
    row.chunk_layout = ChunkLayout::Explicit;
    if (from.chunk_count > 0) {
      layout_.find(size, boxes, from.chunk_count);
      layout_in_use_ = true;
      row.chunk_layout = layout_.layout();
      row.box_begin = boxes_.add(layout_.values());
      row.reordered = !layout_.order().empty();
      row.order_begin = orders_.add(layout_.order());
    }
    write_size(from, size, boxes, row);
  }

  void write_size(const DraftEntry& from, std::span<const std::int64_t> size, std::span<const std::int64_t> boxes, EntryRow& row) {
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

  /// Moves a row of the draft behind the rows written so far.
  void move_row(std::size_t from) {
    row_map_[from] = static_cast<std::uint32_t>(files_.size());
    const bool stored = draft_.chunk_files[from] != kNoFile;
    files_.push_back(draft_.chunk_files[from]);
    offsets_.push_back(stored ? draft_.chunk_offsets[from] : 0);
    if (!draft_.chunk_transforms.empty()) transforms_.push_back(stored ? draft_.chunk_transforms[from] : std::uint16_t{0});
    any_storage_ |= stored;
  }

  [[nodiscard]] std::uint64_t length_of(std::size_t row) const {
    return draft_.chunk_files[row] != kNoFile ? draft_.chunk_lengths[row] : 0;
  }

  /// One length where all rows share it, else one per row.
  void write_lengths(const DraftEntry& from, EntryRow& row) {
    if (from.chunk_count == 0) return;
    lengths_scratch_.clear();
    bool differ = false;
    for (std::uint32_t i = 0; i < from.chunk_count; ++i) {
      const std::uint32_t chunk = layout_in_use_ && !layout_.chunk_of_row().empty() ? layout_.chunk_of_row()[i] : i;
      lengths_scratch_.push_back(length_of(from.chunk_begin + chunk));
      differ |= lengths_scratch_.back() != lengths_scratch_.front();
    }
    row.lengths_differ = differ;
    row.length_begin = lengths_.add(differ ? std::span<const std::uint64_t>(lengths_scratch_)
                                           : std::span<const std::uint64_t>(lengths_scratch_).first(1));
  }

  void write_loose_storage() {
    const auto& loose = draft_.loose_storage;
    std::vector<std::uint32_t> order(loose.size());
    std::iota(order.begin(), order.end(), 0U);
    const auto offset_of = [&](const DraftLooseStorage& l) { return std::span(draft_.sizes).subspan(l.offset_begin, l.rank); };
    std::sort(order.begin(), order.end(), [&](std::uint32_t i, std::uint32_t j) {
      const auto& a = loose[i];
      const auto& b = loose[j];
      if (a.fqn != b.fqn) return a.fqn < b.fqn;
      if (a.has_offset != b.has_offset) return b.has_offset;
      const auto x = offset_of(a);
      const auto y = offset_of(b);
      return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
    });
    const std::size_t chunks = chunk_rows();
    for (const std::uint32_t i : order) {
      LooseStorageRow row{};
      row.fqn_length = static_cast<std::uint32_t>(loose[i].fqn.size());
      row.fqn_begin = add_name(loose[i].fqn);
      row.has_offset = loose[i].has_offset;
      row.rank = loose[i].rank;
      row.offset_begin = sizes_.add(offset_of(loose[i]));
      const std::uint64_t length = length_of(chunks + i);
      row.length_begin = lengths_.add({&length, 1});
      move_row(chunks + i);
      loose_.push_back(row);
    }
  }

  /// DCP's order, dropped where it is by file, then offset, then row.
  void write_storage_order() {
    storage_order_.reserve(draft_.storage_order.size());
    for (const std::uint32_t row : draft_.storage_order) storage_order_.push_back(row_map_[row]);
    renumber_files();
    const auto before = [&](std::uint32_t a, std::uint32_t b) {
      return std::tuple(files_[a], offsets_[a], a) < std::tuple(files_[b], offsets_[b], b);
    };
    const auto stored = static_cast<std::size_t>(
        std::count_if(files_.begin(), files_.end(), [](std::uint32_t file) { return file != kNoFile; }));
    if (storage_order_.size() == stored && std::is_sorted(storage_order_.begin(), storage_order_.end(), before)) storage_order_.clear();
  }

  /// Numbers files by their first use in storage_data; unused ones are dropped.
  void renumber_files() {
    file_map_.assign(draft_.files.size(), kNoFile);
    std::uint32_t next = 0;
    const auto use = [&](std::uint32_t file) {
      if (file != kNoFile && file_map_[file] == kNoFile) file_map_[file] = next++;
    };
    if (draft_.storage_order.empty()) {
      std::vector<bool> used(draft_.files.size(), false);
      for (const std::uint32_t file : files_) {
        if (file != kNoFile) used[file] = true;
      }
      for (std::uint32_t file = 0; file < used.size(); ++file) {
        if (used[file]) use(file);
      }
    }
    for (const std::uint32_t row : storage_order_) use(files_[row]);
    for (std::uint32_t& file : files_) {
      if (file == kNoFile) continue;
      use(file);
      file = file_map_[file];
    }
    used_files_ = next;
  }

  void write_files() {
    std::vector<std::string_view> names(used_files_);
    for (std::size_t file = 0; file < file_map_.size(); ++file) {
      if (file_map_[file] != kNoFile) names[file_map_[file]] = draft_.files[file];
    }
    for (const std::string_view name : names) file_names_.add(name);
    for (const std::string_view name : draft_.type_names) type_names_.add(name);
    std::uint32_t texts = 0;
    for (const DraftTransformList& list : draft_.transform_lists) {
      for (const std::string_view descriptor : list.descriptors) transform_names_.add(descriptor);
      texts += static_cast<std::uint32_t>(list.descriptors.size());
      transform_lists_.push_back({texts, list.type, {}});
    }
    if (std::all_of(transforms_.begin(), transforms_.end(), [](std::uint16_t list) { return list == 0; })) transforms_.clear();
    if (!any_storage_) {
      offsets_.clear();
      lengths_ = {};
    }
  }

  void write_hints() {
    for (const DraftHint& hint : draft_.hints) hints_.push_back({row_map_[hint.row], hint.known, {}, hint.known ? hint.index : 0});
    std::sort(hints_.begin(), hints_.end(), [](const IndexHintRow& a, const IndexHintRow& b) { return a.row < b.row; });
  }

  void write_planner() {
    if (!draft_.has_planner_data) return;
    std::size_t keys = 0;
    for (const std::uint32_t e : sorted_) {
      const std::uint32_t path = draft_.entries[e].path;
      fqn_paths_.push_back(path == kNoPath ? std::uint16_t{0} : static_cast<std::uint16_t>(path + 1));
      keys += path != kNoPath;
    }
    if (keys == 0) fqn_paths_.clear();
    for (const auto& path : draft_.paths) {
      path_elements_.insert(path_elements_.end(), path.begin(), path.end());
      path_ends_.push_back(static_cast<std::uint32_t>(path_elements_.size()));
    }
    write_planner_order(keys);
  }

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
    std::stable_sort(records.begin(), records.end(), [](const DraftOpaque& a, const DraftOpaque& b) {
      return std::tie(a.kind, a.position, a.name) < std::tie(b.kind, b.position, b.name);
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

  void write_storage_meta(Columns& c) {
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
    c.chunk_files = files_;
    c.chunk_offsets = offsets_;
    c.chunk_lengths = lengths_.values();
    c.chunk_transforms = transforms_;
    c.file_names = file_names_.column();
    c.type_names = type_names_.column();
    c.transform_names = transform_names_.column();
    c.transform_lists = transform_lists_;
    c.has_storage_data = draft_.has_storage_data;
    c.storage_order = storage_order_;
    c.index_hints = hints_;
    c.loose_storage = loose_;
    c.has_planner_data = draft_.has_planner_data;
    c.fqn_paths = fqn_paths_;
    c.path_elements = path_elements_;
    c.path_ends = path_ends_;
    c.planner_order = planner_order_;
    write_storage_meta(c);
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
  std::vector<std::uint32_t> row_map_;    // row of the draft -> row of the file

  ChunkLayoutFinder layout_;
  bool layout_in_use_ = false;
  std::vector<std::int64_t> scratch_;
  std::vector<std::uint64_t> lengths_scratch_;

  std::vector<EntryRow> entries_;
  std::string fqns_;
  std::vector<std::uint32_t> fqn_slots_;
  Pool<std::int64_t> sizes_;
  Pool<std::int64_t> boxes_;
  Pool<std::uint32_t> orders_;
  Pool<std::uint64_t> lengths_;
  std::vector<std::uint32_t> files_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint16_t> transforms_;
  bool any_storage_ = false;
  std::vector<std::uint32_t> file_map_;  // file of the draft -> file
  std::uint32_t used_files_ = 0;
  TextBuilder file_names_;
  TextBuilder type_names_;
  TextBuilder transform_names_;
  std::vector<TransformListRow> transform_lists_;
  std::vector<std::uint32_t> storage_order_;
  std::vector<IndexHintRow> hints_;
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
