#include "change/merge_rows.hpp"

#include <algorithm>
#include <numeric>

namespace flatpoint::change {

void MergeRows::start(std::size_t ndim) {
  ndim_ = ndim;
  boxes_.clear(), rows_.clear(), sources_.clear(), source_rows_.clear();
  by_offset_.clear();
}

void MergeRows::add(const MergeSource& source, std::uint32_t number, const write::EntryParts& parts) {
  const std::size_t before = rows_.size();
  const std::size_t count = parts.row_count();
  boxes_.insert(boxes_.end(), parts.boxes.begin(), parts.boxes.end());
  StoredColumns rows = parts.rows;
  if (!source.keeps_checksums) rows.checksums = {};
  rows_.append(rows, count);
  for (std::size_t i = before; i < rows_.size(); ++i) {
    if (rows_.files[i] != kNoFile) rows_.files[i] = source.files[rows_.files[i]];
    if (!rows_.transforms.empty()) rows_.transforms[i] = source.transforms(rows_.transforms[i]);
  }
  sources_.insert(sources_.end(), count, number);
  const std::uint32_t first = source.reader.row_begin();
  const auto row_of_chunk = source.reader.row_of_chunk();
  for (std::uint32_t i = 0; i < count; ++i)
    source_rows_.push_back(first + (row_of_chunk.empty() ? i : row_of_chunk[i]));
}

int MergeRows::compare_boxes(std::size_t a, std::size_t b) const noexcept {
  const std::int64_t* x = offsets(a);
  const std::int64_t* y = offsets(b);
  for (std::size_t i = 0; i < 2 * ndim_; ++i) {
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return 0;
}

std::size_t MergeRows::drop_replicas() {
  const std::size_t count = size();
  std::size_t row = 1;
  while (row < count && compare_boxes(row - 1, row) < 0) ++row;
  if (row >= count) return 0;
  // Replicas often stand side by side; what is left is sorted only where it has to be.
  is_replica_.assign(count, false);
  sorted_.assign(1, 0);
  bool ascending = true;
  for (row = 1; row < count; ++row) {
    const int order = compare_boxes(sorted_.back(), row);
    ascending &= order <= 0;
    if (order == 0) {
      replace(sorted_.back(), row);
    } else {
      sorted_.push_back(static_cast<std::uint32_t>(row));
    }
  }
  if (!ascending) {
    std::sort(sorted_.begin(), sorted_.end(), [&](std::uint32_t a, std::uint32_t b) {
      const int order = compare_boxes(a, b);
      return order != 0 ? order < 0 : a < b;
    });
    std::uint32_t kept = sorted_.front();
    for (std::size_t i = 1; i < sorted_.size(); ++i) {
      if (compare_boxes(kept, sorted_[i]) == 0) {
        replace(kept, sorted_[i]);
      } else {
        kept = sorted_[i];
      }
    }
  }
  drop_marked();
  return count - size();
}

std::size_t MergeRows::keep_one() {
  const std::size_t count = size();
  if (count < 2) return 0;
  is_replica_.assign(count, false);
  for (std::size_t row = 1; row < count; ++row) replace(0, row);
  drop_marked();
  return count - 1;
}

void MergeRows::replace(std::size_t kept, std::size_t replica) {
  is_replica_[replica] = true;
  if (rows_.files[kept] == kNoFile && rows_.files[replica] != kNoFile) copy_storage(kept, replica);
}

void MergeRows::copy_storage(std::size_t to, std::size_t from) {
  rows_.set(to, rows_[from]);
  sources_[to] = sources_[from];
  source_rows_[to] = source_rows_[from];
}

/// Moves the rows that are no replicas together.
void MergeRows::drop_marked() {
  std::size_t to = 0;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    if (is_replica_[row]) continue;
    if (to != row) {
      std::copy_n(offsets(row), 2 * ndim_, boxes_.data() + to * 2 * ndim_);
      copy_storage(to, row);
    }
    ++to;
  }
  boxes_.resize(to * 2 * ndim_);
  rows_.resize(to), sources_.resize(to), source_rows_.resize(to);
}

void MergeRows::lend(std::size_t row, const write::LooseParts& parts, std::uint32_t source, std::uint32_t source_row) {
  if (size() == 0) {
    rows_.push_back({}), sources_.push_back(source), source_rows_.push_back(source_row);
  }
  if (rows_.files[row] != kNoFile) return;
  rows_.set(row, parts.row);
  sources_[row] = source;
  source_rows_[row] = source_row;
}

std::size_t MergeRows::find(std::span<const std::int64_t> offset) {
  if (by_offset_.size() != size()) {
    by_offset_.resize(size());
    std::iota(by_offset_.begin(), by_offset_.end(), 0U);
    std::stable_sort(by_offset_.begin(), by_offset_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::lexicographical_compare(offsets(a), offsets(a) + ndim_, offsets(b), offsets(b) + ndim_);
    });
  }
  const auto found = std::ranges::lower_bound(by_offset_, offset, std::ranges::lexicographical_compare,
                                              [&](std::uint32_t row) { return std::span(offsets(row), ndim_); });
  return found != by_offset_.end() && std::ranges::equal(std::span(offsets(*found), ndim_), offset) ? *found : size();
}

void MergeRows::show(write::EntryParts& parts) const noexcept {
  parts.boxes = boxes_;
  parts.rows = rows_;
}

}  // namespace flatpoint::change
