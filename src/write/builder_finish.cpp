// From what a builder was told, in any order, to entries in the file's order.

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "format/constants.hpp"
#include "write/assembler.hpp"
#include "write/builder_state.hpp"
#include "write/chunk_check.hpp"

namespace flatpoint::write {
namespace {

/// Numbers 0 ... count - 1 in an order.
template <class Less>
std::vector<std::uint32_t> sorted_numbers(std::size_t count, Less&& less) {
  std::vector<std::uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0U);
  if (!std::is_sorted(numbers.begin(), numbers.end(), less)) std::sort(numbers.begin(), numbers.end(), less);
  return numbers;
}

/// The inverse: where each number stands.
std::vector<std::uint32_t> positions_of(std::span<const std::uint32_t> numbers) {
  std::vector<std::uint32_t> positions(numbers.size());
  for (std::uint32_t i = 0; i < numbers.size(); ++i) positions[numbers[i]] = i;
  return positions;
}

/// The rows of one entry.
struct Rows {
  std::span<const std::int64_t> boxes;  // offsets, then sizes, per row
  StoredColumns stored;
  std::span<const std::uint32_t> ranks;
};

/// The same with memory of their own.
struct OwnedRows {
  std::vector<std::int64_t> boxes;
  columns::StoredRows stored;
  std::vector<std::uint32_t> ranks;

  void clear() { boxes.clear(), stored.clear(), ranks.clear(); }
  operator Rows() const { return {boxes, stored, ranks}; }
};

class BuilderFinish {
 public:
  explicit BuilderFinish(BuilderState& state) : s_(state) {}

  Result<Buffer> run() {
    if (s_.fragment_rank < -1) return fail(ErrorCode::InvalidArgument, "a fragment's rank must lie below 2^31");
    if (s_.rows.size() > format::kMaxFileSize / sizeof(std::uint32_t)) {
      return fail(ErrorCode::TooLarge, fmt::format("{} chunks pass the format's limit of 2 GiB", s_.rows.size()));
    }
    return check_data().and_then([&] { return sort_entries(); }).and_then([&] { return assign_paths(); }).and_then([&] {
      return assemble();
    });
  }

 private:
  /// What can be told of begins and checksums when all is said: ranges lie in their files, a CRC-32 has 32 bits.
  Result<void> check_data() {
    for (std::size_t i = 0; i < s_.rows.data_begins.size() && !s_.file_facts.empty(); ++i) {
      const columns::StoredRow row = s_.rows[i];
      if (!row.is_stored() || row.data_begin == kNoDataBegin || row.file >= s_.file_facts.size()) continue;
      const auto& facts = s_.file_facts[row.file];
      if (!facts || !facts->length || base::in_range(row.byte_offset, row.length, *facts->length)) continue;
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("data file '{}' has {} bytes, a range of {} bytes at {} ends outside",
                              s_.file_names[row.file], *facts->length, row.length, row.byte_offset));
    }
    if (s_.checksum_kind != ChecksumKind::Crc32) return {};
    for (const std::uint64_t checksum : s_.rows.checksums) {
      if (checksum > 0xFFFFFFFF && checksum != kNoChecksum)
        return fail(ErrorCode::InvalidArgument, fmt::format("{:x} is no CRC-32: it has more than 32 bits", checksum));
    }
    return {};
  }

  Result<void> sort_entries() {
    const auto& entries = s_.entries;
    order_ = sorted_numbers(entries.size(),
                            [&](std::uint32_t a, std::uint32_t b) { return entries[a].fqn < entries[b].fqn; });
    for (std::size_t i = 1; i < order_.size(); ++i) {
      if (entries[order_[i - 1]].fqn == entries[order_[i]].fqn)
        return declared_twice(entries[order_[i - 1]], entries[order_[i]]);
    }
    return {};
  }

  tl::unexpected<Error> declared_twice(const BuilderEntry& a, const BuilderEntry& b) const {
    std::string first = describe(a);
    std::string second = describe(b);
    if (second < first) std::swap(first, second);
    return fail(ErrorCode::Conflict, first == second
                                         ? fmt::format("FQN '{}' is declared twice, as {}", a.fqn, first)
                                         : fmt::format("FQN '{}' is declared as {} and as {}", a.fqn, first, second));
  }

  std::string describe(const BuilderEntry& entry) const {
    if (entry.type != StorageType::Tensor) return "bytes";
    const auto dtype = entry.properties.dtype == ScalarType::Other ? s_.type_names[entry.properties.dtype_name]
                                                                   : name_of(entry.properties.dtype);
    return fmt::format("a {} tensor of size {}", dtype, columns::to_string(size_of(entry)));
  }

  std::span<const std::int64_t> size_of(const BuilderEntry& entry) const {
    return std::span(std::as_const(s_.sizes)).subspan(entry.size_begin, entry.ndim);
  }

  /// Gives each entry its planner path. Both lists are walked in the order of the FQNs.
  Result<void> assign_paths() {
    auto& paths = s_.planner_paths;
    path_of_.assign(paths.empty() ? 0 : s_.entries.size(), kNoPath);
    std::sort(paths.begin(), paths.end());
    std::size_t entry = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const auto& [fqn, path] = paths[i];
      if (i > 0 && paths[i - 1].first == fqn && paths[i - 1].second != path) {
        return fail(ErrorCode::Conflict, fmt::format("FQN '{}' has two planner paths", fqn));
      }
      while (entry < order_.size() && s_.entries[order_[entry]].fqn < fqn) ++entry;
      if (entry == order_.size() || s_.entries[order_[entry]].fqn != fqn) {
        return fail(ErrorCode::InvalidArgument, fmt::format("FQN '{}' has a planner path, but is not declared", fqn));
      }
      path_of_[order_[entry]] = path;
    }
    return {};
  }

  /// Files in the file's order: by the lowest rank that writes into them, then name.
  void sort_files() {
    std::vector<std::uint32_t> lowest_rank = s_.file_ranks;
    lowest_rank.resize(s_.file_names.size(), BuilderState::kNobody);
    for (std::size_t row = 0; row < s_.ranks.size(); ++row) {
      const std::uint32_t file = s_.rows.files[row];
      if (file != kNoFile) lowest_rank[file] = std::min(lowest_rank[file], s_.ranks[row]);
    }
    file_order_ = sorted_numbers(lowest_rank.size(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tie(lowest_rank[a], s_.file_names[a]) < std::tie(lowest_rank[b], s_.file_names[b]);
    });
    file_position_ = positions_of(file_order_);
  }

  void sort_transforms() {
    const auto& lists = s_.transform_lists;
    transform_position_ = positions_of(sorted_numbers(lists.size(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tie(lists[a].descriptors, lists[a].type) < std::tie(lists[b].descriptors, lists[b].type);
    }));
  }

  /// Rows by entry: those of entry e are rows_of_[first_rows_[e] .. first_rows_[e + 1]), in call order.
  void group_rows() {
    first_rows_.assign(s_.entries.size() + 1, 0);
    for (const BuilderRows& rows : s_.blocks) ++first_rows_[rows.entry + 1];
    std::partial_sum(first_rows_.begin(), first_rows_.end(), first_rows_.begin());
    rows_of_.resize(s_.blocks.size());
    std::vector<std::uint32_t> next(first_rows_.begin(), first_rows_.end() - 1);
    for (std::uint32_t i = 0; i < s_.blocks.size(); ++i) rows_of_[next[s_.blocks[i].entry]++] = i;
  }

  Result<Buffer> assemble() {
    sort_files();
    sort_transforms();
    group_rows();
    assembler_.reserve(s_.entries.size(), s_.rows.size(), s_.boxes.size());
    for (const std::uint32_t entry : order_) {
      RETURN_IF_ERROR(add(entry));
    }
    auto attributes = make_attributes();
    release_columns();
    return std::move(assembler_).finish(std::move(attributes), {}, file_order_);
  }

  Result<void> add(std::uint32_t number) {
    const BuilderEntry& entry = s_.entries[number];
    const auto blocks =
        std::span(std::as_const(rows_of_)).subspan(first_rows_[number], first_rows_[number + 1] - first_rows_[number]);
    EntryParts parts;
    parts.fqn = entry.fqn;
    parts.type = entry.type;
    parts.path = path_of_.empty() ? kNoPath : path_of_[number];
    parts.properties = entry.properties;
    parts.size = size_of(entry);
    if (entry.properties.strides == StridesKind::Explicit) {
      parts.strides = std::span(std::as_const(s_.sizes)).subspan(entry.strides_begin, entry.ndim);
    }
    gather(entry, blocks);
    const Rows rows = in_order(std::size_t{2} * entry.ndim);
    parts.boxes = rows.boxes;
    parts.rows = rows.stored;
    assembler_.add(parts);
    return s_.is_strict() ? check_conflicts(parts) : Result<void>();
  }

  void gather(const BuilderEntry& entry, std::span<const std::uint32_t> blocks) {
    const std::size_t box_values = std::size_t{2} * entry.ndim;
    if (blocks.size() == 1) {  // they lie together already
      const BuilderRows& block = s_.blocks[blocks[0]];
      rows_ = {std::span(std::as_const(s_.boxes)).subspan(block.box_begin, box_values * block.count),
               s_.rows.part(block.begin, block.count), ranks_of(block)};
      return;
    }
    gathered_.clear();
    for (const std::uint32_t block : blocks) {
      const BuilderRows& of = s_.blocks[block];
      const std::int64_t* const boxes = s_.boxes.data() + of.box_begin;
      gathered_.boxes.insert(gathered_.boxes.end(), boxes, boxes + box_values * of.count);
      gathered_.stored.append(s_.rows.part(of.begin, of.count), of.count);
      const auto ranks = ranks_of(of);
      gathered_.ranks.insert(gathered_.ranks.end(), ranks.begin(), ranks.end());
    }
    rows_ = gathered_;
  }

  [[nodiscard]] std::span<const std::uint32_t> ranks_of(const BuilderRows& of) const {
    return s_.ranks.empty() ? std::span<const std::uint32_t>() : std::span(s_.ranks).subspan(of.begin, of.count);
  }

  [[nodiscard]] std::uint32_t rank_of(std::size_t row) const {
    return rows_.ranks.empty() ? s_.rank_of_file(rows_.stored.files[row]) : rows_.ranks[row];
  }

  /// Negative, zero or positive, as row a of the gathered ones comes before, with or behind row b. What is equal in all
  /// of this is equal in the file.
  int compare(std::size_t a, std::size_t b, std::size_t box_values) const {
    if (rank_of(a) != rank_of(b)) return rank_of(a) < rank_of(b) ? -1 : 1;
    const std::int64_t* x = rows_.boxes.data() + a * box_values;
    const std::int64_t* y = rows_.boxes.data() + b * box_values;
    for (std::size_t i = 0; i < box_values; ++i) {
      if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    }
    const auto rest = [&](std::size_t i) {
      const columns::StoredRow row = columns::row_at(rows_.stored, i);
      return std::tuple(row.is_stored() ? std::uint64_t{file_position_[row.file]} : kNoFile,
                        row.is_stored() ? row.byte_offset : 0, row.is_stored() ? row.length : 0,
                        row.transforms == 0 ? 0 : transform_position_[row.transforms - 1U] + 1, row.data_begin,
                        row.checksum);
    };
    const auto order = rest(a) <=> rest(b);
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }

  /// The gathered rows by rank, then box.
  Rows in_order(std::size_t box_values) {
    const std::size_t n = rows_.stored.files.size();
    std::size_t sorted = 1;
    while (sorted < n && compare(sorted - 1, sorted, box_values) <= 0) ++sorted;
    if (sorted >= n) return rows_;
    const auto order =
        sorted_numbers(n, [&](std::uint32_t a, std::uint32_t b) { return compare(a, b, box_values) < 0; });
    ordered_.clear();
    ordered_.stored.assign(rows_.stored, order);
    for (const std::uint32_t row : order) {
      const auto box = rows_.boxes.subspan(row * box_values, box_values);
      ordered_.boxes.insert(ordered_.boxes.end(), box.begin(), box.end());
    }
    return ordered_;
  }

  Result<void> check_conflicts(const EntryParts& parts) {
    if (parts.type != StorageType::Tensor || parts.row_count() < 2) return {};
    const auto& layout = assembler_.layout();
    auto conflict = layout.equal_offsets();
    if (!conflict)
      conflict = check_chunks(layout, parts.size, static_cast<std::uint32_t>(parts.row_count()), overlaps_).conflict;
    if (!conflict) return {};
    const std::size_t ndim = parts.size.size();
    const auto box = [&](std::uint32_t row) {
      return parts.boxes.subspan(2 * ndim * (layout.chunk_of_row().empty() ? row : layout.chunk_of_row()[row]),
                                 2 * ndim);
    };
    const auto a = box(conflict->first);
    const auto b = box(conflict->second);
    const bool same_offset = std::ranges::equal(a.first(ndim), b.first(ndim));
    return fail(ErrorCode::Conflict,
                fmt::format("FQN '{}': chunks with offsets {} sizes {} and offsets {} sizes {} {}", parts.fqn,
                            columns::to_string(a.first(ndim)), columns::to_string(a.last(ndim)),
                            columns::to_string(b.first(ndim)), columns::to_string(b.last(ndim)),
                            same_offset ? "begin at one offset" : "overlap"));
  }

  DraftAttributes make_attributes() {
    DraftAttributes a;
    a.fragment_rank = s_.fragment_rank;
    a.files = s_.file_names;
    if (!s_.file_facts.empty()) {
      for (std::size_t file = 0; file < s_.file_names.size(); ++file)
        a.file_facts.push_back(file < s_.file_facts.size() ? s_.file_facts[file].value_or(FileFacts()) : FileFacts());
    }
    a.checksum_kind = s_.checksum_kind.value_or(ChecksumKind::Xxh3);
    a.type_names = s_.type_names;
    a.transform_lists = s_.transform_lists;
    a.has_storage_data = std::ranges::any_of(s_.rows.files, [](std::uint32_t file) { return file != kNoFile; });
    a.has_planner_data = !s_.planner_paths.empty();
    a.paths.resize(s_.path_numbers.size());
    for (const auto& [path, number] : s_.path_numbers) a.paths[number] = path;
    a.version = s_.version;
    if (s_.storage_meta) {
      const StorageMeta& meta = *s_.storage_meta;
      a.storage_meta = DraftStorageMeta{meta.checkpoint_id, meta.checkpoint_id_type,  meta.save_id,
                                        meta.load_id,       meta.modules.has_value(), {}};
      if (meta.modules) a.storage_meta->modules.assign(meta.modules->begin(), meta.modules->end());
    }
    return a;
  }

  void release_columns() { base::release(s_.boxes, s_.rows, s_.ranks); }

  BuilderState& s_;
  Assembler assembler_;
  columns::OverlapFinder overlaps_;
  std::vector<std::uint32_t> order_;    // entries by FQN
  std::vector<std::uint32_t> path_of_;  // per entry; empty where nothing has a path
  std::vector<std::uint32_t> file_order_;
  std::vector<std::uint32_t> file_position_;
  std::vector<std::uint32_t> transform_position_;
  std::vector<std::uint32_t> first_rows_;
  std::vector<std::uint32_t> rows_of_;
  Rows rows_;  // of the entry that is being added
  OwnedRows gathered_;
  OwnedRows ordered_;
};

}  // namespace

Result<Buffer> BuilderState::finish() {
  const base::PageReuse reuse;  // of what `release_columns` frees, for the file
  return BuilderFinish(*this).run();
}

}  // namespace flatpoint::write
