#include "build/storage_columns.hpp"

#include <algorithm>
#include <tuple>

namespace flatpoint::build {

bool DraftRows::repeats_key(std::uint32_t row) const noexcept {
  const auto offsets = [&](std::uint32_t r) { return boxes.subspan(std::size_t{2} * rank * chunk(r), rank); };
  return std::ranges::equal(offsets(row - 1), offsets(row));
}

StorageColumns::StorageColumns(const Draft& draft) : draft_(draft), row_map_(draft.chunk_files.size(), kDropped) {
  files_.reserve(row_map_.size());
  offsets_.reserve(row_map_.size());
  if (!draft.chunk_transforms.empty()) transforms_.reserve(row_map_.size());
}

void StorageColumns::add(const DraftRows& rows) {
  row_begin_ = static_cast<std::uint32_t>(files_.size());
  std::size_t speaker = 0;  // row of the draft that speaks for all with its key
  lengths_scratch_.clear();
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const std::size_t from = rows.begin + rows.chunk(i);
    const bool repeats = i > 0 && rows.repeats_key(i);
    if (!repeats) speaker = from;
    const bool stored = is_stored(speaker);
    keys_ += stored && !repeats;
    row_map_[from] = static_cast<std::uint32_t>(files_.size());
    files_.push_back(draft_.chunk_files[speaker]);
    offsets_.push_back(stored ? draft_.chunk_offsets[speaker] : 0);
    lengths_scratch_.push_back(stored ? draft_.chunk_lengths[speaker] : 0);
    if (!draft_.chunk_transforms.empty()) transforms_.push_back(stored ? draft_.chunk_transforms[speaker] : std::uint16_t{0});
  }
  add_lengths(rows);
}

/// One length where all rows share it, else one per row.
void StorageColumns::add_lengths(const DraftRows& rows) {
  const std::span<const std::uint64_t> lengths(lengths_scratch_);
  lengths_differ_ = std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to()) != lengths.end();
  length_begin_ = rows.count == 0 ? 0 : lengths_.add(lengths_differ_ ? lengths : lengths.first(1));
}

void StorageColumns::finish() {
  number_files();
  number_transforms();
  write_order();
  write_hints();
  if (keys_ > 0) return;
  offsets_.clear();
  lengths_ = {};
}

/// By first use in storage_data; where that has no order of its own, the draft's numbers are its order.
void StorageColumns::number_files() {
  FirstUse numbers(draft_.files, std::less<>());
  if (draft_.storage_order.empty()) {
    std::vector<bool> in_use(draft_.files.size());
    for (const std::uint32_t file : files_) {
      if (file != kNoFile) in_use[file] = true;
    }
    for (std::uint32_t file = 0; file < in_use.size(); ++file) {
      if (in_use[file]) numbers.number(file);
    }
  }
  for (const std::uint32_t row : draft_.storage_order) numbers.number(draft_.chunk_files[row]);
  for (std::uint32_t& file : files_) {
    if (file != kNoFile) file = numbers.number(file);
  }
  for (const std::uint32_t file : numbers.used()) file_names_.add(draft_.files[file]);
}

void StorageColumns::number_transforms() {
  FirstUse numbers(draft_.transform_lists, [](const DraftTransformList& a, const DraftTransformList& b) {
    return std::tie(a.type, a.descriptors) < std::tie(b.type, b.descriptors);
  });
  for (std::uint16_t& list : transforms_) {
    if (list != 0) list = static_cast<std::uint16_t>(numbers.number(list - 1U) + 1);
  }
  std::uint32_t texts = 0;
  for (const std::uint32_t used : numbers.used()) {
    const DraftTransformList& list = draft_.transform_lists[used];
    for (const std::string_view descriptor : list.descriptors) transform_names_.add(descriptor);
    texts += static_cast<std::uint32_t>(list.descriptors.size());
    transform_lists_.push_back({texts, list.type, {}});
  }
  if (numbers.used().empty()) transforms_.clear();
}

/// Dropped where it is by file, then offset, then row.
void StorageColumns::write_order() {
  order_.reserve(draft_.storage_order.size());
  for (const std::uint32_t row : draft_.storage_order) order_.push_back(row_map_[row]);
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return std::tuple(files_[a], offsets_[a], a) < std::tuple(files_[b], offsets_[b], b);
  };
  if (order_.size() == keys_ && std::is_sorted(order_.begin(), order_.end(), before)) order_.clear();
}

void StorageColumns::write_hints() {
  for (const DraftHint& hint : draft_.hints) {
    const std::uint32_t row = row_map_[hint.row];
    if (row != kDropped && files_[row] != kNoFile) hints_.push_back({row, hint.known, {}, hint.known ? hint.index : 0});
  }
  std::sort(hints_.begin(), hints_.end(), [](const IndexHintRow& a, const IndexHintRow& b) { return a.row < b.row; });
}

void StorageColumns::show(Columns& columns) const {
  columns.chunk_files = files_;
  columns.chunk_offsets = offsets_;
  columns.chunk_lengths = lengths_.values();
  columns.chunk_transforms = transforms_;
  columns.file_names = file_names_.column();
  columns.transform_names = transform_names_.column();
  columns.transform_lists = transform_lists_;
  columns.has_storage_data = draft_.has_storage_data;
  columns.storage_order = order_;
  columns.index_hints = hints_;
}

}  // namespace flatpoint::build
