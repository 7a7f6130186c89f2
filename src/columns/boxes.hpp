// columns/boxes.hpp - arithmetic on boxes and sizes whose numbers may come from a broken file.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "base/checked.hpp"
#include "base/format.hpp"

namespace flatpoint::columns {

/// Where an interval ends; beyond int64 its end stands at the last number.
constexpr std::int64_t end_of(std::int64_t begin, std::int64_t size) noexcept {
  std::int64_t end = 0;
  if (base::add(begin, size, end)) return end;
  return begin < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
}

/// Whether two intervals overlap as torch decides it: one of length 0 does where it lies strictly inside the other.
constexpr bool overlap(std::int64_t begin, std::int64_t end, std::int64_t other_begin,
                       std::int64_t other_end) noexcept {
  return begin < other_end && other_begin < end;
}

/// Whether [begin, begin + length) has no negative number and ends inside [0, size).
constexpr bool lies_inside(std::int64_t size, std::int64_t begin, std::int64_t length) noexcept {
  return begin >= 0 && length >= 0 && begin <= size && length <= size - begin;
}

/// The same for a box and a tensor. REQUIRES: as many offsets and sizes as `size` has dimensions.
constexpr bool lies_inside(std::span<const std::int64_t> size, const std::int64_t* offsets,
                           const std::int64_t* sizes) noexcept {
  for (std::size_t d = 0; d < size.size(); ++d) {
    if (!lies_inside(size[d], offsets[d], sizes[d])) return false;
  }
  return true;
}

/// Whether a box or a tensor has no element: a size of 0, or one that makes no sense.
constexpr bool is_empty(std::span<const std::int64_t> sizes) noexcept {
  for (const std::int64_t n : sizes) {
    if (n <= 0) return true;
  }
  return false;
}

/// Whether a box reaches outside a tensor: it has a negative number, or an element that the tensor does not have. An
/// empty box has none, wherever it lies. REQUIRES: as lies_inside.
constexpr bool reaches_outside(std::span<const std::int64_t> size, const std::int64_t* offsets,
                               const std::int64_t* sizes) noexcept {
  if (lies_inside(size, offsets, sizes)) return false;
  for (std::size_t d = 0; d < size.size(); ++d) {
    if (offsets[d] < 0 || sizes[d] < 0) return true;
  }
  return !is_empty({sizes, size.size()});
}

/// Elements of a box; false where they leave uint64. One that is_empty has none.
constexpr bool volume(std::span<const std::int64_t> sizes, std::uint64_t& elements) noexcept {
  elements = is_empty(sizes) ? 0 : 1;
  if (elements == 0) return true;
  for (const std::int64_t n : sizes) {
    if (!base::multiply(elements, static_cast<std::uint64_t>(n), elements)) return false;
  }
  return true;
}

/// "[8, 4]", for messages.
inline std::string to_string(std::span<const std::int64_t> values) {
  return fmt::format("[{}]", fmt::join(values, ", "));
}

}  // namespace flatpoint::columns
