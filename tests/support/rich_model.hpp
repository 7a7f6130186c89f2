// One small model in which every column of the format holds something.
#pragma once

#include "support/model.hpp"

namespace flatpoint::test {

/// Entries, sorted: "bytes", "even", "explicit", "grid", "object", "plain", "reordered", "strided", "tiny".
Model rich_model();

}  // namespace flatpoint::test
