#include "flatpoint/edit.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "change/expand.hpp"
#include "columns/planner_path.hpp"

namespace flatpoint {
namespace {

using namespace change;

std::vector<std::string_view> split_at_dots(std::string_view name) {
  std::vector<std::string_view> components;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = name.find('.', begin);
    components.push_back(name.substr(begin, dot - begin));
    if (dot == std::string_view::npos) return components;
    begin = dot + 1;
  }
}

/// A planner path that cut `old_name`, for `new_name`.
Result<std::vector<PathElementRow>> edit_path(std::vector<PathElementRow> path, std::string_view old_name,
                                              std::string_view new_name) {
  const auto before = split_at_dots(old_name);
  const auto after = split_at_dots(new_name);
  if (after.size() > std::numeric_limits<std::uint16_t>::max()) {
    return fail(ErrorCode::TooLarge,
                fmt::format("FQN '{}': {} dots in a name with a planner path; the format's limit is {}", new_name,
                            after.size() - 1, std::numeric_limits<std::uint16_t>::max() - 1));
  }
  // Components [first, end) of the old name changed.
  const std::size_t common = std::min(before.size(), after.size());
  std::size_t first = 0;
  while (first < common && before[first] == after[first]) ++first;
  std::size_t same_behind = 0;
  while (same_behind < common - first &&
         before[before.size() - 1 - same_behind] == after[after.size() - 1 - same_behind])
    ++same_behind;
  const std::size_t end = before.size() - same_behind;

  const std::vector<PathElementRow> one_key{{static_cast<std::uint16_t>(after.size()), 0, 0}};
  if (before.size() != after.size()) {
    std::size_t begin = 0;
    auto key = path.begin();
    while (key != path.end() && begin + key->components <= first && begin + key->components < before.size())
      begin += (key++)->components;
    if (key == path.end() || end > begin + key->components) return one_key;
    key->components = static_cast<std::uint16_t>(key->components + after.size() - before.size());
    if (key->components == 0) path.erase(key);
  }
  std::size_t at = 0;
  for (PathElementRow& key : path) {
    if (at >= after.size()) return one_key;
    if (key.components != 1 || !columns::is_index_text(after[at])) key.is_index = 0;
    at += key.components;
  }
  return at == after.size() ? path : one_key;
}

class Edit {
 public:
  Edit(write::Draft draft, const NameEdit& name_of)
      : draft_(std::move(draft)), name_of_(name_of), keeps_row_(draft_.rows.size(), true) {}

  Result<Buffer> run() {
    auto edited =
        edit_entries().and_then([&] { return edit_loose_storage(); }).and_then([&] { return check_collisions(); });
    RETURN_IF_ERROR(edited);
    drop_rows();
    return write::finish(std::move(draft_));
  }

 private:
  /// The new name, kept alive; unset where the FQN is dropped.
  std::optional<std::string_view> rename(std::string_view fqn) {
    auto name = name_of_(fqn);
    if (!name) return std::nullopt;
    if (*name == fqn) {
      renamed_.emplace_back(fqn, fqn);
    } else {
      renamed_.emplace_back(names_.emplace_back(std::move(*name)), fqn);
    }
    return renamed_.back().first;
  }

  Result<void> edit_entries() {
    std::vector<std::uint32_t> position(draft_.entries.size(), kDropped);
    std::vector<write::DraftEntry> kept;
    for (std::uint32_t i = 0; i < draft_.entries.size(); ++i) {
      write::DraftEntry entry = draft_.entries[i];
      const auto name = entry.type == StorageType::Opaque ? std::nullopt : rename(entry.fqn);
      if (!name) {
        std::fill_n(keeps_row_.begin() + static_cast<std::ptrdiff_t>(entry.chunk_begin), entry.chunk_count, false);
        continue;
      }
      if (entry.path != write::kNoPath && *name != entry.fqn) {
        auto path = edit_path(draft_.paths[entry.path], entry.fqn, *name);
        RETURN_IF_ERROR(path);
        entry.path = static_cast<std::uint32_t>(draft_.paths.size());
        draft_.paths.push_back(std::move(*path));
      }
      entry.fqn = *name;
      position[i] = static_cast<std::uint32_t>(kept.size());
      kept.push_back(entry);
    }
    draft_.entries = std::move(kept);
    for (std::uint32_t& entry : draft_.planner_order) entry = position[entry];
    std::erase(draft_.planner_order, kDropped);
    return {};
  }

  Result<void> edit_loose_storage() {
    auto& loose = draft_.loose_storage;
    const std::size_t chunk_rows = draft_.rows.size() - loose.size();
    // Rows of loose storage stand at the end, so that those which stay move together.
    std::size_t kept = 0;
    for (std::size_t i = 0; i < loose.size(); ++i) {
      const auto name = rename(loose[i].fqn);
      if (!name) continue;
      moved_.emplace_back(chunk_rows + i, chunk_rows + kept);
      loose[kept] = loose[i];
      loose[kept++].fqn = *name;
    }
    for (std::size_t i = 0; i < loose.size(); ++i) keeps_row_[chunk_rows + i] = false;
    loose.resize(kept);
    for (const auto& [from, to] : moved_) {
      keeps_row_[from] = true;
      draft_.rows.set(to, draft_.rows[from]);
    }
    draft_.rows.resize(chunk_rows + kept);
    return {};
  }

  Result<void> check_collisions() {
    std::sort(renamed_.begin(), renamed_.end());
    for (std::size_t i = 1; i < renamed_.size(); ++i) {
      const auto& [name, from] = renamed_[i];
      const auto& [name_before, from_before] = renamed_[i - 1];
      if (name == name_before && from != from_before) {
        return fail(ErrorCode::Conflict,
                    fmt::format("FQNs '{}' and '{}' would both become '{}'", from_before, from, name));
      }
    }
    return {};
  }

  /// Orders and hints name only rows that stay.
  void drop_rows() {
    std::erase_if(draft_.storage_order, [&](std::uint32_t row) { return !keeps_row_[row]; });
    std::erase_if(draft_.hints, [&](const write::DraftHint& hint) { return !keeps_row_[hint.row]; });
    const auto move = [&](std::uint32_t& row) {
      const auto moved = std::lower_bound(moved_.begin(), moved_.end(), std::pair(std::size_t{row}, std::size_t{0}));
      if (moved != moved_.end() && moved->first == row) row = static_cast<std::uint32_t>(moved->second);
    };
    if (moved_.empty()) return;
    for (std::uint32_t& row : draft_.storage_order) move(row);
    for (write::DraftHint& hint : draft_.hints) move(hint.row);
  }

  static constexpr std::uint32_t kDropped = 0xFFFFFFFF;

  write::Draft draft_;
  const NameEdit& name_of_;
  std::vector<bool> keeps_row_;
  std::deque<std::string> names_;
  std::vector<std::pair<std::string_view, std::string_view>> renamed_;  // new name, old name
  std::vector<std::pair<std::size_t, std::size_t>> moved_;              // rows of loose storage: from, to
};

}  // namespace

Result<Buffer> edit(const Columns& columns, const NameEdit& name_of, const EditOptions& options) {
  auto draft = expand(columns);
  RETURN_IF_ERROR(draft);
  if (!draft->opaque.empty() && options.opaque == OpaqueRecords::Refuse) {
    return fail(ErrorCode::OpaqueRecords,
                fmt::format("there are {} opaque records, which may name what the edit changes ('{}' is one)",
                            draft->opaque.size(), draft->opaque.front().name));
  }
  draft->opaque.clear();
  return Edit(std::move(*draft), name_of).run();
}

}  // namespace flatpoint
