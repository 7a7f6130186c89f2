// columns/text.hpp - the texts of a file as C++ sees them.
#pragma once

#include <optional>
#include <string_view>

#include "columns/ends.hpp"
#include "flatpoint/columns.hpp"

namespace flatpoint {

/// The bytes as characters: nothing is decoded or copied.
inline std::string_view as_text(ByteColumn bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::optional<std::string_view> as_text(const std::optional<ByteColumn>& bytes) noexcept {
  return bytes ? std::optional(as_text(*bytes)) : std::nullopt;
}

/// The bytes [begin, begin + length) of a blob; unset where they are not inside.
inline std::optional<std::string_view> text_at(ByteColumn blob, std::uint64_t begin, std::uint64_t length) noexcept {
  if (!base::in_range(begin, length, blob.size())) return std::nullopt;
  return as_text(blob.subspan(begin, length));
}

/// Text i of a column; unset where i or its ends are out of range.
inline std::optional<std::string_view> text_at(const TextColumn& column, std::size_t i) noexcept {
  const auto piece = columns::piece_at(column.ends, i, column.bytes.size());
  return piece ? std::optional(as_text(piece->of(column.bytes))) : std::nullopt;
}

/// Calls take(text) for each text of a column; false at the first end that is out of order or outside.
template <class Take>
bool each_text(const TextColumn& column, Take&& take) {
  return columns::each_piece(column.ends, column.bytes.size(),
                             [&](columns::Piece piece) { take(as_text(piece.of(column.bytes))); });
}

}  // namespace flatpoint
