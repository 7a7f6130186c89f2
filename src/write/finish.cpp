#include <algorithm>
#include <numeric>
#include <utility>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "format/constants.hpp"
#include "write/assembler.hpp"
#include "write/draft.hpp"

namespace flatpoint::write {
namespace {

/// Feeds a draft to an assembler in the file's order and translates its orders.
class Finisher {
 public:
  explicit Finisher(Draft draft) : draft_(std::move(draft)) {}

  Result<Buffer> run() {
    RETURN_IF_ERROR(check_limits());
    RETURN_IF_ERROR(sort_entries());
    add_entries();
    RETURN_IF_ERROR(add_loose_storage());
    translate();
    release_columns();
    return std::move(assembler_).finish(std::move(draft_), std::move(fqn_order_));
  }

 private:
  /// What would not fit the file's 32-bit numbers, before memory is taken for it.
  [[nodiscard]] Result<void> check_limits() const {
    std::uint64_t text = 0;
    for (const DraftEntry& entry : draft_.entries) text += entry.fqn.size();
    for (const DraftLooseStorage& loose : draft_.loose_storage) text += loose.fqn.size();
    const std::pair<const char*, std::uint64_t> sizes[] = {{"FQNs", draft_.entries.size() * sizeof(EntryRow)},
                                                           {"chunks", draft_.rows.size() * sizeof(std::uint32_t)},
                                                           {"names", text}};
    for (const auto& [what, bytes] : sizes) {
      if (bytes > format::kMaxFileSize) {
        return fail(ErrorCode::TooLarge,
                    fmt::format("{} alone take {} bytes; the format ends below 2 GiB", what, bytes));
      }
    }
    return {};
  }

  Result<void> sort_entries() {
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
    if (twice == sorted_.end()) return {};
    return fail(ErrorCode::Conflict, fmt::format("FQN '{}' is declared twice", entries[*twice].fqn));
  }

  void add_entries() {
    assembler_.reserve(sorted_.size(), draft_.rows.size(), draft_.boxes.size());
    assembler_.keep_absent_keys();
    if (needs_row_map()) row_map_.resize(draft_.rows.size(), kDropped);
    for (const std::uint32_t e : sorted_) add_entry(draft_.entries[e]);
  }

  void add_entry(const DraftEntry& from) {
    const std::size_t row = assembler_.row_count();
    const std::span sizes(std::as_const(draft_.sizes));
    EntryParts entry;
    entry.fqn = from.fqn;
    entry.type = from.type;
    entry.path = from.path;
    if (from.type == StorageType::Tensor) {
      entry.properties = from.properties;
      entry.size = sizes.subspan(from.size_begin, from.ndim);
      if (from.properties.strides == StridesKind::Explicit)
        entry.strides = sizes.subspan(from.strides_begin, from.ndim);
      entry.boxes =
          std::span(std::as_const(draft_.boxes)).subspan(from.box_begin, std::size_t{2} * from.ndim * from.chunk_count);
    }
    entry.rows = draft_.rows.part(from.chunk_begin, from.chunk_count);
    assembler_.add(entry);
    if (row_map_.empty()) return;
    const bool is_ordered =
        from.type == StorageType::Tensor && from.chunk_count > 0 && !assembler_.layout().order().empty();
    const std::size_t added = assembler_.row_count() - row;
    for (std::uint32_t i = 0; i < added; ++i) {
      row_map_[from.chunk_begin + i] =
          static_cast<std::uint32_t>(row + (is_ordered ? assembler_.layout().order()[i] : i));
    }
  }

  /// What storage_data says of no chunk, sorted by its key.
  Result<void> add_loose_storage() {
    const auto& loose = draft_.loose_storage;
    const auto offset_of = [&](std::size_t i) {
      return std::span(std::as_const(draft_.sizes))
          .subspan(loose[i].offset_begin, loose[i].has_offset ? loose[i].ndim : 0);
    };
    const auto less = [&](std::uint32_t a, std::uint32_t b) {
      if (loose[a].fqn != loose[b].fqn) return loose[a].fqn < loose[b].fqn;
      if (loose[a].has_offset != loose[b].has_offset) return loose[b].has_offset;
      return std::ranges::lexicographical_compare(offset_of(a), offset_of(b));
    };
    std::vector<std::uint32_t> order(loose.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), less);
    const std::size_t chunk_rows = draft_.rows.size() - loose.size();
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::size_t row = chunk_rows + order[i];
      LooseParts parts{loose[order[i]].fqn, std::nullopt, draft_.rows[row]};
      if (i > 0 && !less(order[i - 1], order[i])) {
        return fail(ErrorCode::Conflict,
                    fmt::format("storage information of FQN '{}' is declared twice for one offset", parts.fqn));
      }
      if (loose[order[i]].has_offset) parts.offset = offset_of(order[i]);
      if (!row_map_.empty()) row_map_[row] = static_cast<std::uint32_t>(assembler_.row_count());
      assembler_.add(parts);
    }
    return {};
  }

  [[nodiscard]] bool needs_row_map() const { return !draft_.storage_order.empty() || !draft_.hints.empty(); }

  /// From the draft's rows and entries to the file's.
  void translate() {
    for (std::uint32_t& row : draft_.storage_order) row = row_map_[row];
    for (DraftHint& hint : draft_.hints) hint.row = row_map_[hint.row];
    std::erase_if(draft_.hints, [](const DraftHint& hint) { return hint.row == kDropped; });
    for (std::uint32_t& entry : draft_.planner_order) entry = fqn_order_.empty() ? entry : fqn_order_[entry];
  }

  void release_columns() { base::release(draft_.boxes, draft_.rows, row_map_); }

  static constexpr std::uint32_t kDropped = 0xFFFFFFFF;

  Draft draft_;
  Assembler assembler_;
  std::vector<std::uint32_t> sorted_;     // position -> entry of the draft
  std::vector<std::uint32_t> fqn_order_;  // entry of the draft -> position; empty where equal
  std::vector<std::uint32_t> row_map_;    // row of the draft -> row of the file, or kDropped
};

}  // namespace

Result<Buffer> finish(Draft&& draft) {
  const base::PageReuse reuse;  // of what `release_columns` frees, for the file
  return Finisher(std::move(draft)).run();
}

}  // namespace flatpoint::write
