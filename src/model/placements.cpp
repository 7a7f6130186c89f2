// model/placements.cpp - placements as text.

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "base/format.hpp"
#include "flatpoint/sharding.hpp"

namespace flatpoint {
namespace {

std::string_view trim(std::string_view text) noexcept {
  const auto begin = std::min(text.find_first_not_of(' '), text.size());
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

bool strip_parentheses(std::string_view& text) noexcept {
  if (text.size() < 2 || !text.starts_with('(') || !text.ends_with(')')) return false;
  text = trim(text.substr(1, text.size() - 2));
  return true;
}

// The parts of a text between separators that no parenthesis encloses.
std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')') --depth;
    if (depth != 0 || separators.find(text[i]) == std::string_view::npos) continue;
    parts.push_back(trim(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  parts.push_back(trim(text.substr(begin)));
  return parts;
}

// A number, with or without "key=" before it.
std::optional<std::int64_t> parse_number(std::string_view text, std::string_view key) noexcept {
  if (text.starts_with(key)) text.remove_prefix(key.size());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Placement> parse_placement(std::string_view text) {
  const std::string_view name = text.substr(0, text.find_first_of("(-0123456789"));
  const auto is = [name](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
  };
  std::string_view rest = text.substr(name.size());
  const bool enclosed = strip_parentheses(rest);
  if (is({"R", "Replicate"}) && rest.empty()) return Replicate{};
  if (is({"P", "Partial"}) && (rest.empty() || enclosed)) return Partial{};

  const auto arguments = split(rest, ",/");
  const auto dim = parse_number(arguments[0], "dim=");
  if (is({"S", "Shard"}) && arguments.size() == 1 && dim) return Shard{*dim};
  if (is({"SS", "_S", "_StridedShard"}) && arguments.size() == 2 && dim) {
    if (const auto split_factor = parse_number(arguments[1], "sf=")) return StridedShard{*dim, *split_factor};
  }
  return std::nullopt;
}

}  // namespace

std::string to_string(const Placement& placement) {
  if (const auto* shard = std::get_if<Shard>(&placement)) return fmt::format("S({})", shard->dim);
  if (const auto* strided = std::get_if<StridedShard>(&placement)) {
    return fmt::format("_S({}, {})", strided->dim, strided->split_factor);
  }
  return std::holds_alternative<Replicate>(placement) ? "R" : "P";
}

Result<std::vector<Placement>> parse_placements(std::string_view text) {
  std::string_view list = trim(text);
  // A Python tuple of one ends in a comma.
  if (strip_parentheses(list) && list.ends_with(',')) list.remove_suffix(1);
  std::vector<Placement> placements;
  for (const std::string_view token : split(list, ",")) {
    const auto placement = parse_placement(token);
    if (!placement) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("\"{}\" in \"{}\" is no placement: expected S<dim>, SS<dim>/<split factor>, R or P",
                              token, text));
    }
    placements.push_back(*placement);
  }
  return placements;
}

}  // namespace flatpoint
