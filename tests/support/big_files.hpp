// Files that are too large to be looked at whole for each of many changes. Always the same bytes.
#pragma once

#include "flatpoint/buffer.hpp"

namespace flatpoint::test {

/// 102 400 chunks of 400 tensors, as FSDP and its kin cut: even grids, in order or not, split points, explicit boxes.
Buffer sharded_file();

/// 12 000 FQNs with planner paths, a chunk each or bytes.
Buffer names_file();

/// Everything that a column is kept for: thousands of opaque records, of loose storage, hints, transforms, odd boxes.
Buffer odd_file();

}  // namespace flatpoint::test
