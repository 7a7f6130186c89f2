// Rules about rows and boxes: E2 to E5, V4 to V6, and findings about chunks.
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
  repeats_key_.assign(c_.chunk_files.size(), false);
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < c_.entries.size(); ++i) {
    const EntryRow& row = c_.entries[i];
    const std::string_view broken = ViewAccess::broken_entry_rule(c_, row);
    if (broken == "E1") continue;  // reported among the names
    const auto name = [&] { return shown(*text_at(c_.fqns, row.fqn_begin, row.fqn_length)); };
    if (!broken.empty()) {
      report_.broken(broken, "FQN '{}': its rows lie outside the rows of chunks", name());
      continue;
    }
    if (row.chunk_begin != end) {
      report_.broken("V4", "FQN '{}': its rows begin at {} instead of {}", name(), row.chunk_begin, end);
      continue;
    }
    end = std::uint64_t{row.chunk_begin} + row.chunk_count;
    if (row.storage_type != StorageType::Tensor && row.chunk_count > 1) {
      report_.broken("V4", "FQN '{}': not a tensor, with {} rows", name(), row.chunk_count);
    }
    const EntryView entry = *MetadataView(c_).entry(i);
    enumerations(entry);
    storage_of(entry);
    if (row.storage_type != StorageType::Tensor) continue;
    if (const auto view = entry.tensor()) {
      tensor(*view);
    } else {
      report_.broken(ViewAccess::broken_tensor_rule(c_, row), "FQN '{}': its size, boxes or chunk order do not fit their columns", name());
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
  if (view.row().reordered != 0) {
    permutation("E5", "V6", fmt::format("FQN '{}': chunk_order", shown(view.fqn())),
                c_.chunk_order.subspan(view.row().order_begin, view.chunk_count()), view.chunk_count());
  }
  equal_keys(view);
  findings_of(view);
}

/// Rows are sorted; of rows that start at the same place, at most one should hold elements.
void Verifier::explicit_boxes(const TensorView& view) {
  if (view.chunk_count() == 0) return;
  const std::size_t values = std::size_t{2} * view.rank();
  const auto boxes = c_.boxes.subspan(view.row().box_begin, values * view.chunk_count());
  const auto holds_elements = [&](std::span<const std::int64_t> box) {
    return std::ranges::all_of(box.last(view.rank()), [](std::int64_t size) { return size > 0; });
  };
  bool elements_here = holds_elements(boxes.first(values));
  for (std::size_t row = 1; row < view.chunk_count(); ++row) {
    const auto before = boxes.subspan((row - 1) * values, values);
    const auto after = boxes.subspan(row * values, values);
    if (std::ranges::lexicographical_compare(after.first(view.rank()), before.first(view.rank()))) {
      report_.broken("V5", "FQN '{}': row {} does not sort after the row before it", shown(view.fqn()), row);
    }
    const bool same_start = std::ranges::equal(before.first(view.rank()), after.first(view.rank()));
    const bool elements = holds_elements(after);
    if (same_start && elements && elements_here) {
      report_.finding("duplicate_chunk", "FQN '{}': several chunks start at {}", shown(view.fqn()), join(after.first(view.rank())));
    }
    elements_here = elements || (same_start && elements_here);
  }
}

void Verifier::grid(const TensorView& view) {
  const GridReader grid{c_.boxes, view.row().box_begin, view.rank()};
  std::uint64_t at = view.rank();
  for (unsigned i = 0; i < view.rank(); ++i) {
    const auto d = static_cast<std::uint8_t>(i);
    if (view.row().chunk_layout == ChunkLayout::EvenGrid) {
      if (grid.step(d) < 0) report_.broken("V5", "FQN '{}': dimension {} has step {}", shown(view.fqn()), i, grid.step(d));
      continue;
    }
    const auto count = static_cast<std::uint64_t>(grid.count(d));
    for (std::uint64_t split = 0; split < count; ++split) {
      if (grid.at(at + split) > grid.at(at + split + 1)) {
        report_.broken("V5", "FQN '{}': split point {} of dimension {} lies after the next", shown(view.fqn()), split, i);
      }
    }
    at += count + 1;
  }
}

void Verifier::enumerations(const EntryView& entry) {
  const auto unknown = [&](std::string_view what, auto value) {
    report_.finding("unknown_value", "FQN '{}': {} {}", shown(entry.fqn()), what, static_cast<int>(value));
  };
  if (entry.type() > StorageType::Opaque) unknown("storage type", entry.type());
  if (entry.type() != StorageType::Tensor) return;
  const TensorPropertiesRow& p = entry.row().properties;
  if (p.dtype == ScalarType::Other ? !text_at(c_.type_names, p.dtype_name) : name_of(p.dtype).empty()) unknown("dtype", p.dtype);
  if (p.layout == Layout::Other ? !text_at(c_.type_names, p.layout_name) : name_of(p.layout).empty()) unknown("layout", p.layout);
  if (name_of(p.memory_format).empty()) unknown("memory format", p.memory_format);
  if (p.strides > StridesKind::Explicit) unknown("kind of strides", p.strides);
}

void Verifier::findings_of(const TensorView& view) {
  const auto size = view.size();
  if (std::any_of(size.begin(), size.end(), [](std::int64_t n) { return n < 0; })) {
    report_.finding("negative_size", "FQN '{}': size {}", shown(view.fqn()), join(size));
  }
  // A grid lies inside the tensor when its outermost cells do: two rows speak for all.
  const bool is_grid = view.row().chunk_layout != ChunkLayout::Explicit;
  const std::uint32_t step = is_grid && view.chunk_count() > 1 ? view.chunk_count() - 1 : 1;
  for (std::uint32_t i = 0; i < view.chunk_count(); i += step) {
    const ChunkView chunk = *view.chunk_by_row(i);
    if (!lies_inside(chunk, size)) {
      report_.finding("chunk_outside", "FQN '{}': chunk with {} in a tensor of size {}", shown(view.fqn()), describe(chunk), join(size));
    }
  }
  if (!c_.has_storage_data) return;
  const auto files = c_.chunk_files.subspan(view.row().chunk_begin, view.chunk_count());
  const auto unstored = std::count(files.begin(), files.end(), kNoFile);
  if (unstored > 0) {
    report_.finding("no_storage", "FQN '{}': {} of {} chunks have no storage information", shown(view.fqn()), unstored, files.size());
  }
}

}  // namespace flatpoint::read
