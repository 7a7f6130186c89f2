// dcp/box_reader.hpp - the boxes of one tensor's chunks, one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "flatpoint/columns.hpp"

namespace flatpoint::dcp {

/// Cuts of a grid are computed once per tensor, not per chunk. Values may change in a shared mapping; what is read then
/// is from inside the file nevertheless.
class BoxReader {
 public:
  /// Turns to another tensor. REQUIRES: the entry keeps rules E2 and E3, as that of a TensorView does.
  void open(const Columns& columns, const EntryRow& entry);
  /// Offsets, then sizes, of a row: 2 * ndim values, valid until the next call. REQUIRES: cell < chunk_count.
  const std::int64_t* read(std::uint32_t cell);

 private:
  struct Dimension {
    std::uint32_t count;  // intervals
    std::size_t points;   // in points_: count + 1 of them
  };

  const Columns* columns_ = nullptr;
  EntryRow entry_{};
  std::vector<Dimension> dimensions_;
  std::vector<std::int64_t> points_;
  std::vector<std::int64_t> box_;
};

}  // namespace flatpoint::dcp
