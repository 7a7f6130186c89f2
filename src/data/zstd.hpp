// data/zstd.hpp - what torch's ZStandard transform has done, undone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flatpoint/error.hpp"

namespace flatpoint::data {

/// All bytes of the frames. libzstd is looked for when it is first needed, so that a program without such checkpoints
/// runs without it. Errors: UnknownTransform (no libzstd.so.1), BadItem (no zstd frames, or broken ones), TooLarge.
[[nodiscard]] Result<std::vector<std::byte>> decompress_zstd(std::span<const std::byte> frames, std::uint64_t limit);

}  // namespace flatpoint::data
