// Rules about names and what refers to them: V1 to V3, V7, V10, V11.
#include <algorithm>
#include <charconv>

#include "format/fqn_slots.hpp"
#include "read/verifier.hpp"

namespace flatpoint::read {
namespace {

/// Whether text is the canonical decimal of an int64, as `str(int)` writes it.
bool is_canonical_int(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && fmt::to_string(value) == text;
}

/// Takes dot-separated components off an FQN, from its front.
class ComponentReader {
 public:
  explicit ComponentReader(std::string_view fqn) : rest_(fqn) {}

  /// The next `count` components; unset where there are fewer.
  std::optional<std::string_view> take(std::uint16_t count) {
    if (done_ || count == 0) return std::nullopt;
    std::size_t end = std::min(rest_.find('.'), rest_.size());
    for (std::uint16_t i = 1; i < count; ++i) {
      if (end == rest_.size()) return std::nullopt;
      end = std::min(rest_.find('.', end + 1), rest_.size());
    }
    const std::string_view taken = rest_.substr(0, end);
    done_ = end == rest_.size();
    rest_.remove_prefix(done_ ? end : end + 1);
    return taken;
  }
  [[nodiscard]] bool done() const noexcept { return done_; }

 private:
  std::string_view rest_;
  bool done_ = false;
};

/// Rule V10 for one FQN: the path's components are exactly the FQN's; an index is a canonical int.
bool path_fits(std::string_view fqn, std::span<const PathElementRow> path) {
  if (path.empty()) return fqn.empty();
  ComponentReader components(fqn);
  for (const PathElementRow& element : path) {
    const auto taken = components.take(element.components);
    if (!taken) return false;
    if (element.is_index != 0 && (element.components != 1 || !is_canonical_int(*taken))) return false;
  }
  return components.done();
}

void check_ends(ReportBuilder& report, std::string_view name, const TextColumn& column) {
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < column.ends.size(); ++i) {
    const std::uint32_t end = column.ends[i];
    if (end < before || end > column.bytes.size()) {
      report.broken("V7", "text {} of {} ends at {}, after {} and inside {} bytes expected", i, name, end, before, column.bytes.size());
      return;
    }
    before = end;
  }
  if (before != column.bytes.size()) report.broken("V7", "the texts of {} end at {} of {} bytes", name, before, column.bytes.size());
}

}  // namespace

void Verifier::names() {
  std::uint64_t end = 0;
  std::string_view before;
  for (std::uint32_t i = 0; i < c_.entries.size(); ++i) {
    const EntryRow& row = c_.entries[i];
    const auto name = text_at(c_.fqns, row.fqn_begin, row.fqn_length);
    if (!name) {
      report_.broken("E1", "entry {}: its FQN lies outside fqns", i);
      continue;
    }
    if (row.fqn_begin != end) report_.broken("V1", "entry {}: its FQN begins at {} instead of {}", i, row.fqn_begin, end);
    if (i > 0 && *name <= before) report_.broken("V1", "entry {}: FQN '{}' does not sort after '{}'", i, *name, before);
    end = std::uint64_t{row.fqn_begin} + row.fqn_length;
    before = *name;
  }
  for (std::size_t i = 0; i < c_.loose_storage.size(); ++i) {
    const LooseStorageRow& row = c_.loose_storage[i];
    if (row.fqn_begin != end) report_.broken("V1", "loose storage {}: its FQN begins at {} instead of {}", i, row.fqn_begin, end);
    end = std::uint64_t{row.fqn_begin} + row.fqn_length;
  }
  if (end != c_.fqns.size()) report_.broken("V1", "the names of fqns end at {} of {} bytes", end, c_.fqns.size());
}

void Verifier::slots() {
  const auto entries = static_cast<std::uint32_t>(c_.entries.size());
  const auto expected = format::make_fqn_slots(entries, [&](std::uint32_t i) {
    return text_at(c_.fqns, c_.entries[i].fqn_begin, c_.entries[i].fqn_length).value_or(std::string_view());
  });
  if (expected.size() != c_.fqn_slots.size()) {
    report_.broken("V2", "fqn_slots has {} slots, {} entries take {}", c_.fqn_slots.size(), entries, expected.size());
    return;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (c_.fqn_slots[i] != expected[i]) report_.broken("V2", "slot {} is {:#x}, the names give {:#x}", i, c_.fqn_slots[i], expected[i]);
  }
}

void Verifier::permutation(std::string_view rule, std::string_view what, std::span<const std::uint32_t> order, std::size_t size) {
  std::vector<bool> seen(size, false);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t value = order[i];
    if (value >= size || seen[value]) {
      report_.broken(rule, "{}: value {} at {} is {}", what, value, i, value >= size ? "out of range" : "there twice");
      continue;
    }
    seen[value] = true;
  }
}

void Verifier::orders() {
  permutation("V3", "fqn_order", c_.fqn_order, c_.entries.size());
  permutation("V3", "planner_order", c_.planner_order, c_.entries.size());
  if (!c_.planner_order.empty()) {
    const auto keys = std::count_if(c_.fqn_paths.begin(), c_.fqn_paths.end(), [](std::uint16_t path) { return path != 0; });
    if (c_.planner_order.size() != static_cast<std::size_t>(keys)) {
      report_.broken("V3", "planner_order has {} values for {} keys of planner_data", c_.planner_order.size(), keys);
    }
    for (const std::uint32_t entry : c_.planner_order) {
      if (entry < c_.fqn_paths.size() && c_.fqn_paths[entry] == 0) report_.broken("V3", "planner_order names entry {}, which has no path", entry);
    }
  }
}

void Verifier::texts() {
  check_ends(report_, "file_names", c_.file_names);
  check_ends(report_, "type_names", c_.type_names);
  check_ends(report_, "transform_names", c_.transform_names);
  if (c_.storage_meta) check_ends(report_, "storage_meta.modules", c_.storage_meta->modules);
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < c_.transform_lists.size(); ++i) {
    const std::uint32_t end = c_.transform_lists[i].text_end;
    if (end < before || end > c_.transform_names.ends.size()) {
      report_.broken("V7", "transform list {} ends at text {} of {}", i, end, c_.transform_names.ends.size());
      return;
    }
    before = end;
  }
}

void Verifier::planner() {
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < c_.path_ends.size(); ++i) {
    if (c_.path_ends[i] < before || c_.path_ends[i] > c_.path_elements.size()) {
      report_.broken("V10", "path {} ends at element {} of {}", i, c_.path_ends[i], c_.path_elements.size());
      return;
    }
    before = c_.path_ends[i];
  }
  if (!c_.has_planner_data && !c_.fqn_paths.empty()) report_.broken("V10", "paths although planner_data is None");
  for (std::size_t i = 0; i < c_.fqn_paths.size(); ++i) {
    const std::uint16_t path = c_.fqn_paths[i];
    if (path == 0) continue;
    const auto name = text_at(c_.fqns, c_.entries[i].fqn_begin, c_.entries[i].fqn_length).value_or(std::string_view());
    if (path > c_.path_ends.size()) {
      report_.broken("V10", "FQN '{}': path {} of {}", name, path - 1, c_.path_ends.size());
      continue;
    }
    const std::uint32_t begin = path == 1 ? 0 : c_.path_ends[path - 2U];
    if (!path_fits(name, c_.path_elements.subspan(begin, c_.path_ends[path - 1U] - begin))) {
      report_.broken("V10", "FQN '{}': path {} does not cut it into its components", name, path - 1);
    }
  }
}

void Verifier::opaque_records() {
  std::uint64_t name_end = 0;
  std::uint64_t pickle_end = 0;
  for (std::size_t i = 0; i < c_.opaque.size(); ++i) {
    const OpaqueRecordRow& row = c_.opaque[i];
    if (row.name_begin != name_end || row.pickle_begin != pickle_end) report_.broken("V11", "opaque record {} does not follow the one before it", i);
    const auto name = text_at(c_.opaque_names, row.name_begin, row.name_length);
    if (!name || !text_at(c_.opaque_pickles, row.pickle_begin, row.pickle_length)) {
      report_.broken("V11", "opaque record {} lies outside its columns", i);
      continue;
    }
    if (row.kind > OpaqueKind::Version) report_.finding("unknown_value", "opaque record {} has kind {}", i, static_cast<int>(row.kind));
    name_end = std::uint64_t{row.name_begin} + row.name_length;
    pickle_end = std::uint64_t{row.pickle_begin} + row.pickle_length;
    report_.finding("opaque_record", "'{}': {} bytes of pickle that is not executed", *name, row.pickle_length);
  }
  if (name_end != c_.opaque_names.size() || pickle_end != c_.opaque_pickles.size()) {
    report_.broken("V11", "the opaque records end before their columns do");
  }
}

}  // namespace flatpoint::read
