// columns/file_rows.hpp - the rows of a finished file: what they say of storage, and rule E6 of docs/format.md.
#pragma once

#include <optional>

#include "base/checked.hpp"
#include "columns/boxes.hpp"
#include "columns/stored_rows.hpp"

namespace flatpoint::columns {

/// Whether rows of an entry can say where elements begin and what their checksum is: a tensor's whose elements have a
/// size.
inline bool has_elements_of_known_size(StorageType type, ScalarType dtype) noexcept {
  return type == StorageType::Tensor && item_size(dtype) > 0;
}

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
  if (has_elements_of_known_size(entry.storage_type, entry.properties.dtype)) {
    rows.data_begins = c.chunk_data_begins.size() == 1 ? c.chunk_data_begins : part(c.chunk_data_begins);
    rows.checksums = part(c.chunk_checksums);
  }
  return rows;
}

/// Loose storage, number i, as an entry with one row.
inline EntryRow loose_entry(const Columns& c, const LooseStorageRow& loose, std::size_t i) noexcept {
  EntryRow entry{};
  entry.storage_type = StorageType::Bytes;
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

/// Whether a number of chunk_transforms names a list that has descriptors, or none.
inline bool is_transformed(const Columns& c, std::uint16_t transforms) noexcept {
  if (transforms == 0) return false;
  if (transforms > c.transform_lists.size()) return true;
  const std::uint32_t begin = transforms == 1 ? 0 : base::read_once(c.transform_lists, transforms - 2U).text_end;
  return base::read_once(c.transform_lists, transforms - 1U).text_end != begin;
}

/// Whether what a row says of its elements keeps rule E7, but for the length of its file. `sizes`: of the chunk's box.
inline bool keeps_rule_e7(const StoredRow& row, bool is_transformed, std::span<const std::int64_t> sizes,
                          std::uint32_t item) noexcept {
  if (!row.is_stored() || row.data_begin == kNoDataBegin || item == 0) return true;
  std::uint64_t bytes = 0;
  const bool has_bytes = std::ranges::none_of(sizes, [](std::int64_t size) { return size < 0; }) &&
                         volume(sizes, bytes) && base::multiply(bytes, std::uint64_t{item}, bytes);
  return has_bytes && !is_transformed && base::in_range(row.data_begin, bytes, row.length) &&
         base::in_range(row.byte_offset, row.length, UINT64_MAX);
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
