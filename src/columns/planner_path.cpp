#include "columns/planner_path.hpp"

#include <charconv>

namespace flatpoint::columns {

bool is_index_text(std::string_view text) noexcept {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) return false;
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  return digits == "0" ? text == digits : !digits.starts_with('0');  // no "-0", no leading zeros
}

}  // namespace flatpoint::columns
