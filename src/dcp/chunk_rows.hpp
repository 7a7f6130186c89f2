// dcp/chunk_rows.hpp - which rows the chunks of each entry have, and which chunk starts at an offset.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/large_vector.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::dcp {

/// Storage data names a chunk by its offset. A MetadataIndex brings a hint at the chunk's position, which is nearly
/// always right; where it is not, tensors whose chunks ascend are searched by halves and others through a hash table.
class ChunkRows {
 public:
  /// `boxes` outlives the rows: per chunk `ndim` offsets, then `ndim` sizes. It may grow as long as nothing is found.
  explicit ChunkRows(const base::LargeVector<std::int64_t>& boxes) : boxes_(boxes) {}

  struct Entry {
    std::size_t box_begin = 0;
    std::uint32_t chunk_begin = 0;
    std::uint32_t chunk_count = 0;
    std::size_t slots_begin = 0;  // in slots_, 2^slots_bits of them, where the chunks do not ascend
    std::uint8_t slots_bits = 0;
    std::uint8_t ndim = 0;
    StorageType type = StorageType::Tensor;
    bool ascending = true;  // each chunk starts behind the one before it: no two start at the same offset
    bool unique = true;     // no two chunks start at the same offset
  };

  void add(Entry entry);
  [[nodiscard]] const Entry& operator[](std::uint32_t entry) const { return entries_[entry]; }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(entries_.size()); }
  [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }

  /// Position of the chunk that starts at `offset`, `ndim` values: of several the first.
  [[nodiscard]] std::optional<std::uint32_t> find(const Entry& entry, const std::int64_t* offset,
                                                  std::uint64_t hint) const;
  /// Whether that chunk, and no other, starts there.
  [[nodiscard]] bool is_at(const Entry& entry, std::uint64_t chunk, const std::int64_t* offset) const noexcept {
    return entry.unique && chunk < entry.chunk_count && starts_at(entry, static_cast<std::uint32_t>(chunk), offset);
  }
  [[nodiscard]] const std::int64_t* box(const Entry& entry, std::uint32_t chunk) const noexcept {
    return boxes_.data() + entry.box_begin + std::size_t{chunk} * 2 * entry.ndim;
  }

 private:
  [[nodiscard]] bool starts_at(const Entry& entry, std::uint32_t chunk, const std::int64_t* offset) const noexcept {
    const std::int64_t* const at = box(entry, chunk);
    for (std::size_t d = 0; d < entry.ndim; ++d) {
      if (at[d] != offset[d]) return false;
    }
    return true;
  }
  [[nodiscard]] bool ascends(const Entry& entry) const noexcept;
  void index(Entry& entry);
  [[nodiscard]] std::size_t slot(const Entry& entry, const std::int64_t* offset) const noexcept;

  const base::LargeVector<std::int64_t>& boxes_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // position + 1 of a chunk; 0 is empty
  std::uint32_t rows_ = 0;
};

}  // namespace flatpoint::dcp
