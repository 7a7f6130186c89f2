// base/text_map.hpp - maps with texts from a file as keys.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <unordered_map>

namespace flatpoint::base {

/// Another one in every process. The standard library's is the same everywhere, and texts that collide in it are easily
/// made.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept;
};

/// `Text`: std::string, or std::string_view of what outlives the map.
template <class Text, class Value>
using TextMap = std::unordered_map<Text, Value, TextHash, std::equal_to<>>;

}  // namespace flatpoint::base
