#include "change/expand.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "change/attributes_reader.hpp"
#include "change/entry_reader.hpp"

namespace flatpoint::change {
namespace {

template <class Column, class Range>
void append(Column& to, const Range& from) {
  to.insert(to.end(), from.begin(), from.end());
}

class Expander {
 public:
  explicit Expander(const Columns& columns) : c_(columns), reader_(columns) {}

  Result<write::Draft> run() {
    auto attributes = read_attributes(c_);
    RETURN_IF_ERROR(attributes);
    static_cast<write::DraftAttributes&>(draft_) = std::move(*attributes);
    row_map_.resize(c_.chunk_files.size());
    repeats_key_.resize(c_.chunk_files.size(), false);
    auto added = add_entries()
                     .and_then([&] { return add_loose_storage(); })
                     .and_then([&] { return restore_fqn_order(); })
                     .and_then([&] { return restore_storage_order(); });
    RETURN_IF_ERROR(added);
    for (write::DraftHint& hint : draft_.hints) hint.row = row_map_[hint.row];
    return std::move(draft_);
  }

 private:
  Result<void> add_entries() {
    draft_.entries.reserve(c_.entries.size());
    draft_.rows.reserve(c_.chunk_files.size());
    for (; !reader_.done(); reader_.advance()) {
      RETURN_IF_ERROR(reader_.open());
      auto parts = reader_.read();
      RETURN_IF_ERROR(parts);
      add_entry(*parts);
    }
    if (draft_.rows.size() == c_.chunk_rows()) return {};
    return base::broken_rule("V4", "rows of chunks that no entry has");
  }

  void add_entry(const write::EntryParts& parts) {
    write::DraftEntry entry;
    entry.fqn = parts.fqn;
    entry.type = parts.type;
    entry.path = parts.path;
    entry.properties = parts.properties;
    entry.ndim = static_cast<std::uint8_t>(parts.size.size());
    entry.size_begin = draft_.sizes.size();
    append(draft_.sizes, parts.size);
    entry.strides_begin = draft_.sizes.size();
    append(draft_.sizes, parts.strides);
    entry.box_begin = draft_.boxes.size();
    append(draft_.boxes, parts.boxes);
    entry.chunk_begin = draft_.rows.size();
    entry.chunk_count = static_cast<std::uint32_t>(parts.row_count());
    draft_.rows.append(parts.rows, parts.row_count());
    draft_.entries.push_back(entry);
    map_rows(parts);
  }

  /// From the file's rows to the draft's; notes rows whose key another row has already.
  void map_rows(const write::EntryParts& parts) {
    const auto order = reader_.row_of_chunk();
    const std::size_t ndim = parts.size.size();
    const auto first = static_cast<std::uint32_t>(draft_.rows.size() - parts.row_count());
    for (std::uint32_t i = 0; i < parts.row_count(); ++i)
      row_map_[reader_.row_begin() + (order.empty() ? i : order[i])] = first + i;
    if (parts.type != StorageType::Tensor) return;
    const auto offsets = [&](std::size_t row) {
      return parts.boxes.subspan(2 * ndim * (row_map_[reader_.row_begin() + row] - first), ndim);
    };
    for (std::size_t row = 1; row < parts.row_count(); ++row) {
      repeats_key_[reader_.row_begin() + row] = std::ranges::equal(offsets(row - 1), offsets(row));
    }
  }

  Result<void> add_loose_storage() {
    for (std::size_t i = 0; i < c_.loose_storage.size(); ++i) {
      auto parts = reader_.read_loose(i);
      RETURN_IF_ERROR(parts);
      write::DraftLooseStorage loose;
      loose.fqn = parts->fqn;
      loose.has_offset = parts->offset.has_value();
      loose.offset_begin = draft_.sizes.size();
      if (parts->offset) {
        loose.ndim = static_cast<std::uint8_t>(parts->offset->size());
        append(draft_.sizes, *parts->offset);
      }
      draft_.loose_storage.push_back(loose);
      row_map_[c_.chunk_rows() + i] = static_cast<std::uint32_t>(draft_.rows.size());
      draft_.rows.push_back(parts->row);
    }
    return {};
  }

  /// Puts the entries in DCP's order; numbers in planner_order follow.
  Result<void> restore_fqn_order() {
    if (c_.fqn_order.empty()) return {};
    std::vector<write::DraftEntry> ordered;
    std::vector<std::uint32_t> position(draft_.entries.size(), kNoPosition);
    ordered.reserve(draft_.entries.size());
    for (std::size_t i = 0; i < c_.fqn_order.size(); ++i) {
      const std::uint32_t entry = base::read_once(c_.fqn_order, i);
      if (entry >= position.size() || position[entry] != kNoPosition)
        return base::broken_rule("V3", "fqn_order is no permutation");
      position[entry] = static_cast<std::uint32_t>(ordered.size());
      ordered.push_back(draft_.entries[entry]);
    }
    if (ordered.size() != draft_.entries.size()) return base::broken_rule("V3", "fqn_order is no permutation");
    draft_.entries = std::move(ordered);
    for (std::uint32_t& entry : draft_.planner_order) entry = position[entry];
    return {};
  }

  /// Written out. Of rows with one key, only the first has a place in it.
  Result<void> restore_storage_order() {
    auto& order = draft_.storage_order;
    const bool is_stated = !order.empty();
    if (!is_stated) order = default_storage_order(c_);
    const std::size_t rows = order.size();
    std::erase_if(order, [&](std::uint32_t row) { return bool{repeats_key_[row]}; });
    if (is_stated && order.size() != rows) return base::broken_rule("V9", "storage_order names a key twice");
    for (std::uint32_t& row : order) row = row_map_[row];
    return {};
  }

  static constexpr std::uint32_t kNoPosition = 0xFFFFFFFF;

  const Columns& c_;
  EntryReader reader_;
  write::Draft draft_;
  std::vector<std::uint32_t> row_map_;  // row of the file -> row of the draft
  std::vector<bool> repeats_key_;       // per row of the file
};

}  // namespace

Result<write::Draft> expand(const Columns& columns) { return Expander(columns).run(); }

}  // namespace flatpoint::change
