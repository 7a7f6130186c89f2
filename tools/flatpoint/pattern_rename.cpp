#include "pattern_rename.hpp"

#include <algorithm>
#include <charconv>

namespace flatpoint::tool {
namespace {

/// The number in "{1}..." and how many characters it takes; unset for what is no such thing.
std::optional<std::pair<std::size_t, std::size_t>> reference(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  if (error != std::errc() || number == 0 || end == text.data() + text.size() || *end != '}') return std::nullopt;
  return std::pair(number, static_cast<std::size_t>(end - text.data()) + 1);
}

}  // namespace

PatternRename::PatternRename(std::string_view from, std::string_view to) {
  for (std::size_t begin = 0;;) {
    const std::size_t star = from.find('*', begin);
    from_.emplace_back(from.substr(begin, star - begin));
    if (star == std::string_view::npos) break;
    begin = star + 1;
  }
  const std::size_t stars = from_.size() - 1;
  std::size_t written = 0;  // stars of TO
  bool has_references = false;
  to_.push_back({"", 0});
  for (std::size_t i = 0; i < to.size();) {
    const auto numbered = to[i] == '{' && stars > 0 ? reference(to.substr(i)) : std::nullopt;
    if (!numbered && to[i] != '*') {
      to_.back().text += to[i++];
      continue;
    }
    to_.back().star = numbered ? numbered->first : ++written;
    has_references = has_references || numbered;
    i += numbered ? numbered->second : 1;
    to_.push_back({"", 0});
  }
  fits_ = (has_references ? written == 0 : written == stars) &&
          std::ranges::all_of(to_, [&](const Part& part) { return part.star <= stars; });
}

std::optional<std::string> PatternRename::operator()(std::string_view fqn) const {
  if (!fqn.starts_with(from_.front())) return std::nullopt;
  std::vector<std::string_view> matched;
  std::size_t at = from_.front().size();
  for (std::size_t i = 1; i < from_.size(); ++i) {
    const std::string& next = from_[i];
    const bool is_last = i + 1 == from_.size();
    if (is_last && (fqn.size() - at < next.size() || !fqn.ends_with(next))) return std::nullopt;
    const std::size_t found = is_last ? fqn.size() - next.size() : fqn.find(next, at);
    if (found == std::string_view::npos) return std::nullopt;
    matched.push_back(fqn.substr(at, found - at));
    at = found + next.size();
  }
  if (from_.size() == 1 && at != fqn.size()) return std::nullopt;
  std::string renamed;
  for (const Part& part : to_) {
    renamed += part.text;
    if (part.star > 0) renamed += matched[part.star - 1];
  }
  return renamed;
}

}  // namespace flatpoint::tool
