#include "dcp/chunk_rows.hpp"

#include <algorithm>
#include <bit>

#include "base/seeded_hash.hpp"

namespace flatpoint::dcp {

void ChunkRows::add(Entry entry) {
  entry.chunk_begin = rows_;
  rows_ += entry.chunk_count;
  if (entry.type == StorageType::Tensor) {
    entry.ascending = ascends(entry);
    if (!entry.ascending) index(entry);
  }
  entries_.push_back(entry);
}

bool ChunkRows::ascends(const Entry& entry) const noexcept {
  for (std::uint32_t chunk = 1; chunk < entry.chunk_count; ++chunk) {
    const std::int64_t* const before = box(entry, chunk - 1);
    const std::int64_t* const at = box(entry, chunk);
    std::size_t d = 0;
    while (d < entry.ndim && before[d] == at[d]) ++d;
    if (d == entry.ndim || before[d] > at[d]) return false;
  }
  return true;
}

// The slot of the chunk that starts there, or the empty one where it would be.
std::size_t ChunkRows::slot(const Entry& entry, const std::int64_t* offset) const noexcept {
  const std::size_t mask = (std::size_t{1} << entry.slots_bits) - 1;
  std::size_t at = base::seeded_hash(offset, entry.ndim * sizeof *offset) & mask;
  for (;; at = (at + 1) & mask) {
    const std::uint32_t chunk = slots_[entry.slots_begin + at];
    if (chunk == 0 || starts_at(entry, chunk - 1, offset)) return entry.slots_begin + at;
  }
}

void ChunkRows::index(Entry& entry) {
  entry.slots_bits = static_cast<std::uint8_t>(std::bit_width(std::size_t{entry.chunk_count} * 2 - 1));
  entry.slots_begin = slots_.size();
  slots_.resize(slots_.size() + (std::size_t{1} << entry.slots_bits));
  for (std::uint32_t chunk = 0; chunk < entry.chunk_count; ++chunk) {
    std::uint32_t& known = slots_[slot(entry, box(entry, chunk))];
    if (known == 0) {
      known = chunk + 1;
    } else {
      entry.unique = false;
    }
  }
}

std::optional<std::uint32_t> ChunkRows::find(const Entry& entry, const std::int64_t* offset, std::uint64_t hint) const {
  if (is_at(entry, hint, offset)) return static_cast<std::uint32_t>(hint);
  if (!entry.ascending) {
    const std::uint32_t chunk = slots_[slot(entry, offset)];
    return chunk == 0 ? std::nullopt : std::optional(chunk - 1);
  }
  std::uint32_t begin = 0;
  std::uint32_t end = entry.chunk_count;
  while (begin < end) {
    const std::uint32_t middle = begin + (end - begin) / 2;
    const std::int64_t* const at = box(entry, middle);
    if (std::lexicographical_compare(at, at + entry.ndim, offset, offset + entry.ndim)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  if (begin == entry.chunk_count || !starts_at(entry, begin, offset)) return std::nullopt;
  return begin;
}

}  // namespace flatpoint::dcp
