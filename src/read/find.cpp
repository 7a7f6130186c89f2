// Look-ups by name: the hash column, binary search, prefixes.
#include <algorithm>
#include <array>
#include <cstring>

#include "columns/search.hpp"
#include "format/slot_group.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
namespace {

// Positions that no entry has: a file of 2 GiB ends long before.
constexpr std::uint32_t kAbsent = 0xFFFFFFFF;
constexpr std::uint32_t kCorrupt = 0xFFFFFFFE;

/// Where an FQN was found: its entry, and its name there, which was read once, checked and compared.
struct Place {
  std::uint32_t position;  // or kAbsent, kCorrupt
  std::uint32_t fqn_begin = 0;
  [[nodiscard]] bool found() const noexcept { return position < kCorrupt; }
  [[nodiscard]] LookupStatus why_not() const noexcept {
    return position == kAbsent ? LookupStatus::Absent : LookupStatus::Corrupt;
  }
};

std::optional<std::string_view> fqn_at(const Columns& columns, std::uint32_t position) noexcept {
  const EntryRow* row = columns.entries.data() + position;
  return text_at(columns.fqns, base::read_once(&row->fqn_begin), base::read_once(&row->fqn_length));
}

/// The first position whose name is not `before(name)`; unset where a name on the way is corrupt.
template <class Before>
std::optional<std::uint32_t> partition_point(const Columns& columns, std::uint32_t begin, Before&& before) noexcept {
  bool is_corrupt = false;
  const auto count = static_cast<std::uint32_t>(columns.entries.size()) - begin;
  const std::uint32_t first = columns::first_where(count, [&](std::uint32_t i) {
    const auto name = fqn_at(columns, begin + i);
    is_corrupt |= !name;
    return is_corrupt || !before(*name);
  });
  return is_corrupt ? std::nullopt : std::optional(begin + first);
}

/// Whether the entry has that name. Inlined wherever it is called: a look-up's time is its instructions, since those of
/// the next one wait behind them for the same memory.
[[gnu::always_inline]] inline Place place_at(const Columns& columns, std::string_view fqn,
                                             std::uint32_t position) noexcept {
  if (position >= columns.entries.size()) return {kAbsent};
  const EntryRow* row = columns.entries.data() + position;
  const std::uint32_t begin = base::read_once(&row->fqn_begin);
  const std::uint32_t length = base::read_once(&row->fqn_length);
  if (!base::in_range(begin, length, columns.fqns.size())) return {kCorrupt};
  if (length != fqn.size()) return {kAbsent};
  // An empty string_view may have no address, which memcmp does not allow.
  if (length != 0 && std::memcmp(columns.fqns.data() + begin, fqn.data(), length) != 0) return {kAbsent};
  return {position, begin};
}

Place find_sorted(const Columns& columns, std::string_view fqn) noexcept {
  const auto position = partition_point(columns, 0, [&](std::string_view name) { return name < fqn; });
  return position ? place_at(columns, fqn, *position) : Place{kCorrupt};
}

/// The whole search, slot by slot, as docs/format.md has it. Out of line: it would crowd the registers of find_place.
[[gnu::noinline]] Place find_slot_by_slot(const Columns& columns, std::string_view fqn, std::uint64_t hash) noexcept {
  const format::SlotCode code(static_cast<std::uint32_t>(columns.entries.size()));
  for (std::uint32_t probe = 0; probe < format::kMaxProbes; ++probe) {
    const std::size_t at = (static_cast<std::uint32_t>(hash) + probe) & (columns.fqn_slots.size() - 1);
    const std::uint32_t slot = base::read_once(columns.fqn_slots, at);
    if (slot == 0) return {kAbsent};
    if (!code.tag_matches(slot, hash)) continue;
    if (const Place place = place_at(columns, fqn, code.entry(slot)); place.position != kAbsent) return place;
  }
  return find_sorted(columns, fqn);
}

/// The place of an FQN. The first slots, looked at together, answer nearly always.
[[gnu::always_inline]] inline Place find_place(const Columns& columns, std::string_view fqn) noexcept {
  const std::uint64_t hash = format::fqn_hash(fqn);
  const format::SlotCode code(static_cast<std::uint32_t>(columns.entries.size()));
  const std::size_t at = static_cast<std::uint32_t>(hash) & (columns.fqn_slots.size() - 1);
  if (!base::in_range(at, format::SlotGroup::kSize, columns.fqn_slots.size()))
    return find_slot_by_slot(columns, fqn, hash);
  const format::SlotGroup group(columns.fqn_slots.data() + at, code, hash);
  if (group.candidates() == 0) return group.has_empty() ? Place{kAbsent} : find_slot_by_slot(columns, fqn, hash);
  const auto candidate = static_cast<std::size_t>(std::countr_zero(group.candidates()));
  const Place place = place_at(columns, fqn, code.entry(base::read_once(columns.fqn_slots, at + candidate)));
  return place.position != kAbsent ? place : find_slot_by_slot(columns, fqn, hash);
}

/// Reads the row of a place, and tells whether it keeps rule E4. Its name, which keeps rule E1, is the one that was
/// compared, whatever the mapping says by now.
[[nodiscard]] bool read_row(const Columns& columns, Place place, std::string_view fqn, EntryRow& row) noexcept {
  base::read_once(columns.entries, place.position, row);
  row.fqn_begin = place.fqn_begin;
  row.fqn_length = static_cast<std::uint32_t>(fqn.size());
  return base::in_range(row.chunk_begin, row.chunk_count, columns.chunk_rows());
}

std::strong_ordering compare_loose(const Columns& columns, const LooseStorageRow& row, std::string_view name,
                                   std::string_view fqn, std::optional<std::span<const std::int64_t>> offset) noexcept {
  if (const auto by_name = name <=> fqn; by_name != 0) return by_name;
  if (const auto by_kind = (row.has_offset != 0) <=> offset.has_value(); by_kind != 0) return by_kind;
  if (!offset) return std::strong_ordering::equal;
  for (std::size_t i = 0; i < std::min<std::size_t>(row.ndim, offset->size()); ++i) {
    if (const auto by_value = base::read_once(columns.sizes, row.offset_begin + i) <=> (*offset)[i]; by_value != 0)
      return by_value;
  }
  return row.ndim <=> offset->size();
}

/// Storage information whose key names no chunk: binary search in loose_storage.
Lookup<StorageInfoView> find_loose(const Columns& columns, std::string_view fqn,
                                   std::optional<std::span<const std::int64_t>> offset) noexcept {
  const auto rows = columns.loose_storage;
  bool is_corrupt = false;
  const auto compare = [&](const LooseStorageRow& row) {
    const auto name = text_at(columns.fqns, row.fqn_begin, row.fqn_length);
    is_corrupt |= !name || !base::in_range(row.offset_begin, row.ndim, columns.sizes.size());
    return is_corrupt ? std::strong_ordering::equal : compare_loose(columns, row, *name, fqn, offset);
  };
  const std::size_t at =
      columns::first_where(rows.size(), [&](std::size_t i) { return compare(base::read_once(rows, i)) >= 0; });
  if (is_corrupt) return LookupStatus::Corrupt;
  if (at == rows.size()) return LookupStatus::Absent;
  const LooseStorageRow row = base::read_once(rows, at);
  const auto order = compare(row);
  if (is_corrupt) return LookupStatus::Corrupt;
  if (order != 0) return LookupStatus::Absent;
  return ViewAccess::storage(columns, columns.chunk_rows() + at, row.length_begin);
}

}  // namespace

Lookup<EntryView> MetadataView::find(std::string_view fqn) const noexcept {
  const Place place = find_place(*columns_, fqn);
  if (!place.found()) return place.why_not();
  return ViewAccess::entry(*columns_, place.position,
                           [&](EntryRow& row) { return read_row(*columns_, place, fqn, row); });
}

Lookup<StorageInfoView> MetadataView::find(const MetadataIndex& index) const noexcept {
  if (!index.offset) return find_storage(index.fqn, std::nullopt);
  return find_storage(index.fqn, std::span<const std::int64_t>(*index.offset));
}

Lookup<StorageInfoView> MetadataView::find_storage(std::string_view fqn,
                                                   std::optional<std::span<const std::int64_t>> offset) const noexcept {
  const Place place = find_place(*columns_, fqn);
  if (place.position == kCorrupt) return LookupStatus::Corrupt;
  if (place.found()) {
    EntryRow entry;
    if (!read_row(*columns_, place, fqn, entry)) return LookupStatus::Corrupt;
    const auto storage = ViewAccess::find_storage(*columns_, entry, offset);
    if (!storage.absent()) return storage;
  }
  return find_loose(*columns_, fqn, offset);
}

Lookup<EntryView> MetadataView::entry(std::uint32_t position) const noexcept {
  if (position >= size()) return LookupStatus::Absent;
  return ViewAccess::entry(*columns_, position);
}

Lookup<EntryView> MetadataView::entry_in_dcp_order(std::uint32_t i) const noexcept {
  if (i >= size()) return LookupStatus::Absent;
  if (columns_->fqn_order.empty()) return entry(i);
  const std::uint32_t position = base::read_once(columns_->fqn_order, i);
  if (position >= size()) return LookupStatus::Corrupt;
  return entry(position);
}

Lookup<EntryRange> MetadataView::prefix(std::string_view prefix) const noexcept {
  const auto begin = partition_point(*columns_, 0, [&](std::string_view name) { return name < prefix; });
  if (!begin) return LookupStatus::Corrupt;
  const auto end = partition_point(*columns_, *begin,
                                   [&](std::string_view name) { return name.substr(0, prefix.size()) <= prefix; });
  if (!end) return LookupStatus::Corrupt;
  if (*begin == *end) return LookupStatus::Absent;
  return EntryRange{*begin, *end};
}

}  // namespace flatpoint
