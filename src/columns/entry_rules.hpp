// columns/entry_rules.hpp - the rules E1 to E5 of docs/format.md: whether an entry's ranges lie in their columns.
#pragma once

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

/// The same for E2 (size), E3 (boxes) and E5 (order) of a tensor.
std::string_view broken_tensor_rule(const Columns& columns, const EntryRow& entry) noexcept;

}  // namespace flatpoint::columns
