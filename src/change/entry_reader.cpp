#include "change/entry_reader.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/entry_rules.hpp"
#include "columns/file_rows.hpp"
#include "columns/grid.hpp"
#include "columns/text.hpp"

namespace flatpoint::change {
namespace {

/// Copies a range of a column, each value read once. REQUIRES: the range lies inside.
template <class T>
void copy_range(std::vector<T>& to, std::span<const T> column, std::size_t begin, std::size_t count) {
  to.resize(count);
  const auto from = column.subspan(begin, count);
  for (std::size_t i = 0; i < count; ++i) to[i] = base::read_once(from, i);
}

}  // namespace

tl::unexpected<Error> EntryReader::corrupt(std::string_view rule, std::string_view what) const {
  return base::broken_rule(rule, fmt::format("entry {} (FQN '{}'): {}", position_, fqn_, what));
}

Result<void> EntryReader::open() {
  row_ = base::read_once(c_->entries, position_);
  const std::string_view before = fqn_;
  if (const auto rule = columns::broken_entry_rule(*c_, row_); !rule.empty())
    return corrupt(rule, rule == "E1" ? "the name lies outside its column" : "the rows lie outside their columns");
  fqn_ = as_text(c_->fqns.subspan(row_.fqn_begin, row_.fqn_length));
  if (row_.fqn_begin != next_name_ || (position_ > 0 && before >= fqn_))
    return corrupt("V1", "the name does not sort after the one before it");
  const bool many = row_.storage_type != StorageType::Tensor && row_.chunk_count > 1;
  if (row_.chunk_begin != next_row_ || many || row_.storage_type > StorageType::Opaque)
    return corrupt("V4", "the rows do not follow those before them");
  next_name_ += row_.fqn_length;
  next_row_ += row_.chunk_count;
  return {};
}

Result<write::EntryParts> EntryReader::read() {
  write::EntryParts parts;
  parts.fqn = fqn_;
  parts.type = row_.storage_type;
  order_.clear();
  boxes_.clear();
  if (parts.type == StorageType::Tensor) {
    RETURN_IF_ERROR(read_tensor(parts));
  }
  RETURN_IF_ERROR(read_rows());
  if (!c_->fqn_paths.empty()) {
    const std::uint16_t path = base::read_once(c_->fqn_paths, position_);
    if (path > c_->path_ends.size()) return corrupt("V10", "there is no such planner path");
    if (path != 0) parts.path = path - 1U;
  }
  parts.boxes = boxes_;
  parts.rows = rows_;
  return parts;
}

Result<void> EntryReader::read_tensor(write::EntryParts& parts) {
  if (const auto rule = columns::broken_tensor_rule(*c_, row_); !rule.empty())
    return corrupt(rule, rule == "E2"   ? "the size lies outside its column"
                         : rule == "E3" ? "the boxes do not fit their column"
                                        : "the chunk order lies outside its column");
  copy_range(size_, c_->sizes, row_.size_begin, row_.ndim);
  parts.properties = row_.properties;
  const std::size_t names = c_->type_names.ends.size();
  if ((parts.properties.dtype == ScalarType::Other && parts.properties.dtype_name >= names) ||
      (parts.properties.layout == Layout::Other && parts.properties.layout_name >= names)) {
    return corrupt("V7", "there is no such name of a dtype");
  }
  parts.size = size_;
  if (row_.chunk_count > 0) {
    auto read = read_boxes().and_then([&] { return read_order(); });
    RETURN_IF_ERROR(read);
  }
  read_strides(parts);
  return {};
}

Result<void> EntryReader::read_boxes() {
  const std::size_t ndim = row_.ndim;
  switch (row_.chunk_layout) {
    case ChunkLayout::Whole:
      boxes_.assign(ndim, 0);
      boxes_.insert(boxes_.end(), size_.begin(), size_.end());
      return {};
    case ChunkLayout::Explicit: copy_range(boxes_, c_->boxes, row_.box_begin, 2 * ndim * row_.chunk_count); return {};
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: return read_grid();
  }
  return corrupt("E3", "the boxes do not fit their column");
}

Result<void> EntryReader::read_grid() {
  const std::size_t ndim = row_.ndim;
  points_.clear();
  first_.clear();
  columns::GridAxes axes = columns::grid_axes(*c_, row_);
  std::uint64_t cells = 1;  // counted again: the file may have changed since its rules were checked
  for (std::size_t d = 0; d < ndim; ++d) {
    const columns::GridAxis axis = axes.next();
    const auto count = static_cast<std::uint64_t>(axis.count);
    if (axis.count < 1 || !base::multiply(cells, count, cells) || cells > row_.chunk_count)
      return corrupt("E3", "the cells of the grid are not its chunks");
    first_.push_back(points_.size());
    for (std::uint64_t i = 0; i <= count; ++i) {
      const std::int64_t point = axis.point(i);
      if (i > 0 && point < points_.back()) return corrupt("V5", "the split points do not ascend");
      points_.push_back(point);
    }
  }
  first_.push_back(points_.size());
  if (cells != row_.chunk_count) return corrupt("E3", "the cells of the grid are not its chunks");

  boxes_.resize(2 * ndim * row_.chunk_count);
  at_.assign(first_.begin(), first_.end() - 1);
  std::int64_t* box = boxes_.data();
  for (std::uint32_t row = 0; row < row_.chunk_count; ++row, box += 2 * ndim) {
    for (std::size_t d = 0; d < ndim; ++d) {
      box[d] = points_[at_[d]];
      box[ndim + d] = base::wrapping_subtract(points_[at_[d] + 1], points_[at_[d]]);
    }
    for (std::size_t d = ndim; d-- > 0;) {
      if (++at_[d] + 1 < first_[d + 1]) break;
      at_[d] = first_[d];
    }
  }
  return {};
}

Result<void> EntryReader::read_order() {
  if (row_.reordered == 0) return {};
  copy_range(order_, c_->chunk_order, row_.order_begin, row_.chunk_count);
  std::vector<bool> seen(row_.chunk_count, false);
  for (const std::uint32_t row : order_) {
    if (row >= row_.chunk_count || seen[row]) return corrupt("V6", "the chunk order is no permutation");
    seen[row] = true;
  }
  reorder_boxes();
  return {};
}

/// From row order to DCP's.
void EntryReader::reorder_boxes() {
  const std::size_t per_chunk = std::size_t{2} * row_.ndim;
  std::vector<std::int64_t> ordered(boxes_.size());
  std::int64_t* to = ordered.data();
  for (const std::uint32_t row : order_) to = std::copy_n(boxes_.data() + row * per_chunk, per_chunk, to);
  boxes_ = std::move(ordered);
}

/// Written out, whatever way the file keeps them.
void EntryReader::read_strides(write::EntryParts& parts) {
  const std::size_t ndim = row_.ndim;
  switch (row_.properties.strides) {
    case StridesKind::Explicit: copy_range(strides_, c_->sizes, std::size_t{row_.size_begin} + ndim, ndim); break;
    case StridesKind::Contiguous:
      strides_ = contiguous_strides(row_.chunk_count > 0 ? std::span<const std::int64_t>(boxes_).subspan(ndim, ndim)
                                                         : std::span<const std::int64_t>(size_));
      break;
    default: parts.properties.strides = StridesKind::Absent; return;
  }
  parts.properties.strides = StridesKind::Explicit;
  parts.strides = strides_;
}

Result<void> EntryReader::read_rows() {
  const StoredColumns rows = columns::rows_of(*c_, row_);
  if (order_.empty()) {
    rows_.clear();
    rows_.append(rows, row_.chunk_count);
  } else {
    rows_.assign(rows, order_);
  }
  if (!columns::keep_rule_e6(*c_, rows, rows_))
    return corrupt("E6", "the storage information does not fit its columns");
  return rows_.data_begins.empty() ? Result<void>() : check_data();
}

/// Rule E7. Boxes and rows are in DCP's order here.
Result<void> EntryReader::check_data() const {
  const std::size_t ndim = row_.ndim;
  const std::uint32_t item = item_size(row_.properties.dtype);
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const columns::StoredRow row = rows_[i];
    if (!row.is_stored() || row.data_begin == kNoDataBegin) continue;
    const std::uint64_t file_length =
        c_->file_lengths.empty() ? kNoFileLength : base::read_once(c_->file_lengths, row.file);
    const auto sizes = std::span(boxes_).subspan((2 * i + 1) * ndim, ndim);
    if (!columns::keeps_rule_e7(row, columns::is_transformed(*c_, row.transforms), sizes, item) ||
        !base::in_range(row.byte_offset, row.length, file_length)) {
      return corrupt("E7", "the data lie outside of the chunk's range");
    }
  }
  return {};
}

Result<write::LooseParts> EntryReader::read_loose(std::size_t i) const {
  const auto broken = [i](const char* rule) {
    return base::broken_rule(rule, fmt::format("loose storage {} lies outside its columns", i));
  };
  const LooseStorageRow row = base::read_once(c_->loose_storage, i);
  if (!base::in_range(row.fqn_begin, row.fqn_length, c_->fqns.size()) ||
      !base::in_range(row.offset_begin, row.ndim, c_->sizes.size())) {
    return broken("V12");
  }
  write::LooseParts parts;
  parts.fqn = as_text(c_->fqns.subspan(row.fqn_begin, row.fqn_length));
  if (row.has_offset != 0) parts.offset = c_->sizes.subspan(row.offset_begin, row.ndim);
  const auto stored = columns::stored_row(*c_, c_->chunk_rows() + i, row.length_begin);
  if (!stored) return broken("E6");
  parts.row = *stored;
  return parts;
}

}  // namespace flatpoint::change
