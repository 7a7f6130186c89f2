// read/view_access.hpp - makes views of what keeps the rules.
#pragma once

#include <optional>
#include <string_view>

#include "base/checked.hpp"
#include "columns/entry_rules.hpp"
#include "columns/text.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint {

struct ViewAccess {
  /// The entry at a position. REQUIRES: position < entries.size().
  static Lookup<EntryView> entry(const Columns& columns, std::uint32_t position) noexcept {
    return entry(columns, position, [&](EntryRow& row) {
      base::read_once(columns.entries, position, row);
      return flatpoint::columns::broken_entry_rule(columns, row).empty();
    });
  }
  /// The same where `read` fills the row in place, and says whether it may be shown.
  template <class Read>
  static Lookup<EntryView> entry(const Columns& columns, std::uint32_t position, Read read) noexcept {
    Lookup<EntryView> answer(LookupStatus::Corrupt);
    EntryView& view = answer.value_;
    view.columns_ = &columns;
    view.position_ = position;
    if (read(view.entry_)) answer.status_ = LookupStatus::Found;
    return answer;
  }
  /// The name of an entry that keeps rule E1.
  static std::string_view fqn(const Columns& columns, const EntryRow& entry) noexcept {
    return as_text(columns.fqns.subspan(entry.fqn_begin, entry.fqn_length));
  }
  static Lookup<TensorView> tensor(const EntryView& entry) noexcept;
  /// The chunk in a row of its tensor. REQUIRES: cell < chunk_count.
  static ChunkView chunk(const Columns& columns, const EntryRow& entry, std::uint32_t cell) noexcept;
  /// The storage information of an entry's chunk at an offset; without one, that of bytes. Rules E2 to E6.
  static Lookup<StorageInfoView> find_storage(const Columns& columns, const EntryRow& entry,
                                              const std::optional<std::span<const std::int64_t>>& offset) noexcept;
  /// Rule E6: the storage information of a row of the chunk columns, its length at `length_at` of chunk_lengths.
  static Lookup<StorageInfoView> storage(const Columns& columns, std::uint64_t row, std::uint64_t length_at) noexcept;
  /// Rule E7: the elements of a chunk inside its range.
  static Lookup<ChunkData> data(const ChunkView& chunk) noexcept;
  static StorageMetaView storage_meta(const Columns& columns) noexcept;
  static const Columns* columns_of(const EntryView& entry) noexcept { return entry.columns_; }
};

}  // namespace flatpoint
