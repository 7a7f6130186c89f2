// change/attributes_reader.hpp - what a finished file holds beside its entries and rows.
#pragma once

#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "write/draft.hpp"

namespace flatpoint::change {

/// The attributes, with numbers, orders and hints as they are in the file: each inside its range, orders without
/// repeats. Texts borrow from the columns. Errors: Corrupt; the message begins with the rule.
[[nodiscard]] Result<write::DraftAttributes> read_attributes(const Columns& columns);

/// The rows with storage information by file, then offset, then row: the order of a file that states none. Of rows with
/// one key, all.
base::LargeVector<std::uint32_t> default_storage_order(const Columns& columns);

}  // namespace flatpoint::change
