#include "flatpoint/diff.hpp"

#include <algorithm>
#include <string_view>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "base/text_map.hpp"
#include "change/comparison.hpp"
#include "columns/entry_rules.hpp"
#include "columns/planner_path.hpp"
#include "columns/transform_lists.hpp"

namespace flatpoint {
namespace change {
namespace {

/// The texts of a column; what follows a broken end is empty.
std::vector<std::string> texts_of(const TextColumn& column) {
  std::vector<std::string> texts;
  static_cast<void>(each_text(column, [&](std::string_view text) { texts.emplace_back(text); }));
  texts.resize(column.ends.size());
  return texts;
}

/// Lists of transform descriptors, each as one text: its descriptors with their lengths in front.
std::vector<std::string> lists_of(const Columns& c) {
  std::vector<std::string> lists;
  static_cast<void>(columns::each_transform_list(c, [&](std::span<const std::string_view> texts, SequenceType type) {
    std::string& list = lists.emplace_back(type == SequenceType::Tuple ? "tuple" : "list");
    for (const std::string_view text : texts) list += fmt::format(":{}:{}", text.size(), text);
  }));
  lists.resize(c.transform_lists.size());
  return lists;
}

bool equal_properties(const TensorView& x, const TensorView& y, bool same_first_chunk) {
  const TensorPropertiesRow& p = x.row().properties;
  const TensorPropertiesRow& q = y.row().properties;
  if (p.layout != q.layout || x.layout_name() != y.layout_name() || p.memory_format != q.memory_format ||
      (p.requires_grad != 0) != (q.requires_grad != 0) || (p.pin_memory != 0) != (q.pin_memory != 0)) {
    return false;
  }
  if (p.strides == q.strides &&
      (p.strides == StridesKind::Absent || (p.strides == StridesKind::Contiguous && same_first_chunk)))
    return true;
  return x.properties().strides == y.properties().strides;
}

bool equal_order(const TensorView& x, const TensorView& y) {
  const std::uint32_t count = x.chunk_count();
  if (x.row().reordered == 0 && y.row().reordered == 0) return true;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto s = x.chunk(i);
    const auto t = y.chunk(i);
    if (!s || !t || s->row() - x.row().chunk_begin != t->row() - y.row().chunk_begin) return false;
  }
  return true;
}

std::optional<std::vector<PathElementRow>> path_of(const Columns& c, const EntryView& entry) {
  const auto elements = columns::path_of(c, entry.position());
  if (!elements) return std::nullopt;
  return std::vector<PathElementRow>(elements->begin(), elements->end());
}

}  // namespace

Translation::Translation(const std::vector<std::string>& a, const std::vector<std::string>& b)
    : in_a_(a.size(), kNone), in_b_(b.size()) {
  base::TextMap<std::string_view, std::uint32_t> firsts;
  for (std::uint32_t i = 0; i < b.size(); ++i) in_b_[i] = firsts.emplace(b[i], i).first->second;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto found = firsts.find(a[i]);
    if (found != firsts.end()) in_a_[i] = found->second;
  }
}

Comparison::Comparison(const MetadataView& a, const MetadataView& b, Aspects aspects)
    : a_(a),
      b_(b),
      ca_(a.columns()),
      cb_(b.columns()),
      aspects_(aspects),
      files_(texts_of(ca_.file_names), texts_of(cb_.file_names)),
      lists_(lists_of(ca_), lists_of(cb_)) {}

void Comparison::add(Aspect aspect, std::string what, std::string a, std::string b) {
  diff_.file.push_back({aspect, std::move(what), std::move(a), std::move(b)});
}

Result<Diff> Comparison::run() {
  in_b_.assign(a_.size(), kNone);
  RETURN_IF_ERROR(walk());
  if (wants(Aspect::Order)) compare_orders();
  compare_rest();
  return std::move(diff_);
}

Result<void> Comparison::walk() {
  std::uint32_t i = 0;
  std::uint32_t j = 0;
  Lookup<EntryView> x = a_.entry(0);
  Lookup<EntryView> y = b_.entry(0);
  while (x || y) {
    const int order = !x ? 1 : !y ? -1 : x->fqn().compare(y->fqn());
    if (order == 0) {
      RETURN_IF_ERROR(compare(*x, *y));
    } else {
      (order < 0 ? diff_.removed : diff_.added).push_back(order < 0 ? i : j);
    }
    if (order <= 0) x = a_.entry(++i);
    if (order >= 0) y = b_.entry(++j);
  }
  if (!x.corrupt() && !y.corrupt()) return {};
  return fail(ErrorCode::Corrupt, fmt::format("the {} file: entry {} lies outside its columns",
                                              x.corrupt() ? "first" : "second", x.corrupt() ? i : j));
}

Result<void> Comparison::compare(const EntryView& x, const EntryView& y) {
  in_b_[x.position()] = y.position();
  ChangedEntry changed{x.position(), y.position(), 0, 0};
  if (x.type() != y.type()) {
    changed.aspects = changed.aspects | Aspect::Type;
  } else if (x.type() == StorageType::Tensor) {
    const auto s = x.tensor();
    const auto t = y.tensor();
    if (!s || !t)
      return fail(ErrorCode::Corrupt,
                  fmt::format("the {} file: FQN '{}' lies outside its columns", s ? "second" : "first", x.fqn()));
    compare_tensors(*s, *t, changed);
  } else {
    compare_locations(x.row(), y.row(), changed);
  }
  if (wants(Aspect::Planner) && path_of(ca_, x) != path_of(cb_, y)) changed.aspects = changed.aspects | Aspect::Planner;
  changed.aspects &= aspects_;
  if (changed.aspects != 0) diff_.changed.push_back(changed);
  return {};
}

void Comparison::compare_tensors(const TensorView& x, const TensorView& y, ChangedEntry& changed) {
  Aspects& aspects = changed.aspects;
  if (x.dtype() != y.dtype() || x.dtype_name() != y.dtype_name()) aspects = aspects | Aspect::Dtype;
  const bool same_size = std::ranges::equal(x.size(), y.size());
  if (!same_size) aspects = aspects | Aspect::Shape;
  bool same_rows = true;
  const bool same_boxes = equal_boxes(x, y, same_size, same_rows);
  if (!same_boxes) aspects = aspects | Aspect::Sharding;
  same_rows_ &= same_boxes && same_rows;
  const bool same_order = same_boxes && same_rows && equal_order(x, y);
  if (wants(Aspect::Properties) && !equal_properties(x, y, same_size && same_order))
    aspects = aspects | Aspect::Properties;
  if (!same_boxes) return;
  if (!same_order) aspects = aspects | Aspect::Order;
  compare_locations(x.row(), y.row(), changed);
}

/// By layout where both files lay the boxes out alike, as those do that this library wrote; box by box otherwise.
bool Comparison::equal_boxes(const TensorView& x, const TensorView& y, bool same_size, bool& same_rows) const {
  const EntryRow& p = x.row();
  const EntryRow& q = y.row();
  if (p.ndim != q.ndim || p.chunk_count != q.chunk_count) return false;
  if (p.chunk_count == 0) return true;
  const auto values = columns::box_values(ca_, p);
  const auto other_values = columns::box_values(cb_, q);
  if (p.chunk_layout == q.chunk_layout && values && other_values && equal_values(*values, *other_values)) {
    const bool counts_on_size = p.chunk_layout == ChunkLayout::Whole || p.chunk_layout == ChunkLayout::EvenGrid;
    if (same_size || !counts_on_size) return true;
  }
  for (std::uint32_t row = 0; row < p.chunk_count; ++row) {
    const ChunkView s = *x.chunk_by_row(row);
    const ChunkView t = *y.chunk_by_row(row);
    for (unsigned i = 0; i < p.ndim; ++i) {
      const auto d = static_cast<std::uint8_t>(i);
      if (s.offset(d) != t.offset(d)) return false;
      if (s.size(d) == t.size(d)) continue;
      same_rows = false;
      return equal_box_lists(x, y);
    }
  }
  return true;
}

/// The same where chunks start at one offset, whose rows have the order of DCP's list.
bool Comparison::equal_box_lists(const TensorView& x, const TensorView& y) {
  const auto sorted = [](const TensorView& tensor) {
    std::vector<std::pair<Size, Size>> boxes;
    for (std::uint32_t row = 0; row < tensor.chunk_count(); ++row) {
      ChunkStorageMetadata box = tensor.chunk_by_row(row)->to_value();
      boxes.emplace_back(std::move(box.offsets), std::move(box.sizes));
    }
    std::ranges::sort(boxes);
    return boxes;
  };
  return sorted(x) == sorted(y);
}

void Comparison::compare_locations(const EntryRow& p, const EntryRow& q, ChangedEntry& changed) {
  if (!wants(Aspect::Location) && !wants(Aspect::Order)) return;
  const StoredColumns x = columns::rows_of(ca_, p);
  const StoredColumns y = columns::rows_of(cb_, q);
  // What is no tensor has one row, or none; a row without a file says as much as none.
  const std::size_t common = std::min(x.files.size(), y.files.size());
  std::size_t differing = 0;
  for (std::size_t i = 0; i < common; ++i) differing += !same_place(columns::row_at(x, i), columns::row_at(y, i));
  for (std::size_t i = common; i < x.files.size(); ++i) differing += x.files[i] != kNoFile;
  for (std::size_t i = common; i < y.files.size(); ++i) differing += y.files[i] != kNoFile;
  same_rows_ &= x.files.size() == y.files.size();
  changed.chunks = static_cast<std::uint32_t>(differing);
  if (differing == 0) return;
  changed.aspects = changed.aspects | Aspect::Location;
  same_places_ = false;
}

bool Comparison::same_place(const columns::StoredRow& x, const columns::StoredRow& y) const noexcept {
  if (!x.is_stored() || !y.is_stored()) return x.file == y.file;
  const bool same_begin = x.data_begin == y.data_begin || x.data_begin == kNoDataBegin || y.data_begin == kNoDataBegin;
  return files_.same(x.file, y.file) && x.byte_offset == y.byte_offset && x.length == y.length && same_begin &&
         (x.transforms == 0 || y.transforms == 0 ? x.transforms == y.transforms
                                                 : lists_.same(x.transforms - 1U, y.transforms - 1U));
}

}  // namespace change

std::string_view to_string(Aspect aspect) noexcept {
  switch (aspect) {
    case Aspect::Type: return "type";
    case Aspect::Dtype: return "dtype";
    case Aspect::Shape: return "shape";
    case Aspect::Properties: return "properties";
    case Aspect::Sharding: return "sharding";
    case Aspect::Location: return "location";
    case Aspect::Order: return "order";
    case Aspect::Planner: return "planner";
    case Aspect::Meta: return "meta";
    case Aspect::Save: return "save";
    case Aspect::Data: return "data";
  }
  return {};
}

Result<Diff> diff(const MetadataView& a, const MetadataView& b, Aspects aspects) {
  return change::Comparison(a, b, aspects).run();
}

}  // namespace flatpoint
