#include "glob.hpp"

#include <algorithm>

#include "text.hpp"

namespace flatpoint::tool {
namespace {

/// Takes the code point at the front off `text`.
CodePoint take(std::string_view& text) noexcept {
  const CodePoint point = first_code_point(text);
  text.remove_prefix(point.length);
  return point;
}

bool same(const CodePoint& a, const CodePoint& b) noexcept { return a.value == b.value && a.valid == b.valid; }

/// Where the set that begins with '[' ends: the position of its ']'. A ']' right after the '[' or the '!' is a member.
std::size_t end_of_set(std::string_view pattern) noexcept {
  std::size_t first = 1;
  if (pattern.size() > first && (pattern[first] == '!' || pattern[first] == '^')) ++first;
  return pattern.find(']', first + 1);
}

/// Whether the inside of a set holds the code point.
bool set_holds(std::string_view set, const CodePoint& point) noexcept {
  const bool negated = !set.empty() && (set[0] == '!' || set[0] == '^');
  if (negated) set.remove_prefix(1);
  bool held = false;
  while (!set.empty()) {
    const CodePoint first = take(set);
    CodePoint last = first;
    if (set.size() >= 2 && set[0] == '-') {
      set.remove_prefix(1);
      last = take(set);
    }
    held |= point.valid == first.valid && point.value >= first.value && point.value <= last.value;
  }
  return held != negated;
}

/// Matches one element of the pattern that is not a star, and takes it off. REQUIRES: neither is empty.
bool take_one(std::string_view& pattern, std::string_view& text) noexcept {
  const CodePoint point = take(text);
  if (pattern[0] == '?') {
    pattern.remove_prefix(1);
    return true;
  }
  if (pattern[0] == '[') {
    if (const std::size_t end = end_of_set(pattern); end != std::string_view::npos) {
      const std::string_view set = pattern.substr(1, end - 1);
      pattern.remove_prefix(end + 1);
      return set_holds(set, point);
    }
  }
  if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
  return same(take(pattern), point);
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) noexcept {
  // Only the last star is ever widened: an earlier one that matched as little as possible leaves the most to the rest.
  bool starred = false;
  std::string_view pattern_after_star;
  std::string_view text_after_star;
  while (!text.empty() || !pattern.empty()) {
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      starred = true;
      pattern_after_star = pattern;
      text_after_star = text;
      continue;
    }
    if (!pattern.empty() && !text.empty() && take_one(pattern, text)) continue;
    if (!starred || text_after_star.empty()) return false;
    take(text_after_star);
    text = text_after_star;
    pattern = pattern_after_star;
  }
  return true;
}

std::string_view literal_prefix(std::string_view pattern) noexcept {
  return pattern.substr(0, std::min(pattern.find_first_of("*?[\\"), pattern.size()));
}

}  // namespace flatpoint::tool
