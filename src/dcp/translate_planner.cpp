// dcp/translate_planner.cpp - planner_data: FQN -> path of str and int.

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/translator.hpp"

namespace flatpoint::dcp {

Status Translator::planner_data(Value value) {
  if (value.is(Tag::None)) return {};
  if (!is_dict(heap_, value)) return keep(OpaqueKind::PlannerData, 0, {}, value);
  draft_.has_planner_data = true;
  const auto items = items_of(value, "planner_data");
  RETURN_IF_ERROR(items);
  entry_of_fqn_.resize(heap_.texts.size(), kNone);
  std::vector<PathElementRow> elements;
  draft_.planner_order.reserve(items->size());
  for (std::size_t position = 0; position < items->size(); ++position) {
    const Item& item = (*items)[position];
    const std::uint32_t entry = item.fqn == kNone ? kNone : entry_of_fqn_[item.fqn];
    const bool fits = entry != kNone && read_planner_path(item.value, draft_.entries[entry].fqn, elements);
    const auto number = fits ? path_number(elements) : std::nullopt;
    if (number) {
      draft_.entries[entry].path = *number;
      draft_.planner_order.push_back(entry);
    } else if (const Status done = keep_item(OpaqueKind::PlannerItem, position, item.key, item.value); !done) {
      return done;
    }
  }
  if (std::ranges::is_sorted(draft_.planner_order)) draft_.planner_order.clear();  // the order of state_dict_metadata
  return {};
}

namespace {

std::optional<std::string_view> write_number(std::span<char> digits, std::int64_t number) {
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  return std::string_view(digits.data(), end);
}

}  // namespace

// A path fits where its elements, joined by dots, are the FQN.
bool Translator::read_planner_path(Value path, std::string_view fqn, std::vector<PathElementRow>& elements) {
  elements.clear();
  if (!path.is(Tag::Tuple)) return false;
  bool is_first = true;
  for (const Value element : path.node<Tuple>()->values()) {
    if (!is_first && !fqn.starts_with('.')) return false;
    if (!is_first) fqn.remove_prefix(1);
    is_first = false;

    const auto number = Heap::integer(element);
    std::array<char, 24> digits;
    const auto text = number ? write_number(digits, *number) : heap_.text(element);
    if (!text || !fqn.starts_with(*text)) return false;
    fqn.remove_prefix(text->size());
    const auto components = std::ranges::count(*text, '.') + 1;
    if (components > std::numeric_limits<std::uint16_t>::max()) return false;
    elements.push_back({static_cast<std::uint16_t>(components), number.has_value(), 0});
  }
  return fqn.empty();
}

std::optional<std::uint32_t> Translator::path_number(const std::vector<PathElementRow>& elements) {
  constexpr std::size_t kMaxPaths = 0xFFFF - 1;  // fqn_paths holds number + 1
  const std::string key(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(PathElementRow));
  const auto known = path_numbers_.find(key);
  if (known != path_numbers_.end()) return known->second;
  if (draft_.paths.size() >= kMaxPaths) return std::nullopt;
  const auto number = static_cast<std::uint32_t>(draft_.paths.size());
  path_numbers_.emplace(key, number);
  draft_.paths.push_back(elements);
  return number;
}

}  // namespace flatpoint::dcp
