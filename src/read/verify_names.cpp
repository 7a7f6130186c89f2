// Rules about names and what refers to them: V1 to V3, V7, V10, V11.
#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <tuple>

#include "columns/planner_path.hpp"
#include "format/fqn_slots.hpp"
#include "read/verifier.hpp"

namespace flatpoint::read {
namespace {

/// Rule V10 for one FQN: the path's components are exactly the FQN's; an index is a canonical int.
bool path_fits(std::string_view fqn, std::span<const PathElementRow> path) {
  auto rest = columns::FqnRest::of(fqn, path);
  for (const PathElementRow& element : path) {
    const auto taken = rest.take(element.components);
    if (!taken) return false;
    if (element.is_index != 0 && (element.components != 1 || !columns::is_index_text(*taken))) return false;
  }
  return rest.at_end;
}

/// Rule V7: `size` is the length of the column that is cut at `ends`; end_of takes the number out of an element.
template <class T, class EndOf>
void check_ends(ReportBuilder& report, std::string_view name, std::span<const T> ends, EndOf&& end_of,
                std::size_t size) {
  std::size_t sound = 0;
  std::uint32_t before = 0;
  const auto take = [&](columns::Piece piece) { ++sound, before = piece.begin + piece.size; };
  if (!columns::each_piece(ends, size, take, end_of)) {
    report.broken("V7", "{}: number {} ends at {}, which is not between {} and {}", name, sound,
                  std::invoke(end_of, ends[sound]), before, size);
  } else if (before != size) {
    report.broken("V7", "{}: the last ends at {} of {}", name, before, size);
  }
}

void check_texts(ReportBuilder& report, std::string_view name, const TextColumn& column) {
  check_ends(report, name, column.ends, std::identity(), column.bytes.size());
}

/// A relative_path that no save writes, and that a loader should not follow.
bool leaves_folder(std::string_view path) {
  if (path.starts_with('/') || path.find('\0') != std::string_view::npos) return true;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (path.substr(begin, end - begin) == "..") return true;
    begin = end + 1;
  }
  return false;
}

/// What about a relative_path programs disagree on; null where nothing is.
const char* oddity_of(std::string_view path) {
  if (path.empty()) return "names no file";
  if (path.find("://") != std::string_view::npos) return "is a URL";
  if (path.find('\\') != std::string_view::npos) return "holds a backslash, which parts names on Windows";
  return nullptr;
}

/// Megatron's name for one of several objects: "PREFIX/shard_2_3" is number 2 of 3.
struct Shard {
  std::string_view prefix;
  std::uint32_t number;
  std::uint32_t count;
};

std::optional<Shard> shard_of(std::string_view fqn) {
  constexpr std::string_view kMark = "/shard_";
  const std::size_t mark = fqn.rfind(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  Shard shard{fqn.substr(0, mark), 0, 0};
  const char* const end = fqn.data() + fqn.size();
  const auto number = std::from_chars(fqn.data() + mark + kMark.size(), end, shard.number);
  if (number.ec != std::errc() || number.ptr == end || *number.ptr != '_') return std::nullopt;
  const auto count = std::from_chars(number.ptr + 1, end, shard.count);
  if (count.ec != std::errc() || count.ptr != end || shard.number >= shard.count) return std::nullopt;
  return shard;
}

}  // namespace

/// Series of which some members are not there.
void Verifier::shards() {
  if (!names_apart_) return;
  std::map<std::pair<std::string_view, std::uint32_t>, std::vector<std::uint32_t>> series;  // numbers by prefix, count
  for (const EntryRow& entry : c_.entries) {
    if (const auto shard = shard_of(*text_at(c_.fqns, entry.fqn_begin, entry.fqn_length)))
      series[{shard->prefix, shard->count}].push_back(shard->number);
  }
  for (auto& [key, numbers] : series) {
    const auto& [prefix, count] = key;
    if (numbers.size() == count) continue;
    std::ranges::sort(numbers);
    std::uint32_t missing = 0;
    while (missing < numbers.size() && numbers[missing] == missing) ++missing;
    report_.finding(finding_kind::kMissingShard, "FQN '{}/shard_{}_{}' is missing: {} of {} are there", shown(prefix),
                    missing, count, numbers.size(), count);
  }
}

void Verifier::names() {
  std::uint64_t end = 0;
  bool skipped = false;  // the name before lies outside: where the next begins is open
  const auto name_of_row = [&](std::string_view what, std::size_t i, std::uint32_t begin, std::uint32_t length) {
    auto name = text_at(c_.fqns, begin, length);
    if (!name) {
      report_.broken("E1", "{} {}: its FQN lies outside fqns", what, i);
    } else if (begin < end || (begin > end && !skipped)) {
      report_.broken("V1", "{} {}: its FQN begins at {} instead of {}", what, i, begin, end);
      if (begin < end) name.reset();
    }
    skipped = !name;
    names_apart_ &= name.has_value();
    if (name) end = std::uint64_t{begin} + length;
    return name;
  };
  std::optional<std::string_view> before;
  for (std::size_t i = 0; i < c_.entries.size(); ++i) {
    const auto name = name_of_row("entry", i, c_.entries[i].fqn_begin, c_.entries[i].fqn_length);
    if (!name) continue;
    if (before && *name <= *before)
      report_.broken("V1", "entry {}: FQN '{}' does not sort after '{}'", i, shown(*name), shown(*before));
    before = name;
  }
  for (std::size_t i = 0; i < c_.loose_storage.size(); ++i) {
    name_of_row("loose storage", i, c_.loose_storage[i].fqn_begin, c_.loose_storage[i].fqn_length);
  }
  if (!skipped && end != c_.fqns.size())
    report_.broken("V1", "the names of fqns end at {} of {} bytes", end, c_.fqns.size());
}

void Verifier::slots() {
  const auto entries = static_cast<std::uint32_t>(c_.entries.size());
  if (c_.fqn_slots.size() != format::slot_count(entries)) {
    report_.broken("V2", "fqn_slots has {} slots, {} entries take {}", c_.fqn_slots.size(), entries,
                   format::slot_count(entries));
    return;
  }
  if (!names_apart_) return;
  const auto expected = format::make_fqn_slots(
      entries, [&](std::uint32_t i) { return *text_at(c_.fqns, c_.entries[i].fqn_begin, c_.entries[i].fqn_length); });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (c_.fqn_slots[i] != expected[i])
      report_.broken("V2", "slot {} is {:#x}, the names give {:#x}", i, c_.fqn_slots[i], expected[i]);
  }
}

void Verifier::permutation(std::string_view range_rule, std::string_view rule, std::string_view what,
                           std::span<const std::uint32_t> order, std::size_t size) {
  std::vector<bool> seen(size, false);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t value = order[i];
    if (value >= size) {
      report_.broken(range_rule, "{}: value {} at {} is not below {}", what, value, i, size);
    } else if (seen[value]) {
      report_.broken(rule, "{}: value {} at {} is there twice", what, value, i);
    } else {
      seen[value] = true;
    }
  }
}

void Verifier::orders() {
  permutation("V3", "V3", "fqn_order", c_.fqn_order, c_.entries.size());
  permutation("V3", "V3", "planner_order", c_.planner_order, c_.entries.size());
  if (c_.planner_order.empty()) return;
  const auto keys =
      std::count_if(c_.fqn_paths.begin(), c_.fqn_paths.end(), [](std::uint16_t path) { return path != 0; });
  if (c_.planner_order.size() != static_cast<std::size_t>(keys)) {
    report_.broken("V3", "planner_order has {} values for {} keys of planner_data", c_.planner_order.size(), keys);
  }
  for (const std::uint32_t entry : c_.planner_order) {
    if (entry < c_.fqn_paths.size() && c_.fqn_paths[entry] == 0)
      report_.broken("V3", "planner_order names entry {}, which has no path", entry);
  }
}

void Verifier::texts() {
  check_texts(report_, "file_names", c_.file_names);
  for (std::size_t i = 0; i < c_.file_names.ends.size(); ++i) {
    const auto path = text_at(c_.file_names, i);
    if (!path) continue;
    if (leaves_folder(*path))
      report_.finding(finding_kind::kPathOutside, "data file {}: '{}' leads out of the checkpoint's folder", i,
                      shown(*path));
    if (const char* odd = oddity_of(*path))
      report_.finding(finding_kind::kOddPath, "data file {}: '{}' {}", i, shown(*path), odd);
  }
  check_texts(report_, "type_names", c_.type_names);
  check_texts(report_, "transform_names", c_.transform_names);
  if (c_.storage_meta) check_texts(report_, "storage_meta.modules", c_.storage_meta->modules);
  check_ends(report_, "transform_lists", c_.transform_lists, &TransformListRow::text_end,
             c_.transform_names.ends.size());
  check_ends(report_, "path_ends", c_.path_ends, std::identity(), c_.path_elements.size());
  for (std::size_t i = 0; i < c_.transform_lists.size(); ++i) {
    const SequenceType type = c_.transform_lists[i].type;
    if (type > SequenceType::Tuple)
      report_.finding(finding_kind::kUnknownValue, "transform list {}: type {}", i, static_cast<int>(type));
  }
  if (c_.storage_meta && c_.storage_meta->checkpoint_id_type > PathType::PureWindowsPath) {
    report_.finding(finding_kind::kUnknownValue, "storage_meta: checkpoint_id has type {}",
                    static_cast<int>(c_.storage_meta->checkpoint_id_type));
  }
}

void Verifier::planner() {
  if (!c_.has_planner_data && (!c_.fqn_paths.empty() || !c_.path_ends.empty())) {
    report_.broken("V10", "paths although planner_data is None");
  }
  for (std::size_t i = 0; i < c_.fqn_paths.size(); ++i) {
    if (c_.fqn_paths[i] != 0) path(i, c_.fqn_paths[i]);
  }
}

void Verifier::path(std::size_t entry, std::uint16_t number) {
  if (number > c_.path_ends.size()) {
    report_.broken("V10", "entry {}: path {} of {}", entry, number - 1, c_.path_ends.size());
    return;
  }
  const auto elements = columns::path_of(c_, entry);
  if (!names_apart_ || !elements) return;  // E1, V1 or V7
  const auto name = *text_at(c_.fqns, c_.entries[entry].fqn_begin, c_.entries[entry].fqn_length);
  if (!path_fits(name, *elements)) {
    report_.broken("V10", "FQN '{}': path {} does not cut it into its components", shown(name), number - 1);
  }
}

void Verifier::opaque_records() {
  std::uint64_t name_end = 0;
  std::uint64_t pickle_end = 0;
  const OpaqueRecordRow* before = nullptr;
  const auto name_of_row = [&](const OpaqueRecordRow& row) {
    return text_at(c_.opaque_names, row.name_begin, row.name_length).value_or("");
  };
  const auto key = [&](const OpaqueRecordRow& row) { return std::tuple(row.kind, row.position, name_of_row(row)); };
  for (std::size_t i = 0; i < c_.opaque.size(); ++i) {
    const OpaqueRecordRow& row = c_.opaque[i];
    if (!base::in_range(row.name_begin, row.name_length, c_.opaque_names.size()) ||
        !base::in_range(row.pickle_begin, row.pickle_length, c_.opaque_pickles.size())) {
      report_.broken("V11", "opaque record {} lies outside its columns", i);
      continue;
    }
    if (row.name_begin != name_end || row.pickle_begin != pickle_end) {
      report_.broken("V11", "opaque record {} does not follow the one before it", i);
      continue;
    }
    if (before != nullptr && key(row) < key(*before))
      report_.broken("V11", "opaque record {} does not sort after the one before it", i);
    before = &row;
    name_end = std::uint64_t{row.name_begin} + row.name_length;
    pickle_end = std::uint64_t{row.pickle_begin} + row.pickle_length;
    if (row.kind > OpaqueKind::Version)
      report_.finding(finding_kind::kUnknownValue, "opaque record {} has kind {}", i, static_cast<int>(row.kind));
    report_.finding(finding_kind::kOpaqueRecord, "'{}': {} bytes of pickle that is not executed",
                    shown(name_of_row(row)), row.pickle_length);
  }
  if (name_end != c_.opaque_names.size() || pickle_end != c_.opaque_pickles.size()) {
    report_.broken("V11", "the opaque records end before their columns do");
  }
}

}  // namespace flatpoint::read
