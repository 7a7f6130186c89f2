#include "write/assembler.hpp"

#include <algorithm>
#include <functional>

namespace flatpoint::write {

void Assembler::reserve(std::size_t entries, std::size_t rows, std::size_t box_values, std::size_t name_bytes) {
  entries_.reserve(entries);
  paths_.reserve(entries);
  files_.reserve(rows);
  offsets_.reserve(rows);
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
  const bool is_stored = !entry.files.empty() && entry.files[0] != kNoFile;
  if (entry.type != StorageType::Tensor && !is_stored) entry.files = {};
  EntryRow row{};
  row.fqn_length = static_cast<std::uint32_t>(entry.fqn.size());
  row.fqn_begin = add_name(entry.fqn);
  row.storage_type = entry.type;
  row.chunk_begin = static_cast<std::uint32_t>(files_.size());
  row.chunk_count = static_cast<std::uint32_t>(entry.files.size());
  if (entry.type == StorageType::Tensor) add_tensor(entry, row);
  const auto chunk_of_row = row.reordered != 0 ? layout_.chunk_of_row() : std::span<const std::uint32_t>();
  add_rows(entry, chunk_of_row);
  add_lengths(row);
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

/// Appends files, offsets and transforms in row order; a row without a file says nothing else.
void Assembler::add_rows(const EntryParts& entry, std::span<const std::uint32_t> chunk_of_row) {
  const std::size_t rows = entry.files.size();
  const std::size_t begin = files_.size();
  row_lengths_.resize(rows);
  if (rows == 0) return;
  files_.resize(begin + rows);
  offsets_.resize(begin + rows);
  if (!entry.transforms.empty() || !transforms_.empty()) transforms_.resize(begin + rows, 0);
  const auto stored = rows - static_cast<std::size_t>(std::ranges::count(entry.files, kNoFile));
  keys_ += stored;
  if (stored == rows && chunk_of_row.empty()) {
    std::copy_n(entry.files.data(), rows, files_.data() + begin);
    std::copy_n(entry.offsets.data(), rows, offsets_.data() + begin);
    std::copy_n(entry.lengths.data(), rows, row_lengths_.data());
    if (!entry.transforms.empty()) std::copy_n(entry.transforms.data(), rows, transforms_.data() + begin);
  } else {
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t chunk = chunk_of_row.empty() ? row : chunk_of_row[row];
      const bool is_stored = entry.files[chunk] != kNoFile;
      files_[begin + row] = entry.files[chunk];
      offsets_[begin + row] = is_stored ? entry.offsets[chunk] : 0;
      row_lengths_[row] = is_stored ? entry.lengths[chunk] : 0;
      if (!entry.transforms.empty() && is_stored) transforms_[begin + row] = entry.transforms[chunk];
    }
  }
  if (entry.type == StorageType::Tensor && rows > 1 && layout_.equal_offsets()) repeat_storage(begin, rows);
}

/// Rows with one offset have one key in storage_data. The first that has elements and lies somewhere speaks for all,
/// else the first that lies somewhere.
void Assembler::repeat_storage(std::size_t begin, std::size_t rows) {
  for (std::size_t first = 0; first < rows;) {
    std::size_t end = first + 1;
    while (end < rows && layout_.repeats_offset(end)) ++end;
    const bool absent = keeps_absent_keys_ && files_[begin + first] == kNoFile;
    std::size_t speaker = first;
    for (std::size_t row = first; row < end && !absent; ++row) {
      if (files_[begin + row] == kNoFile) continue;
      if (files_[begin + speaker] == kNoFile || layout_.has_elements(row)) speaker = row;
      if (layout_.has_elements(row)) break;
    }
    for (std::size_t row = first; row < end; ++row) {
      keys_ -= files_[begin + row] != kNoFile;
      if (row != speaker) copy_storage(begin, row, speaker);
    }
    keys_ += files_[begin + first] != kNoFile;
    first = end;
  }
}

void Assembler::copy_storage(std::size_t begin, std::size_t to, std::size_t from) {
  files_[begin + to] = files_[begin + from];
  offsets_[begin + to] = offsets_[begin + from];
  row_lengths_[to] = row_lengths_[from];
  if (!transforms_.empty()) transforms_[begin + to] = transforms_[begin + from];
}

/// One length where all rows share it, else one per row.
void Assembler::add_lengths(EntryRow& row) {
  const std::span<const std::uint64_t> lengths(row_lengths_);
  if (lengths.empty()) return;
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
  const bool stored = loose.file != kNoFile;
  const std::uint64_t length = stored ? loose.length : 0;
  row.length_begin = lengths_.add({&length, 1});
  files_.push_back(loose.file);
  offsets_.push_back(stored ? loose.byte_offset : 0);
  if (stored && loose.transforms != 0) {
    transforms_.resize(files_.size(), 0);
    transforms_.back() = loose.transforms;
  }
  keys_ += stored;
  loose_.push_back(row);
}

}  // namespace flatpoint::write
