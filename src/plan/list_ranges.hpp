// plan/list_ranges.hpp - box_ranges for whoever knows more of where chunks lie than the metadata does.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "flatpoint/box_ranges.hpp"

namespace flatpoint::plan {

/// Where the elements of a chunk lie.
using FindData = std::function<Result<ChunkData>(const ChunkView&)>;

/// Errors: those of `box_ranges` but NotPlain, and those of `find`.
[[nodiscard]] Result<std::vector<BoxRange>> list_ranges(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                                        std::span<const std::int64_t> sizes, std::size_t max_ranges,
                                                        const FindData& find);

}  // namespace flatpoint::plan
