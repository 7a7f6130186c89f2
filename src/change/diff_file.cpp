// What belongs to no FQN: orders, storage information without a chunk, version, storage_meta, opaque records.

#include <algorithm>

#include "base/format.hpp"
#include "change/comparison.hpp"

namespace flatpoint::change {
namespace {

std::string shown(const std::optional<ByteColumn>& text) { return text ? fmt::format("'{}'", as_text(*text)) : "None"; }

/// Calls visit(entry) in a dictionary's order. `keys`: planner_data's, else state_dict_metadata's.
template <class Visit>
void for_each_entry(const Columns& c, bool keys, Visit&& visit) {
  const bool has_order = keys && !c.planner_order.empty();
  const auto& order = has_order ? c.planner_order : c.fqn_order;
  for (std::uint32_t i = 0; i < (order.empty() ? c.entries.size() : order.size()); ++i) {
    const std::uint32_t entry = order.empty() ? i : base::read_once(order, i);
    const bool is_there =
        entry < c.entries.size() && (!keys || (!c.fqn_paths.empty() && base::read_once(c.fqn_paths, entry) != 0));
    if (is_there) visit(entry);
  }
}

std::span<const std::int64_t> offset_of(const Columns& c, const LooseStorageRow& row) noexcept {
  const bool fits = base::in_range(row.offset_begin, row.ndim, c.sizes.size());
  return fits ? c.sizes.subspan(row.offset_begin, row.ndim) : std::span<const std::int64_t>();
}

/// Names and pickles follow each other without gap (V11): comparing them all is no longer than they are.
bool equal_opaque_records(const Columns& a, const Columns& b) noexcept {
  if (a.opaque.size() != b.opaque.size()) return false;
  std::uint64_t name = 0;
  std::uint64_t pickle = 0;
  for (std::size_t i = 0; i < a.opaque.size(); ++i) {
    const OpaqueRecordRow p = base::read_once(a.opaque, i);
    const OpaqueRecordRow q = base::read_once(b.opaque, i);
    for (const OpaqueRecordRow& row : {p, q}) {
      if (row.name_begin != name || row.pickle_begin != pickle) return false;
    }
    const bool same =
        p.kind == q.kind && p.position == q.position &&
        text_at(a.opaque_names, name, p.name_length) == text_at(b.opaque_names, name, q.name_length) &&
        text_at(a.opaque_pickles, pickle, p.pickle_length) == text_at(b.opaque_pickles, pickle, q.pickle_length);
    if (!same) return false;
    name += p.name_length;
    pickle += p.pickle_length;
  }
  return true;
}

}  // namespace

/// Whether the entries that both dictionaries have come in one order.
bool Comparison::same_order(bool keys) const {
  std::vector<bool> in_b(cb_.entries.size(), false);
  for_each_entry(cb_, keys, [&](std::uint32_t entry) { in_b[entry] = true; });
  std::vector<bool> in_both(cb_.entries.size(), false);
  std::vector<std::uint32_t> order;
  for_each_entry(ca_, keys, [&](std::uint32_t entry) {
    const std::uint32_t there = in_b_[entry];
    if (there != kNone && in_b[there]) order.push_back(there), in_both[there] = true;
  });
  std::size_t next = 0;
  bool same = true;
  for_each_entry(cb_, keys, [&](std::uint32_t entry) {
    if (in_both[entry]) same &= next < order.size() && order[next++] == entry;
  });
  return same;
}

void Comparison::compare_orders() {
  const bool sorted = ca_.fqn_order.empty() && cb_.fqn_order.empty();
  if (!sorted && !same_order(false)) add(Aspect::Order, "order of state_dict_metadata");
  const bool unordered = sorted && ca_.planner_order.empty() && cb_.planner_order.empty();
  if (!unordered && ca_.has_planner_data && cb_.has_planner_data && !same_order(true))
    add(Aspect::Order, "order of planner_data");
  // Rows have equal numbers in both files where all entries and boxes are equal.
  const bool same_rows = same_rows_ && same_places_ && diff_.removed.empty() && diff_.added.empty();
  if (!same_rows || ca_.chunk_files.size() != cb_.chunk_files.size()) return;
  const bool by_place = ca_.storage_order.empty() && cb_.storage_order.empty();
  if (by_place ? !same_file_order() : !equal_values(ca_.storage_order, cb_.storage_order))
    add(Aspect::Order, "order of storage_data");
}

bool Comparison::same_file_order() const noexcept {
  for (std::uint32_t file = 0; file < ca_.file_names.ends.size(); ++file) {
    if (!files_.same(file, file)) return false;
  }
  return true;
}

bool Comparison::same_loose_storage() const {
  if (ca_.loose_storage.size() != cb_.loose_storage.size()) return false;
  for (std::size_t i = 0; i < ca_.loose_storage.size(); ++i) {
    const LooseStorageRow p = base::read_once(ca_.loose_storage, i);
    const LooseStorageRow q = base::read_once(cb_.loose_storage, i);
    const bool same_key =
        text_at(ca_.fqns, p.fqn_begin, p.fqn_length) == text_at(cb_.fqns, q.fqn_begin, q.fqn_length) &&
        (p.has_offset != 0) == (q.has_offset != 0) && equal_values(offset_of(ca_, p), offset_of(cb_, q));
    const auto place = [i](const Columns& c, const LooseStorageRow& loose) {
      return columns::row_at(columns::rows_of(c, columns::loose_entry(c, loose, i)), 0);
    };
    if (!same_key || !same_place(place(ca_, p), place(cb_, q))) return false;
  }
  return true;
}

void Comparison::compare_rest() {
  if (wants(Aspect::Location) && !same_loose_storage()) {
    add(Aspect::Location, "storage information without a chunk", fmt::format("{} items", ca_.loose_storage.size()),
        fmt::format("{} items", cb_.loose_storage.size()));
  }
  if (wants(Aspect::Planner))
    compare_presence(Aspect::Planner, "planner_data", ca_.has_planner_data, cb_.has_planner_data);
  if (wants(Aspect::Meta)) compare_meta();
  if (wants(Aspect::Save) && ca_.storage_meta && cb_.storage_meta) compare_ids();
}

void Comparison::compare_text(Aspect aspect, const char* what, const std::optional<ByteColumn>& a,
                              const std::optional<ByteColumn>& b) {
  if (shown(a) != shown(b)) add(aspect, what, shown(a), shown(b));
}

void Comparison::compare_presence(Aspect aspect, const char* what, bool in_a, bool in_b) {
  if (in_a != in_b) add(aspect, what, in_a ? "there" : "None", in_b ? "there" : "None");
}

void Comparison::compare_meta() {
  compare_text(Aspect::Meta, "version", ca_.version, cb_.version);
  compare_text(Aspect::Meta, "class of the metadata", ca_.metadata_class, cb_.metadata_class);
  compare_text(Aspect::Meta, "class of the storage information", ca_.storage_info_class, cb_.storage_info_class);
  compare_presence(Aspect::Meta, "storage_data", ca_.has_storage_data, cb_.has_storage_data);
  compare_presence(Aspect::Meta, "storage_meta", ca_.storage_meta.has_value(), cb_.storage_meta.has_value());
  if (ca_.storage_meta && cb_.storage_meta) {
    const StorageMetaColumns& p = *ca_.storage_meta;
    const StorageMetaColumns& q = *cb_.storage_meta;
    const bool same_modules = p.has_modules == q.has_modules && equal_values(p.modules.bytes, q.modules.bytes) &&
                              equal_values(p.modules.ends, q.modules.ends);
    if (!same_modules) add(Aspect::Meta, "storage_meta.modules");
  }
  if (equal_opaque_records(ca_, cb_)) return;
  add(Aspect::Meta, "opaque records", fmt::format("{}", ca_.opaque.size()), fmt::format("{}", cb_.opaque.size()));
}

void Comparison::compare_ids() {
  const StorageMetaColumns& p = *ca_.storage_meta;
  const StorageMetaColumns& q = *cb_.storage_meta;
  compare_text(Aspect::Save, "storage_meta.checkpoint_id", p.checkpoint_id, q.checkpoint_id);
  if (p.checkpoint_id_type != q.checkpoint_id_type) add(Aspect::Save, "type of storage_meta.checkpoint_id");
  compare_text(Aspect::Save, "storage_meta.save_id", p.save_id, q.save_id);
  compare_text(Aspect::Save, "storage_meta.load_id", p.load_id, q.load_id);
}

}  // namespace flatpoint::change
