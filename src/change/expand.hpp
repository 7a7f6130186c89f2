// change/expand.hpp - a finished file -> the draft that it came from.
#pragma once

#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "write/draft.hpp"

namespace flatpoint::change {

/// A draft whose `finish` gives the file again, byte for byte where the file is one that `finish` made. The order of
/// storage_data is written out. Texts borrow from the columns. Errors: Corrupt, with the rule that is broken.
[[nodiscard]] Result<write::Draft> expand(const Columns& columns);

}  // namespace flatpoint::change
