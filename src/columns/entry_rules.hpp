// columns/entry_rules.hpp - the rules E1 to E5 of docs/format.md: whether an entry's ranges lie in their columns.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/checked.hpp"
#include "flatpoint/columns.hpp"

namespace flatpoint::columns {

/// Which of the rules E1 (name) and E4 (rows) an entry breaks; empty where none. An entry that keeps them may be shown.
inline std::string_view broken_entry_rule(const Columns& columns, const EntryRow& entry) noexcept {
  if (!base::in_range(entry.fqn_begin, entry.fqn_length, columns.fqns.size())) return "E1";
  if (!base::in_range(entry.chunk_begin, entry.chunk_count, columns.chunk_rows())) return "E4";
  return {};
}

/// Rule E3: the values of `boxes` that an entry's layout takes, none for Whole; unset where it breaks the rule.
std::optional<std::span<const std::int64_t>> box_values(const Columns& columns, const EntryRow& entry) noexcept;

/// The same for E2 (size), E3 (boxes) and E5 (order) of a tensor.
std::string_view broken_tensor_rule(const Columns& columns, const EntryRow& entry) noexcept;

}  // namespace flatpoint::columns
