// columns/transform_lists.hpp - lists of transform descriptors: which texts each holds.
#pragma once

#include <vector>

#include "columns/text.hpp"

namespace flatpoint::columns {

/// The texts of list number `list`, as a part of transform_names; unset where it lies outside its columns.
inline std::optional<Piece> transform_list(const Columns& columns, std::size_t list) noexcept {
  return piece_at(columns.transform_lists, list, columns.transform_names.ends.size(), &TransformListRow::text_end);
}

/// Calls take(texts, type) for each list; false at the first text or list that lies outside its columns.
template <class Take>
bool each_transform_list(const Columns& columns, Take&& take) {
  std::vector<std::string_view> texts;
  const bool all = each_text(columns.transform_names, [&](std::string_view text) { texts.push_back(text); });
  std::size_t list = 0;
  return each_piece(
             columns.transform_lists, texts.size(),
             [&](Piece piece) {
               take(piece.of(std::span<const std::string_view>(texts)),
                    base::read_once(columns.transform_lists, list++).type);
             },
             &TransformListRow::text_end) &&
         all;
}

}  // namespace flatpoint::columns
