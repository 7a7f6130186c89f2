// flatpoint/data_diff.hpp - whether values are the same in two checkpoints. Target flatpoint::data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "flatpoint/data.hpp"

namespace flatpoint::data {

/// Values are the same where all their bits are.
struct ValueDifference {
  bool same = true;
  // Where all of them were asked for, of values that are not the same:
  std::uint64_t elements = 0;     // that differ
  std::optional<double> largest;  // absolute difference; NaN where one side alone is NaN; unset: no real numbers
};

struct CompareOptions {
  bool all = false;                                  // do not stop at the first difference
  std::function<void(std::uint64_t)> progress = {};  // bytes of the tensor that were compared
};

/// Compares a tensor in two checkpoints. Where both are cut into the same chunks, and the XXH3-64 of a chunk is known
/// on both sides (Reader::locate), or two checksums differ, that decides and nothing is read. REQUIRES: equal dtypes
/// and sizes. Errors: those of Reader::read.
[[nodiscard]] Result<ValueDifference> compare(const Reader& a, const TensorView& x, const Reader& b,
                                              const TensorView& y, const CompareOptions& options = {});

/// Compares a bytes item: as bytes, else, where these differ, as plain values. Errors: those of Reader::read_item.
[[nodiscard]] Result<bool> equal_items(const Reader& a, const EntryView& x, const Reader& b, const EntryView& y);

}  // namespace flatpoint::data
