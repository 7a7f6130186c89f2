// columns/planner_path.hpp - planner paths: how an FQN is cut into the keys under which DCP flattened a state dict.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "columns/ends.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/lookup.hpp"

namespace flatpoint::columns {

/// What fqn_paths leads to: the elements of an entry's path, which are none for the path (). Absent: it has no path.
inline Lookup<std::span<const PathElementRow>> path_of(const Columns& columns, std::size_t entry) noexcept {
  if (!columns.has_planner_data || columns.fqn_paths.empty()) return LookupStatus::Absent;
  if (entry >= columns.fqn_paths.size()) return LookupStatus::Corrupt;
  const std::uint32_t number = base::read_once(columns.fqn_paths, entry);
  if (number == 0) return LookupStatus::Absent;
  const auto piece = piece_at(columns.path_ends, number - 1, columns.path_elements.size());
  if (!piece) return LookupStatus::Corrupt;
  return piece->of(columns.path_elements);
}

/// What a path has not taken off its FQN yet.
struct FqnRest {
  std::string_view text;
  bool at_end = false;  // all is taken; for the path () of the FQN "" that is so from the start

  /// Of an FQN that a path is to cut.
  static FqnRest of(std::string_view fqn, std::span<const PathElementRow> path) noexcept {
    return {fqn, path.empty() && fqn.empty()};
  }

  /// The next `count` components, which dots part; unset where there are fewer.
  std::optional<std::string_view> take(std::uint16_t count) noexcept {
    if (at_end || count == 0) return std::nullopt;
    std::size_t dot = text.find('.');
    for (std::uint16_t i = 1; i < count; ++i) {
      if (dot == std::string_view::npos) return std::nullopt;
      dot = text.find('.', dot + 1);
    }
    const std::string_view taken = text.substr(0, dot);
    at_end = dot == std::string_view::npos;
    text = at_end ? std::string_view() : text.substr(dot + 1);
    return taken;
  }
};

/// Whether a text is what `str` makes of an int64: then an element may say that the key was an int.
inline bool is_index_text(std::string_view text) noexcept {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) return false;
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  return digits == "0" ? text == digits : !digits.starts_with('0');  // no "-0", no leading zeros
}

struct PathLess {
  bool operator()(const std::vector<PathElementRow>& a, const std::vector<PathElementRow>& b) const {
    return std::ranges::lexicographical_compare(a, b, [](PathElementRow x, PathElementRow y) {
      return std::tie(x.components, x.is_index) < std::tie(y.components, y.is_index);
    });
  }
};

}  // namespace flatpoint::columns
