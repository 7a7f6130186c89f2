// build/expand.hpp - a finished file -> the draft that it came from.
#pragma once

#include "build/draft.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::build {

/// A draft whose `finish` gives the file again, byte for byte where the file is one that `finish` made. The order of
/// storage_data is written out. Texts borrow from the columns. Errors: Corrupt, with the rule that is broken.
Result<Draft> expand(const Columns& columns);

}  // namespace flatpoint::build
