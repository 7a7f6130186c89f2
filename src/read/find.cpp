// Look-ups by name: the hash column, binary search, prefixes.
#include <algorithm>
#include <array>
#include <cstring>

#include "format/fqn_slots.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
namespace {

/// The name of an entry's row; unset where it lies outside `fqns` (rule E1).
std::optional<std::string_view> fqn_of(const Columns& columns, const EntryRow& row) noexcept {
  return text_at(columns.fqns, row.fqn_begin, row.fqn_length);
}

std::optional<std::string_view> fqn_at(const Columns& columns, std::uint32_t position) noexcept {
  const EntryRow* row = columns.entries.data() + position;
  return text_at(columns.fqns, base::read_once(&row->fqn_begin), base::read_once(&row->fqn_length));
}

/// The first position whose name is not `before(name)`; unset where a name on the way is corrupt.
template <class Before>
std::optional<std::uint32_t> partition_point(const Columns& columns, std::uint32_t begin, Before&& before) noexcept {
  std::uint32_t end = static_cast<std::uint32_t>(columns.entries.size());
  while (begin < end) {
    const std::uint32_t middle = begin + (end - begin) / 2;
    const auto name = fqn_at(columns, middle);
    if (!name) return std::nullopt;
    if (before(*name)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

Lookup<EntryView> find_sorted(const Columns& columns, std::string_view fqn) noexcept {
  const auto position = partition_point(columns, 0, [&](std::string_view name) { return name < fqn; });
  if (!position) return LookupStatus::Corrupt;
  if (*position == columns.entries.size()) return LookupStatus::Absent;
  const EntryRow row = base::read_once(columns.entries, *position);
  const auto name = fqn_of(columns, row);
  if (!name) return LookupStatus::Corrupt;
  if (*name != fqn) return LookupStatus::Absent;
  return ViewAccess::entry(columns, *position, row);
}

std::strong_ordering compare_loose(const Columns& columns, const LooseStorageRow& row, std::string_view name,
                                   std::string_view fqn, std::optional<std::span<const std::int64_t>> offset) noexcept {
  if (const auto by_name = name <=> fqn; by_name != 0) return by_name;
  if (const auto by_kind = (row.has_offset != 0) <=> offset.has_value(); by_kind != 0) return by_kind;
  if (!offset) return std::strong_ordering::equal;
  for (std::size_t i = 0; i < std::min<std::size_t>(row.rank, offset->size()); ++i) {
    if (const auto by_value = base::read_once(columns.sizes, row.offset_begin + i) <=> (*offset)[i]; by_value != 0) return by_value;
  }
  return row.rank <=> offset->size();
}

/// Storage information whose key names no chunk: binary search in loose_storage.
Lookup<StorageInfoView> find_loose(const Columns& columns, std::string_view fqn,
                                   std::optional<std::span<const std::int64_t>> offset) noexcept {
  std::size_t begin = 0;
  std::size_t end = columns.loose_storage.size();
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    const LooseStorageRow row = base::read_once(columns.loose_storage, middle);
    const auto name = text_at(columns.fqns, row.fqn_begin, row.fqn_length);
    if (!name || !base::in_range(row.offset_begin, row.rank, columns.sizes.size())) return LookupStatus::Corrupt;
    const auto order = compare_loose(columns, row, *name, fqn, offset);
    if (order == 0) return ViewAccess::storage(columns, columns.chunk_rows() + middle, row.length_begin);
    if (order < 0) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return LookupStatus::Absent;
}

Lookup<StorageInfoView> storage_of_entry(const EntryView& entry, std::optional<std::span<const std::int64_t>> offset) noexcept {
  if (!offset) return entry.bytes_storage();
  const auto tensor = entry.tensor();
  if (!tensor) return tensor.status();
  const auto chunk = tensor->find_chunk(*offset);
  return chunk ? chunk->storage() : Lookup<StorageInfoView>(chunk.status());
}

}  // namespace

Lookup<EntryView> MetadataView::find(std::string_view fqn) const noexcept {
  const Columns& columns = *columns_;
  const auto entries = static_cast<std::uint32_t>(columns.entries.size());
  const auto mask = static_cast<std::uint32_t>(columns.fqn_slots.size() - 1);
  const format::SlotCode code(entries);
  const std::uint64_t hash = format::fqn_hash(fqn);
  for (std::uint32_t probe = 0; probe < format::kMaxProbes; ++probe) {
    const std::uint32_t slot = base::read_once(columns.fqn_slots, (static_cast<std::uint32_t>(hash) + probe) & mask);
    if (slot == 0) return LookupStatus::Absent;
    const std::uint32_t position = code.entry(slot);
    if (position >= entries || !code.tag_matches(slot, hash)) continue;
    const EntryRow row = base::read_once(columns.entries, position);
    const auto name = fqn_of(columns, row);
    if (!name) return LookupStatus::Corrupt;
    if (*name == fqn) return ViewAccess::entry(columns, position, row);
  }
  return find_sorted(columns, fqn);
}

Lookup<StorageInfoView> MetadataView::find(const MetadataIndex& index) const noexcept {
  if (!index.offset) return find_storage(index.fqn, std::nullopt);
  return find_storage(index.fqn, std::span<const std::int64_t>(*index.offset));
}

Lookup<StorageInfoView> MetadataView::find_storage(std::string_view fqn,
                                                   std::optional<std::span<const std::int64_t>> offset) const noexcept {
  const auto entry = find(fqn);
  if (entry.corrupt()) return LookupStatus::Corrupt;
  if (entry.found()) {
    const auto storage = storage_of_entry(*entry, offset);
    if (!storage.absent()) return storage;
  }
  return find_loose(*columns_, fqn, offset);
}

Lookup<EntryView> MetadataView::entry(std::uint32_t position) const noexcept { return ViewAccess::entry(*columns_, position); }

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
  const auto end = partition_point(*columns_, *begin, [&](std::string_view name) { return name.substr(0, prefix.size()) <= prefix; });
  if (!end) return LookupStatus::Corrupt;
  if (*begin == *end) return LookupStatus::Absent;
  return EntryRange{*begin, *end};
}

}  // namespace flatpoint
