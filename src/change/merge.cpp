#include "flatpoint/merge.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "change/fragment_walk.hpp"
#include "change/merge_rows.hpp"
#include "change/merge_source.hpp"
#include "columns/boxes.hpp"
#include "write/assembler.hpp"
#include "write/chunk_check.hpp"

namespace flatpoint {
namespace {

using namespace change;

/// Storage information that names no chunk in its own fragment. It may name one in another.
struct LooseItem {
  write::LooseParts parts;
  std::uint32_t source;
  std::uint32_t source_row;
};

class Merger {
 public:
  Merger(std::vector<MergeSource> sources, const MergeOptions& options)
      : sources_(std::move(sources)), options_(options) {}

  Result<Merged> run() {
    auto attributes = merge_attributes(sources_);
    RETURN_IF_ERROR(attributes);
    attributes_ = std::move(*attributes);
    return prepare().and_then([&] { return merge_entries(); }).and_then([&] { return finish(); });
  }

 private:
  Result<void> prepare() {
    file_rank_.assign(attributes_.files.size(), kNoRow);
    std::size_t entries = 0;
    std::size_t rows = 0;
    std::size_t box_values = 0;
    std::size_t name_bytes = 0;
    for (const MergeSource& source : sources_) {
      entries += source.columns().entries.size();
      rows += source.columns().chunk_files.size();
      box_values += source.columns().boxes.size();
      name_bytes += source.columns().fqns.size();
      states_orders_ |= states_orders(source.columns());
    }
    assembler_.reserve(entries, rows, box_values, name_bytes);
    for (MergeSource& source : sources_) {
      if (states_orders_) source.entries.resize(source.columns().entries.size());
      if (states_orders_) source.rows.resize(source.columns().chunk_files.size(), kNoRow);
      RETURN_IF_ERROR(read_loose(source));
    }
    const auto key = [](const LooseItem& item) { return std::tuple(item.parts.fqn, item.parts.offset.has_value()); };
    std::stable_sort(loose_.begin(), loose_.end(), [&](const LooseItem& a, const LooseItem& b) {
      if (key(a) != key(b)) return key(a) < key(b);
      return a.parts.offset && std::ranges::lexicographical_compare(*a.parts.offset, *b.parts.offset);
    });
    return {};
  }

  Result<void> read_loose(MergeSource& source) {
    const auto number = static_cast<std::uint32_t>(&source - sources_.data());
    for (std::size_t i = 0; i < source.columns().loose_storage.size(); ++i) {
      auto parts = source.reader.read_loose(i);
      if (!parts) return source.blame(std::move(parts.error()));
      if (parts->row.is_stored()) parts->row.file = source.files[parts->row.file];
      parts->row.transforms = source.transforms(parts->row.transforms);
      loose_.push_back({*parts, number, static_cast<std::uint32_t>(source.columns().chunk_rows() + i)});
    }
    return {};
  }

  Result<void> merge_entries() {
    std::vector<EntryReader*> readers;
    for (MergeSource& source : sources_) readers.push_back(&source.reader);
    FragmentWalk walk(readers);
    while (true) {
      auto more = walk.advance();
      if (!more) return sources_[more.error().reader].blame(std::move(more.error().error));
      if (!*more) return {};
      RETURN_IF_ERROR(merge_entry(walk.group()));
      ++entry_count_;
    }
  }

  Result<void> merge_entry(std::span<const std::uint32_t> group) {
    entry_ = {};
    for (const std::uint32_t number : group) {
      MergeSource& source = sources_[number];
      auto parts = source.reader.read();
      if (!parts) return source.blame(std::move(parts.error()));
      translate(source, *parts);
      if (states_orders_) source.entries[source.reader.position()] = entry_count_;
      if (number == group.front()) {
        begin_entry(*parts);
      } else {
        RETURN_IF_ERROR(check_same(sources_[group.front()], source, *parts));
      }
      if (entry_.path == write::kNoPath) entry_.path = parts->path;
      rows_.add(source, number, *parts);
    }
    take_loose();
    if (entry_.type == StorageType::Tensor) return add_tensor();
    replicas_ += rows_.keep_one();
    add_entry();
    return {};
  }

  static void translate(const MergeSource& source, write::EntryParts& parts) {
    TensorPropertiesRow& p = parts.properties;
    if (parts.type == StorageType::Tensor && p.dtype == ScalarType::Other)
      p.dtype_name = source.type_names[p.dtype_name];
    if (parts.type == StorageType::Tensor && p.layout == Layout::Other)
      p.layout_name = source.type_names[p.layout_name];
    if (parts.path != write::kNoPath) parts.path = source.paths[parts.path];
  }

  /// The lowest rank decides on what the others must agree with, and on the strides.
  void begin_entry(const write::EntryParts& parts) {
    size_.assign(parts.size.begin(), parts.size.end());
    strides_.assign(parts.strides.begin(), parts.strides.end());
    entry_.fqn = parts.fqn;
    entry_.type = parts.type;
    entry_.properties = parts.properties;
    entry_.size = size_;
    entry_.strides = strides_;
    rows_.start(size_.size());
  }

  Result<void> check_same(const MergeSource& first, const MergeSource& source, const write::EntryParts& parts) const {
    TensorPropertiesRow properties = parts.properties;
    properties.strides = entry_.properties.strides;
    if (parts.type == entry_.type && std::ranges::equal(parts.size, size_) && properties == entry_.properties)
      return {};
    return fail(ErrorCode::Conflict, fmt::format("FQN '{}': rank {} has {}, rank {} has {}", entry_.fqn, first.rank(),
                                                 describe(entry_.type, entry_.properties, size_), source.rank(),
                                                 describe(parts.type, parts.properties, parts.size)));
  }

  std::string describe(StorageType type, const TensorPropertiesRow& p, std::span<const std::int64_t> size) const {
    if (type == StorageType::Bytes) return "bytes";
    if (type == StorageType::Opaque) return "an opaque object";
    const auto dtype = p.dtype == ScalarType::Other ? attributes_.type_names[p.dtype_name] : name_of(p.dtype);
    const auto layout = p.layout == Layout::Other ? attributes_.type_names[p.layout_name] : name_of(p.layout);
    return fmt::format("a {} tensor of size {} ({}, {}{}{})", dtype, columns::to_string(size), layout,
                       name_of(p.memory_format), p.requires_grad != 0 ? ", requires_grad" : "",
                       p.pin_memory != 0 ? ", pin_memory" : "");
  }

  /// Loose storage that names a chunk of this entry is that chunk's, unless the chunk has storage information of its
  /// own.
  void take_loose() {
    for (; next_loose_ < loose_.size() && loose_[next_loose_].parts.fqn <= entry_.fqn; ++next_loose_) {
      const LooseItem& item = loose_[next_loose_];
      const auto row = item.parts.fqn == entry_.fqn ? row_of(item.parts) : std::nullopt;
      if (row) {
        rows_.lend(*row, item.parts, item.source, item.source_row);
      } else {
        kept_loose_.push_back(next_loose_);
      }
    }
  }

  /// The row that a key of storage_data with this entry's FQN names. What is no tensor has one key, without an offset.
  std::optional<std::size_t> row_of(const write::LooseParts& key) {
    const bool is_tensor = entry_.type == StorageType::Tensor;
    if (key.offset.has_value() != is_tensor) return std::nullopt;
    if (!is_tensor) return 0;
    if (key.offset->size() != size_.size()) return std::nullopt;
    const std::size_t row = rows_.find(*key.offset);
    return row < rows_.size() ? std::optional(row) : std::nullopt;
  }

  Result<void> add_tensor() {
    replicas_ += rows_.drop_replicas();
    report_outside();
    add_entry();
    const auto count = static_cast<std::uint32_t>(rows_.size());
    const write::ChunkFaults faults = write::check_chunks(assembler_.layout(), size_, count, overlaps_);
    if (faults.conflict) return overlap_error(faults.conflict->first, faults.conflict->second);
    return faults.has_hole ? add_hole() : Result<void>();
  }

  void report_outside() {
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (!columns::reaches_outside(size_, rows_.offsets(row), rows_.sizes(row))) continue;
      return report(finding_kind::kChunkOutside, fmt::format("FQN '{}': {} in a tensor of size {}", entry_.fqn,
                                                             describe_chunk(row), columns::to_string(size_)));
    }
  }

  std::string describe_chunk(std::size_t row) const {
    const std::size_t ndim = size_.size();
    return fmt::format("rank {} has a chunk with offsets {} sizes {}", sources_[rows_.source(row)].rank(),
                       columns::to_string({rows_.offsets(row), ndim}), columns::to_string({rows_.sizes(row), ndim}));
  }

  tl::unexpected<Error> overlap_error(std::uint32_t row_a, std::uint32_t row_b) const {
    const auto chunk_of_row = assembler_.layout().chunk_of_row();
    std::array<std::size_t, 2> chunks{row_a, row_b};
    for (std::size_t& chunk : chunks) chunk = chunk_of_row.empty() ? chunk : chunk_of_row[chunk];
    std::sort(chunks.begin(), chunks.end());
    return fail(ErrorCode::Conflict,
                fmt::format("FQN '{}': {}, {}, of a tensor of size {}", entry_.fqn, describe_chunk(chunks[0]),
                            describe_chunk(chunks[1]), columns::to_string(size_)));
  }

  Result<void> add_hole() {
    const auto covered = covered_elements();
    std::uint64_t elements = 0;
    const std::string all = columns::volume(size_, elements) ? std::to_string(elements) : "more than 2^64";
    auto message = covered ? fmt::format("FQN '{}': its chunks hold {} of the {} elements of a tensor of size {}",
                                         entry_.fqn, *covered, all, columns::to_string(size_))
                           : fmt::format("FQN '{}': its chunks leave elements of a tensor of size {} out", entry_.fqn,
                                         columns::to_string(size_));
    if (options_.complete) return fail(ErrorCode::Conflict, std::move(message));
    report(finding_kind::kHole, std::move(message));
    return {};
  }

  /// Elements of the tensor in its chunks, which share none; unset where they leave 64 bits.
  [[nodiscard]] std::optional<std::uint64_t> covered_elements() const {
    std::uint64_t sum = 0;
    Size inside(size_.size());
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      for (std::size_t d = 0; d < inside.size(); ++d) {
        const std::int64_t begin = rows_.offsets(row)[d];
        const std::int64_t end = std::min(columns::end_of(begin, rows_.sizes(row)[d]), size_[d]);
        inside[d] = std::max<std::int64_t>(end - std::clamp<std::int64_t>(begin, 0, std::max<std::int64_t>(end, 0)), 0);
      }
      std::uint64_t elements = 0;
      if (!columns::volume(inside, elements) || __builtin_add_overflow(sum, elements, &sum)) return std::nullopt;
    }
    return sum;
  }

  void report(std::string_view kind, std::string message) {
    const auto same =
        std::count_if(findings_.begin(), findings_.end(), [&](const Finding& finding) { return finding.kind == kind; });
    if (same < options_.max_messages) {
      findings_.push_back({std::string(kind), std::move(message)});
    } else {
      ++suppressed_;
    }
  }

  void add_entry() {
    const std::size_t row_begin = assembler_.row_count();
    rows_.show(entry_);
    assembler_.add(entry_);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_.file(i) != kNoFile) use_file(rows_.file(i), rows_.source(i));
    }
    if (states_orders_ && rows_.size() > 0) map_rows(row_begin);
  }

  /// Notes where the sources' rows went. Rows with one key in storage_data have one place in its order, the first's.
  void map_rows(std::size_t row_begin) {
    const bool is_tensor = entry_.type == StorageType::Tensor;
    const write::ChunkLayoutFinder& layout = assembler_.layout();
    const auto order = is_tensor ? layout.order() : std::span<const std::uint32_t>();
    key_rows_.resize(rows_.size());
    std::iota(key_rows_.begin(), key_rows_.end(), 0U);
    for (std::uint32_t row = 1; is_tensor && layout.equal_offsets() && row < rows_.size(); ++row) {
      if (layout.repeats_offset(row)) key_rows_[row] = key_rows_[row - 1];
    }
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_.file(i) == kNoFile) continue;
      const std::uint32_t row = key_rows_[order.empty() ? i : order[i]];
      sources_[rows_.source(i)].rows[rows_.source_row(i)] = static_cast<std::uint32_t>(row_begin) + row;
    }
  }

  void use_file(std::uint32_t file, std::uint32_t source) {
    file_rank_[file] = std::min(file_rank_[file], sources_[source].rank());
  }

  void add_loose() {
    for (; next_loose_ < loose_.size(); ++next_loose_) kept_loose_.push_back(next_loose_);
    const LooseItem* before = nullptr;
    for (const std::size_t kept : kept_loose_) {
      const LooseItem& item = loose_[kept];
      const bool repeats = before != nullptr && before->parts.fqn == item.parts.fqn &&
                           before->parts.offset.has_value() == item.parts.offset.has_value() &&
                           (!item.parts.offset || std::ranges::equal(*before->parts.offset, *item.parts.offset));
      if (repeats) continue;
      if (item.parts.row.is_stored()) use_file(item.parts.row.file, item.source);
      if (states_orders_)
        sources_[item.source].rows[item.source_row] = static_cast<std::uint32_t>(assembler_.row_count());
      assembler_.add(item.parts);
      before = &item;
    }
  }

  Result<Merged> finish() {
    add_loose();
    std::vector<std::uint32_t> fqn_order;
    if (states_orders_) {
      MergedOrders orders = merge_orders(sources_, entry_count_, assembler_.row_count());
      fqn_order = std::move(orders.fqn_order);
      attributes_.storage_order = std::move(orders.storage_order);
      attributes_.planner_order = std::move(orders.planner_order);
    }
    place_opaque_items();
    std::vector<std::uint32_t> file_order(attributes_.files.size());
    std::iota(file_order.begin(), file_order.end(), 0U);
    std::sort(file_order.begin(), file_order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tie(file_rank_[a], attributes_.files[a]) < std::tie(file_rank_[b], attributes_.files[b]);
    });
    auto bytes = std::move(assembler_).finish(std::move(attributes_), std::move(fqn_order), file_order);
    RETURN_IF_ERROR(bytes);
    return Merged{std::move(*bytes), std::move(findings_), suppressed_, replicas_};
  }

  /// Items of dictionaries that no column holds come behind those that one does, by rank.
  void place_opaque_items() {
    std::uint32_t next[] = {static_cast<std::uint32_t>(entry_count_), static_cast<std::uint32_t>(entry_count_),
                            static_cast<std::uint32_t>(assembler_.row_count())};
    std::uint32_t attribute = 0;
    for (write::DraftOpaque& record : attributes_.opaque) {
      switch (record.kind) {
        case OpaqueKind::Attribute: record.position = attribute++; break;
        case OpaqueKind::StateDictItem: record.position = next[0]++; break;
        case OpaqueKind::PlannerItem: record.position = next[1]++; break;
        case OpaqueKind::StorageItem: record.position = next[2]++; break;
        default: break;
      }
    }
  }

  std::vector<MergeSource> sources_;  // by ascending rank
  MergeOptions options_;
  write::DraftAttributes attributes_;
  write::Assembler assembler_;
  columns::OverlapFinder overlaps_;
  bool states_orders_ = false;
  std::uint32_t entry_count_ = 0;
  std::vector<std::uint32_t> file_rank_;  // the lowest rank with a row in the file
  std::vector<LooseItem> loose_;          // of all sources, sorted by key, then rank
  std::size_t next_loose_ = 0;
  std::vector<std::size_t> kept_loose_;

  write::EntryParts entry_;
  std::vector<std::int64_t> size_;
  std::vector<std::int64_t> strides_;
  MergeRows rows_;
  std::vector<std::uint32_t> key_rows_;  // per row the first with its key

  std::vector<Finding> findings_;
  std::uint64_t suppressed_ = 0;
  std::uint64_t replicas_ = 0;
};

/// "ranks 0, 2, 3".
std::string list_of_ranks(std::span<const std::uint32_t> ranks) {
  constexpr std::size_t kShown = 16;
  return fmt::format("rank{} {}{}", ranks.size() > 1 ? "s" : "",
                     fmt::join(ranks.first(std::min(ranks.size(), kShown)), ", "),
                     ranks.size() > kShown ? ", ..." : "");
}

/// Ranks count from 0; the highest that wrote something tells how many there are at least.
Result<void> check_ranks(std::span<const Fragment* const> by_rank) {
  constexpr std::size_t kEnough = 32;  // to be listed
  std::vector<std::uint32_t> there;
  std::vector<std::uint32_t> missing;
  for (const Fragment* fragment : by_rank) {
    for (std::uint32_t rank = there.empty() ? 0 : there.back() + 1; rank < fragment->rank && missing.size() < kEnough;
         ++rank)
      missing.push_back(rank);
    there.push_back(fragment->rank);
  }
  if (missing.empty()) return {};
  return fail(ErrorCode::NotFound,
              fmt::format("there are fragments of {}, but none of {}", list_of_ranks(there), list_of_ranks(missing)));
}

}  // namespace

Result<Merged> merge(std::span<const Fragment> fragments, const MergeOptions& options) {
  if (fragments.empty()) return fail(ErrorCode::InvalidArgument, "there is no fragment to merge");
  std::vector<const Fragment*> by_rank;
  for (const Fragment& fragment : fragments) by_rank.push_back(&fragment);
  std::sort(by_rank.begin(), by_rank.end(), [](const Fragment* a, const Fragment* b) {
    return std::tie(a->rank, a->name) < std::tie(b->rank, b->name);
  });
  for (std::size_t i = 1; i < by_rank.size(); ++i) {
    if (by_rank[i - 1]->rank != by_rank[i]->rank) continue;
    return fail(ErrorCode::Conflict, fmt::format("rank {} is there twice: {} and {}", by_rank[i]->rank,
                                                 by_rank[i - 1]->name, by_rank[i]->name));
  }
  if (options.complete) {
    RETURN_IF_ERROR(check_ranks(by_rank));
  }
  std::vector<MergeSource> sources;
  sources.reserve(by_rank.size());
  for (const Fragment* fragment : by_rank) sources.emplace_back(*fragment);
  return Merger(std::move(sources), options).run();
}

}  // namespace flatpoint
