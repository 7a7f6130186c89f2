// columns/ends.hpp - columns of ends: texts, lists and paths lie one after the other, each from the end of the one
// before it. All that cuts such a column is made of this.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/checked.hpp"

namespace flatpoint::columns {

/// A part of what is cut.
struct Piece {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;

  /// REQUIRES: it lies inside.
  template <class T>
  [[nodiscard]] constexpr std::span<const T> of(std::span<const T> whole) const noexcept {
    return whole.subspan(begin, size);
  }
};

/// Piece i of `size` things that are cut at `ends`; unset where there is none, or where its ends are out of order or
/// outside. `end_of` takes the number out of an element.
template <class T, class EndOf = std::identity>
inline std::optional<Piece> piece_at(std::span<const T> ends, std::size_t i, std::size_t size,
                                     EndOf&& end_of = {}) noexcept {
  if (i >= ends.size()) return std::nullopt;
  const std::uint32_t begin = i == 0 ? 0 : std::invoke(end_of, base::read_once(ends, i - 1));
  const std::uint32_t end = std::invoke(end_of, base::read_once(ends, i));
  if (begin > end || end > size) return std::nullopt;
  return Piece{begin, end - begin};
}

/// Calls take(piece) for each piece, first to last: together they are no longer than what is cut, whatever the ends
/// say. False, and no more calls, at the first end that is out of order or outside.
template <class T, class Take, class EndOf = std::identity>
inline bool each_piece(std::span<const T> ends, std::size_t size, Take&& take, EndOf&& end_of = {}) {
  std::uint32_t begin = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const std::uint32_t end = std::invoke(end_of, base::read_once(ends, i));
    if (end < begin || end > size) return false;
    take(Piece{begin, end - begin});
    begin = end;
  }
  return true;
}

}  // namespace flatpoint::columns
