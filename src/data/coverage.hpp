// data/coverage.hpp - what no chunk holds of a box.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "flatpoint/types.hpp"

namespace flatpoint::data {

/// A box without elements outside of all `parts`, or one that is no part of them; unset where parts cover the box.
/// Parts may overlap. REQUIRES: boxes of one number of dimensions.
std::optional<ChunkStorageMetadata> find_hole(const ChunkStorageMetadata& box,
                                              std::span<const ChunkStorageMetadata> parts);

}  // namespace flatpoint::data
