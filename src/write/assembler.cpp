#include "write/assembler.hpp"

#include <algorithm>
#include <functional>

#include "columns/file_rows.hpp"

namespace flatpoint::write {

void Assembler::reserve(std::size_t entries, std::size_t rows, std::size_t box_values, std::size_t name_bytes) {
  entries_.reserve(entries);
  paths_.reserve(entries);
  rows_.reserve(rows);
  lengths_.reserve(rows);
  boxes_.reserve(box_values);
  fqns_.reserve(name_bytes);
}

std::uint32_t Assembler::add_name(std::string_view name) {
  const auto begin = static_cast<std::uint32_t>(fqns_.size());
  fqns_.insert(fqns_.end(), name.begin(), name.end());
  return begin;
}

void Assembler::add(EntryParts entry) {
  const bool is_stored = entry.row_count() > 0 && entry.rows.files[0] != kNoFile;
  if (entry.type != StorageType::Tensor && !is_stored) entry.rows = {};
  const bool has_data = columns::has_elements_of_known_size(entry.type, entry.properties.dtype);
  if (!has_data) entry.rows.data_begins = {}, entry.rows.checksums = {};
  EntryRow row{};
  row.fqn_length = static_cast<std::uint32_t>(entry.fqn.size());
  row.fqn_begin = add_name(entry.fqn);
  row.storage_type = entry.type;
  row.chunk_begin = static_cast<std::uint32_t>(rows_.size());
  row.chunk_count = static_cast<std::uint32_t>(entry.row_count());
  if (entry.type == StorageType::Tensor) add_tensor(entry, row);
  add_rows(entry, row);
  entries_.push_back(row);
  paths_.push_back(entry.path);
}

void Assembler::add_tensor(const EntryParts& entry, EntryRow& row) {
  row.ndim = static_cast<std::uint8_t>(entry.size.size());
  row.properties = entry.properties;
  row.properties.requires_grad = entry.properties.requires_grad != 0;
  row.properties.pin_memory = entry.properties.pin_memory != 0;
  row.chunk_layout = ChunkLayout::Explicit;
  if (row.chunk_count > 0) {
    layout_.find(entry.size, entry.boxes, row.chunk_count);
    row.chunk_layout = layout_.layout();
    row.box_begin = boxes_.add(layout_.values());
    row.reordered = !layout_.order().empty();
    row.order_begin = orders_.add(layout_.order());
  }
  add_size(entry, row);
}

void Assembler::add_size(const EntryParts& entry, EntryRow& row) {
  size_and_strides_.assign(entry.size.begin(), entry.size.end());
  if (entry.properties.strides == StridesKind::Explicit) {
    const std::size_t ndim = entry.size.size();
    const auto first_sizes = row.chunk_count > 0 ? entry.boxes.subspan(ndim, ndim) : entry.size;
    if (std::ranges::equal(entry.strides, contiguous_strides(first_sizes))) {
      row.properties.strides = StridesKind::Contiguous;
    } else {
      size_and_strides_.insert(size_and_strides_.end(), entry.strides.begin(), entry.strides.end());
    }
  }
  row.size_begin = sizes_.add(size_and_strides_);
}

/// Appends the rows in row order; a row without a file says nothing else.
void Assembler::add_rows(const EntryParts& entry, EntryRow& row) {
  if (row.chunk_count == 0) return;
  const auto chunk_of_row = row.reordered != 0 ? layout_.chunk_of_row() : std::span<const std::uint32_t>();
  const bool repeats = entry.type == StorageType::Tensor && row.chunk_count > 1 && layout_.equal_offsets();
  StoredColumns rows = entry.rows;
  const auto unstored = static_cast<std::size_t>(std::ranges::count(rows.files, kNoFile));
  keys_ += row.chunk_count - unstored;
  if (unstored > 0 || repeats || !chunk_of_row.empty()) {
    for (auto i = static_cast<std::uint32_t>(in_place_.size()); i < row.chunk_count; ++i) in_place_.push_back(i);
    arranged_.assign(rows, chunk_of_row.empty() ? std::span(in_place_).first(row.chunk_count) : chunk_of_row);
    if (unstored > 0) arranged_.forget_unstored();
    if (repeats) repeat_storage();
    rows = arranged_;
  }
  const bool has_data = columns::has_elements_of_known_size(entry.type, entry.properties.dtype);
  if (has_data && unstored < row.chunk_count) note_begins(rows, row.chunk_count);
  add_lengths(rows.lengths, row);
  rows.lengths = {};
  rows_.append(rows, row.chunk_count);
}

/// Rows with one offset have one key in storage_data. The first that has elements and lies somewhere speaks for all,
/// else the first that lies somewhere.
void Assembler::repeat_storage() {
  const auto& files = arranged_.files;
  for (std::size_t first = 0; first < files.size();) {
    std::size_t end = first + 1;
    while (end < files.size() && layout_.repeats_offset(end)) ++end;
    const bool absent = keeps_absent_keys_ && files[first] == kNoFile;
    std::size_t speaker = first;
    for (std::size_t row = first; row < end && !absent; ++row) {
      if (files[row] == kNoFile) continue;
      if (files[speaker] == kNoFile || layout_.has_elements(row)) speaker = row;
      if (layout_.has_elements(row)) break;
    }
    for (std::size_t row = first; row < end; ++row) {
      keys_ -= files[row] != kNoFile;
      if (row == speaker) continue;
      columns::StoredRow stored = arranged_[speaker];
      // What it says of its elements holds for the same box alone.
      if (!layout_.equal_sizes(row, speaker)) stored.data_begin = kNoDataBegin, stored.checksum = kNoChecksum;
      arranged_.set(row, stored);
    }
    keys_ += files[first] != kNoFile;
    first = end;
  }
}

void Assembler::note_begins(const StoredColumns& rows, std::size_t count) {
  const auto note = [&](std::uint32_t begin) {
    begins_differ_ |= data_begin_.value_or(begin) != begin;
    data_begin_ = begin;
  };
  if (rows.data_begins.empty()) return note(kNoDataBegin);
  for (std::size_t i = 0; i < count; ++i) {
    if (rows.files[i] != kNoFile) note(columns::value_or(rows.data_begins, i, kNoDataBegin));
  }
}

/// One length where all rows share it, else one per row.
void Assembler::add_lengths(std::span<const std::uint64_t> lengths, EntryRow& row) {
  constexpr std::uint64_t kNothing = 0;
  if (lengths.empty()) lengths = {&kNothing, 1};
  row.lengths_differ = std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to()) != lengths.end();
  row.length_begin = lengths_.add(row.lengths_differ != 0 ? lengths : lengths.first(1));
}

void Assembler::add(const LooseParts& loose) {
  LooseStorageRow row{};
  row.fqn_length = static_cast<std::uint32_t>(loose.fqn.size());
  row.fqn_begin = add_name(loose.fqn);
  row.has_offset = loose.offset.has_value();
  if (loose.offset) {
    row.ndim = static_cast<std::uint8_t>(loose.offset->size());
    row.offset_begin = sizes_.add(*loose.offset);
  }
  columns::StoredRow stored = loose.row.is_stored() ? loose.row : columns::StoredRow{};
  stored.data_begin = kNoDataBegin, stored.checksum = kNoChecksum;
  row.length_begin = lengths_.add({&stored.length, 1});
  stored.length = 0;
  rows_.push_back(stored);
  keys_ += stored.is_stored();
  loose_.push_back(row);
}

}  // namespace flatpoint::write
