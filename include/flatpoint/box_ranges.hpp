// flatpoint/box_ranges.hpp - which bytes of which data files are a box of a tensor, from the metadata alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint {

/// `length` bytes from `byte_offset` of a data file on are those of the box from `box_offset` on, where the box lies
/// row-major without gaps.
struct BoxRange {
  std::uint32_t file = 0;
  std::uint64_t byte_offset = 0;
  std::uint64_t length = 0;
  std::uint64_t box_offset = 0;
  bool operator==(const BoxRange&) const = default;
};

/// The ranges of a box, as long as they can be: by row of the chunks that overlap it, each in order of its elements. No
/// I/O. REQUIRES, before they are read: the files are as MetadataView::file_facts says.
/// Errors: InvalidArgument for a box outside the tensor; NotPlain where a chunk's begin is not known (Columns::
/// chunk_data_begins); Holes for elements that no chunk holds; TooLarge for more than `max_ranges`; Corrupt.
[[nodiscard]] Result<std::vector<BoxRange>> box_ranges(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                                       std::span<const std::int64_t> sizes,
                                                       std::size_t max_ranges = std::size_t{1} << 24);

}  // namespace flatpoint
