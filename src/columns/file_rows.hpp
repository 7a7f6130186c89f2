// columns/file_rows.hpp - the rows of a finished file: what they say of storage, and rule E6 of docs/format.md.
#pragma once

#include <optional>

#include "base/checked.hpp"
#include "columns/stored_rows.hpp"

namespace flatpoint::columns {

/// The rows of an entry that keeps rule E4. Lengths that lie outside their column are missing.
inline StoredColumns rows_of(const Columns& c, const EntryRow& entry) noexcept {
  const auto part = [&](const auto& column) {
    return column.empty() ? column : column.subspan(entry.chunk_begin, entry.chunk_count);
  };
  const std::size_t lengths = entry.lengths_differ != 0 ? entry.chunk_count : 1;
  StoredColumns rows{
      .files = part(c.chunk_files), .byte_offsets = part(c.chunk_byte_offsets), .transforms = part(c.chunk_transforms)};
  if (base::in_range(entry.length_begin, lengths, c.chunk_lengths.size()))
    rows.lengths = c.chunk_lengths.subspan(entry.length_begin, lengths);
  return rows;
}

/// Loose storage, number i, as an entry with one row.
inline EntryRow loose_entry(const Columns& c, const LooseStorageRow& loose, std::size_t i) noexcept {
  EntryRow entry{};
  entry.chunk_begin = static_cast<std::uint32_t>(c.chunk_rows() + i);
  entry.chunk_count = 1;
  entry.length_begin = loose.length_begin;
  return entry;
}

/// Whether rows that rows_of gave keep rule E6. `copy`: of their values, which nothing changes underneath.
inline bool keep_rule_e6(const Columns& c, const StoredColumns& rows, const StoredRows& copy) noexcept {
  const std::size_t files = rows.byte_offsets.empty() || rows.lengths.empty() ? 0 : c.file_names.ends.size();
  return std::ranges::all_of(copy.files, [&](std::uint32_t file) { return file < files || file == kNoFile; }) &&
         std::ranges::all_of(copy.transforms, [&](std::uint16_t list) { return list <= c.transform_lists.size(); });
}

/// One row, with its length at `length_at` of chunk_lengths; unset where it breaks rule E6.
inline std::optional<StoredRow> stored_row(const Columns& c, std::uint64_t row, std::uint64_t length_at) noexcept {
  StoredRow stored;
  if (row >= c.chunk_files.size()) return std::nullopt;
  stored.file = base::read_once(c.chunk_files, row);
  if (!stored.is_stored()) return stored;
  if (stored.file >= c.file_names.ends.size() || row >= c.chunk_byte_offsets.size() ||
      length_at >= c.chunk_lengths.size())
    return std::nullopt;
  stored.byte_offset = base::read_once(c.chunk_byte_offsets, row);
  stored.length = base::read_once(c.chunk_lengths, length_at);
  if (!c.chunk_transforms.empty()) stored.transforms = base::read_once(c.chunk_transforms, row);
  if (stored.transforms > c.transform_lists.size()) return std::nullopt;
  return stored;
}

}  // namespace flatpoint::columns
