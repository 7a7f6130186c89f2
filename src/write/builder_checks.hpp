// write/builder_checks.hpp - what a builder refuses in a single call.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string_view>

#include "flatpoint/builder.hpp"
#include "format/constants.hpp"

namespace flatpoint::write {

inline constexpr std::size_t kMaxDimensions = std::numeric_limits<std::uint8_t>::max();

tl::unexpected<Error> invalid(std::string_view fqn, std::string_view what);

/// The FQN alone does not pass the format's limit.
[[nodiscard]] Result<void> check_fqn(std::string_view fqn);

/// No dimension is negative, and int64 holds the number of elements.
[[nodiscard]] Result<void> check_size(std::string_view fqn, std::span<const std::int64_t> size);

/// Every box lies inside the tensor. `offsets` and `sizes`: `count` times as many values as `size`.
[[nodiscard]] Result<void> check_boxes(std::string_view fqn, std::span<const std::int64_t> size, std::size_t count,
                                       const std::int64_t* offsets, const std::int64_t* sizes);

/// Columns have the lengths that they must have, and numbers of files and lists were given before. `box_values`: of
/// offsets, and of sizes. `is_strict`: places in files end below 2^64.
[[nodiscard]] Result<void> check_columns(const ChunkColumns& chunks, std::size_t box_values, std::size_t files,
                                         std::size_t transform_lists, bool is_strict);

/// Value i of a column that has one for all.
template <class T>
T value_at(std::span<const T> column, std::size_t i) noexcept {
  return column.size() == 1 ? column[0] : column[i];
}

}  // namespace flatpoint::write
