// Rules about chunks and their storage: V4 to V6, V8, V9, V12.
#include <algorithm>

#include "read/verifier.hpp"

namespace flatpoint::read {
namespace {

std::string join(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

/// The chunk that a finding speaks of, for people.
std::string describe(const ChunkView& chunk) {
  const ChunkStorageMetadata box = chunk.to_value();
  return fmt::format("offsets {} sizes {}", join(box.offsets), join(box.sizes));
}

bool lies_inside(const ChunkView& chunk, std::span<const std::int64_t> size) {
  for (unsigned i = 0; i < chunk.rank(); ++i) {
    const auto d = static_cast<std::uint8_t>(i);
    const std::int64_t begin = chunk.offset(d);
    const std::int64_t length = chunk.size(d);
    std::int64_t end = 0;
    if (begin < 0 || length < 0 || !base::add(begin, length, end) || end > size[d]) return false;
  }
  return true;
}

}  // namespace

void Verifier::rows() {
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < c_.entries.size(); ++i) {
    const auto entry = ViewAccess::entry(c_, i);
    if (!entry) {
      report_.broken("E4", "entry {}: its chunks or its FQN lie outside their columns", i);
      continue;
    }
    const EntryRow& row = entry->row();
    if (row.chunk_begin != end) {
      // Not looked at further: a hostile file could let a million tensors share ten million rows.
      report_.broken("V4", "FQN '{}': its rows begin at {} instead of {}", entry->fqn(), row.chunk_begin, end);
      continue;
    }
    end = std::uint64_t{row.chunk_begin} + row.chunk_count;
    if (row.storage_type != StorageType::Tensor && row.chunk_count > 1) {
      report_.broken("V4", "FQN '{}': not a tensor, with {} rows", entry->fqn(), row.chunk_count);
    }
    enumerations(*entry);
    if (row.storage_type != StorageType::Tensor) continue;
    const auto view = entry->tensor();
    if (view) {
      tensor(*view);
    } else {
      report_.broken("E2", "FQN '{}': its size, boxes or chunk order lie outside their columns", entry->fqn());
    }
  }
  if (end != c_.chunk_rows()) report_.broken("V4", "the entries' rows end at {} of {}", end, c_.chunk_rows());
}

void Verifier::tensor(const TensorView& view) {
  switch (view.row().chunk_layout) {
    case ChunkLayout::Whole: break;
    case ChunkLayout::Explicit: explicit_boxes(view); break;
    case ChunkLayout::Grid:
    case ChunkLayout::EvenGrid: grid(view); break;
  }
  chunk_order(view);
  findings_of(view);
}

void Verifier::explicit_boxes(const TensorView& view) {
  const std::size_t values = std::size_t{2} * view.rank();
  const auto boxes = c_.boxes.subspan(view.row().box_begin, values * view.chunk_count());
  for (std::size_t row = 1; row < view.chunk_count(); ++row) {
    const auto before = boxes.subspan((row - 1) * values, values);
    const auto after = boxes.subspan(row * values, values);
    if (std::lexicographical_compare(after.begin(), after.end(), before.begin(), before.end())) {
      report_.broken("V5", "FQN '{}': row {} does not sort after the row before it", view.fqn(), row);
    }
  }
}

void Verifier::grid(const TensorView& view) {
  const GridReader grid{c_.boxes, view.row().box_begin, view.rank()};
  std::uint64_t at = view.rank();
  for (unsigned i = 0; i < view.rank(); ++i) {
    const auto d = static_cast<std::uint8_t>(i);
    if (view.row().chunk_layout == ChunkLayout::EvenGrid) {
      if (grid.step(d) < 0) report_.broken("V5", "FQN '{}': dimension {} has step {}", view.fqn(), i, grid.step(d));
      continue;
    }
    const auto count = static_cast<std::uint64_t>(grid.count(d));
    for (std::uint64_t split = 0; split < count; ++split) {
      if (grid.at(at + split) > grid.at(at + split + 1)) {
        report_.broken("V5", "FQN '{}': split point {} of dimension {} lies after the next", view.fqn(), split, i);
      }
    }
    at += count + 1;
  }
}

void Verifier::chunk_order(const TensorView& view) {
  if (view.row().reordered == 0) return;
  permutation("V6", fmt::format("FQN '{}': chunk_order", view.fqn()),
              c_.chunk_order.subspan(view.row().order_begin, view.chunk_count()), view.chunk_count());
}

void Verifier::enumerations(const EntryView& entry) {
  const EntryRow& row = entry.row();
  if (row.storage_type > StorageType::Opaque) report_.finding("unknown_value", "FQN '{}': storage type {}", entry.fqn(), static_cast<int>(row.storage_type));
  if (row.storage_type != StorageType::Tensor) return;
  const TensorPropertiesRow& p = row.properties;
  if (p.dtype == ScalarType::Other ? !text_at(c_.type_names, p.dtype_name) : name_of(p.dtype).empty()) {
    report_.finding("unknown_value", "FQN '{}': dtype {}", entry.fqn(), static_cast<int>(p.dtype));
  }
  if (p.layout == Layout::Other ? !text_at(c_.type_names, p.layout_name) : name_of(p.layout).empty()) {
    report_.finding("unknown_value", "FQN '{}': layout {}", entry.fqn(), static_cast<int>(p.layout));
  }
  if (name_of(p.memory_format).empty()) report_.finding("unknown_value", "FQN '{}': memory format {}", entry.fqn(), static_cast<int>(p.memory_format));
}

void Verifier::findings_of(const TensorView& view) {
  const auto size = view.size();
  if (std::any_of(size.begin(), size.end(), [](std::int64_t n) { return n < 0; })) {
    report_.finding("negative_size", "FQN '{}': size {}", view.fqn(), join(size));
  }
  // A grid lies inside the tensor when its outermost cells do: two rows speak for all.
  const bool is_grid = view.row().chunk_layout != ChunkLayout::Explicit;
  const std::uint32_t step = is_grid && view.chunk_count() > 1 ? view.chunk_count() - 1 : 1;
  for (std::uint32_t i = 0; i < view.chunk_count(); i += step) {
    const ChunkView chunk = *view.chunk_by_row(i);
    if (!lies_inside(chunk, size)) {
      report_.finding("chunk_outside", "FQN '{}': chunk with {} in a tensor of size {}", view.fqn(), describe(chunk), join(size));
    }
  }
  if (!c_.has_storage_data) return;
  const auto files = c_.chunk_files.subspan(view.row().chunk_begin, view.chunk_count());
  const auto unstored = std::count(files.begin(), files.end(), kNoFile);
  if (unstored > 0) report_.finding("no_storage", "FQN '{}': {} of {} chunks have no storage information", view.fqn(), unstored, files.size());
}

void Verifier::storage_of_rows() {
  std::size_t stored = 0;
  for (std::size_t row = 0; row < c_.chunk_files.size(); ++row) {
    const std::uint32_t file = c_.chunk_files[row];
    if (file == kNoFile) continue;
    ++stored;
    if (file >= c_.file_names.ends.size()) report_.broken("V8", "row {}: file {} of {}", row, file, c_.file_names.ends.size());
    if (!c_.chunk_transforms.empty() && c_.chunk_transforms[row] > c_.transform_lists.size()) {
      report_.broken("V8", "row {}: transform list {} of {}", row, c_.chunk_transforms[row] - 1, c_.transform_lists.size());
    }
  }
  if (stored > 0 && c_.chunk_offsets.empty()) report_.broken("V8", "{} rows have a file, but chunk_offsets is absent", stored);
  if (stored > 0 && !c_.has_storage_data) report_.broken("V8", "{} rows have a file although storage_data is None", stored);
  for (std::uint32_t i = 0; i < c_.entries.size(); ++i) {
    const EntryRow& row = c_.entries[i];
    if (row.chunk_count == 0 || c_.chunk_offsets.empty()) continue;
    if (!base::in_range(row.length_begin, row.lengths_differ != 0 ? row.chunk_count : 1, c_.chunk_lengths.size())) {
      report_.broken("E6", "entry {}: its lengths lie outside chunk_lengths", i);
    }
  }
}

void Verifier::storage_order() {
  permutation("V9", "storage_order", c_.storage_order, c_.chunk_files.size());
  for (const std::uint32_t row : c_.storage_order) {
    if (row < c_.chunk_files.size() && c_.chunk_files[row] == kNoFile) report_.broken("V9", "storage_order names row {}, which has no file", row);
  }
  for (std::size_t i = 0; i < c_.index_hints.size(); ++i) {
    const IndexHintRow& hint = c_.index_hints[i];
    if (hint.row >= c_.chunk_files.size()) report_.broken("V9", "index hint {}: row {} of {}", i, hint.row, c_.chunk_files.size());
    if (i > 0 && hint.row <= c_.index_hints[i - 1].row) report_.broken("V9", "index hint {} does not sort after the one before it", i);
  }
}

void Verifier::loose_storage() {
  for (std::size_t i = 0; i < c_.loose_storage.size(); ++i) {
    const LooseStorageRow& row = c_.loose_storage[i];
    const auto name = text_at(c_.fqns, row.fqn_begin, row.fqn_length);
    if (!name || !base::in_range(row.offset_begin, row.rank, c_.sizes.size())) {
      report_.broken("V12", "loose storage {} lies outside its columns", i);
      continue;
    }
    const auto offset = c_.sizes.subspan(row.offset_begin, row.rank);
    report_.finding("loose_storage", "FQN '{}' offset {}: storage information without a chunk", *name,
                    row.has_offset != 0 ? join(offset) : std::string("None"));
    if (i == 0) continue;
    const LooseStorageRow& previous = c_.loose_storage[i - 1];
    const auto name_before = text_at(c_.fqns, previous.fqn_begin, previous.fqn_length);
    if (!name_before || !base::in_range(previous.offset_begin, previous.rank, c_.sizes.size())) continue;
    const auto offset_before = c_.sizes.subspan(previous.offset_begin, previous.rank);
    const bool sorted = *name_before != *name ? *name_before < *name
                        : (previous.has_offset != 0) != (row.has_offset != 0)
                            ? row.has_offset != 0
                            : std::lexicographical_compare(offset_before.begin(), offset_before.end(), offset.begin(), offset.end());
    if (!sorted) report_.broken("V12", "loose storage {} does not sort after the one before it", i);
  }
}

}  // namespace flatpoint::read
