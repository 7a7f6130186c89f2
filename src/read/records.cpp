// Opaque records, loose storage, planner paths, index hints.
#include "flatpoint/records.hpp"

#include <algorithm>

#include "read/view_access.hpp"

namespace flatpoint {

Lookup<OpaqueRecordView> opaque_record(const MetadataView& metadata, std::size_t i) noexcept {
  const Columns& columns = metadata.columns();
  if (i >= columns.opaque.size()) return LookupStatus::Absent;
  const OpaqueRecordRow row = base::read_once(columns.opaque, i);
  const auto name = text_at(columns.opaque_names, row.name_begin, row.name_length);
  if (!name || !base::in_range(row.pickle_begin, row.pickle_length, columns.opaque_pickles.size()))
    return LookupStatus::Corrupt;
  return OpaqueRecordView{row.kind, row.position, *name,
                          std::as_bytes(columns.opaque_pickles.subspan(row.pickle_begin, row.pickle_length))};
}

Lookup<LooseStorageView> loose_storage(const MetadataView& metadata, std::size_t i) noexcept {
  const Columns& columns = metadata.columns();
  if (i >= columns.loose_storage.size()) return LookupStatus::Absent;
  const LooseStorageRow row = base::read_once(columns.loose_storage, i);
  const auto fqn = text_at(columns.fqns, row.fqn_begin, row.fqn_length);
  if (!fqn || !base::in_range(row.offset_begin, row.ndim, columns.sizes.size())) return LookupStatus::Corrupt;
  const std::size_t chunk_row = columns.chunk_rows() + i;
  const auto storage = ViewAccess::storage(columns, chunk_row, row.length_begin);
  if (!storage) return LookupStatus::Corrupt;  // a row without a file has no reason to be here
  return LooseStorageView{*fqn, row.has_offset != 0, columns.sizes.subspan(row.offset_begin, row.ndim),
                          static_cast<std::uint32_t>(chunk_row), *storage};
}

Lookup<std::size_t> first_loose_storage(const MetadataView& metadata, std::string_view fqn) noexcept {
  const Columns& columns = metadata.columns();
  std::size_t begin = 0;
  std::size_t end = columns.loose_storage.size();
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    const LooseStorageRow row = base::read_once(columns.loose_storage, middle);
    const auto name = text_at(columns.fqns, row.fqn_begin, row.fqn_length);
    if (!name) return LookupStatus::Corrupt;
    if (*name < fqn) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

Lookup<PlannerPathView> planner_path(const MetadataView& metadata, const EntryView& entry) noexcept {
  const Columns& columns = metadata.columns();
  if (!columns.has_planner_data || columns.fqn_paths.empty()) return LookupStatus::Absent;
  if (entry.position() >= columns.fqn_paths.size()) return LookupStatus::Corrupt;
  const std::uint32_t number = base::read_once(columns.fqn_paths, entry.position());
  if (number == 0) return LookupStatus::Absent;
  if (number > columns.path_ends.size()) return LookupStatus::Corrupt;
  const std::uint32_t begin = number == 1 ? 0 : base::read_once(columns.path_ends, number - 2);
  const std::uint32_t end = base::read_once(columns.path_ends, number - 1);
  if (begin > end || end > columns.path_elements.size()) return LookupStatus::Corrupt;
  PlannerPathView path;
  path.elements_ = columns.path_elements.subspan(begin, end - begin);
  path.rest_ = entry.fqn();
  path.at_end_ = begin == end && path.rest_.empty();  // the path () of the FQN ""
  return path;
}

Lookup<PlannerPathView::Element> PlannerPathView::next() noexcept {
  if (elements_.empty()) return at_end_ ? LookupStatus::Absent : LookupStatus::Corrupt;
  const PathElementRow row = base::read_once(elements_, 0);
  elements_ = elements_.subspan(1);
  if (at_end_ || row.components == 0) return LookupStatus::Corrupt;
  std::size_t dot = rest_.find('.');
  for (std::uint16_t i = 1; i < row.components; ++i) {
    if (dot == std::string_view::npos) return LookupStatus::Corrupt;
    dot = rest_.find('.', dot + 1);
  }
  const Element element{rest_.substr(0, dot), row.is_index != 0};
  at_end_ = dot == std::string_view::npos;
  rest_ = at_end_ ? std::string_view() : rest_.substr(dot + 1);
  return element;
}

std::optional<std::int64_t> index_hint(const MetadataView& metadata, std::uint32_t row,
                                       std::optional<std::int64_t> normal) noexcept {
  const auto hints = metadata.columns().index_hints;
  std::size_t begin = 0;
  std::size_t end = hints.size();
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    const IndexHintRow hint = base::read_once(hints, middle);
    if (hint.row == row) return hint.known != 0 ? std::optional(hint.index) : std::nullopt;
    if (hint.row < row) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return normal;
}

}  // namespace flatpoint
