// columns/byte_ranges.hpp - which ranges of data files overlap.
#pragma once

#include <cstdint>
#include <span>

namespace flatpoint::columns {

/// Bytes [begin, end) of a data file.
struct ByteRange {
  std::uint32_t file;
  std::uint64_t begin, end;
};

/// Calls visit(item, before) for each item that begins inside one before it in its file: the one of these that ends
/// last. An empty range overlaps nothing. `range_of` gives an item's ByteRange. REQUIRES: sorted by file, then begin.
template <class Item, class RangeOf, class Visit>
void each_overlap(std::span<const Item> items, RangeOf&& range_of, Visit&& visit) {
  const Item* last = nullptr;
  ByteRange reach{};
  for (const Item& item : items) {
    const ByteRange range = range_of(item);
    if (range.begin == range.end) continue;
    const bool same_file = last != nullptr && range.file == reach.file;
    if (same_file && range.begin < reach.end) visit(item, *last);
    if (same_file && range.end <= reach.end) continue;
    last = &item;
    reach = range;
  }
}

}  // namespace flatpoint::columns
