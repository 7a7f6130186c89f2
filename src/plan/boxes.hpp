// plan/boxes.hpp - arithmetic on boxes whose numbers may come from a broken file.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "base/checked.hpp"

namespace flatpoint::plan {

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

/// "[8, 4]", for messages.
std::string to_string(std::span<const std::int64_t> values);

}  // namespace flatpoint::plan
