// write/boxes.hpp - small questions about boxes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/format.hpp"

namespace flatpoint::write {

/// "[4, 128]", for messages.
inline std::string list(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

/// Whether a box has no negative number and ends inside a tensor. Any numbers may come.
inline bool lies_inside(std::span<const std::int64_t> size, const std::int64_t* offsets,
                        const std::int64_t* sizes) noexcept {
  for (std::size_t d = 0; d < size.size(); ++d) {
    if (offsets[d] < 0 || sizes[d] < 0 || sizes[d] > size[d] || offsets[d] > size[d] - sizes[d]) return false;
  }
  return true;
}

}  // namespace flatpoint::write
