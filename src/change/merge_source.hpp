// change/merge_source.hpp - one fragment of a merge, and what all of them share.
#pragma once

#include <span>
#include <vector>

#include "change/entry_reader.hpp"
#include "flatpoint/merge.hpp"
#include "write/draft.hpp"

namespace flatpoint::change {

/// A fragment with the translation of its numbers into the result's.
struct MergeSource {
  explicit MergeSource(const Fragment& from) : fragment(&from), reader(*from.columns) {}

  const Fragment* fragment;
  EntryReader reader;
  write::DraftAttributes attributes;
  std::vector<std::uint32_t> files;  // number here -> number in the result
  std::vector<std::uint16_t> type_names;
  std::vector<std::uint16_t> transform_lists;
  std::vector<std::uint32_t> paths;
  bool keeps_checksums = true;  // they are of the result's kind

  // Where DCP's orders are stated.
  std::vector<std::uint32_t> entries;  // entry here -> entry in the result
  std::vector<std::uint32_t> rows;     // row here -> row in the result, or kNoRow: a replica, a key twice

  [[nodiscard]] const Columns& columns() const noexcept { return *fragment->columns; }
  [[nodiscard]] std::uint32_t rank() const noexcept { return fragment->rank; }
  /// A number of chunk_transforms here, in the result: 0 is None.
  [[nodiscard]] std::uint16_t transforms(std::uint16_t here) const noexcept {
    return here == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(transform_lists[here - 1U] + 1);
  }
  /// An error about this fragment, with its name in front.
  [[nodiscard]] tl::unexpected<Error> blame(Error&& error) const;
};

inline constexpr std::uint32_t kNoRow = 0xFFFFFFFF;

/// Whether a fragment says in which order DCP's dictionaries were, rather than having the builder's order.
bool states_orders(const Columns& columns) noexcept;

/// Reads the attributes of all sources, gives their files, type names, transform lists and paths common numbers, and
/// joins the rest but for the orders. Sources come by ascending rank.
[[nodiscard]] Result<write::DraftAttributes> merge_attributes(std::span<MergeSource> sources);

/// DCP's orders of the result, as torch's global plan would give them. `entries` and `rows` of the sources are filled.
struct MergedOrders {
  std::vector<std::uint32_t> fqn_order;
  base::LargeVector<std::uint32_t> storage_order;
  std::vector<std::uint32_t> planner_order;
};
MergedOrders merge_orders(std::span<const MergeSource> sources, std::size_t entry_count, std::size_t row_count);

}  // namespace flatpoint::change
