// Opaque records, loose storage, planner paths, index hints.
#include "flatpoint/records.hpp"

#include "columns/planner_path.hpp"
#include "columns/search.hpp"
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
  bool is_corrupt = false;
  const auto first = columns::first_where(columns.loose_storage.size(), [&](std::size_t i) {
    const LooseStorageRow row = base::read_once(columns.loose_storage, i);
    const auto name = text_at(columns.fqns, row.fqn_begin, row.fqn_length);
    is_corrupt |= !name;
    return is_corrupt || *name >= fqn;
  });
  if (is_corrupt) return LookupStatus::Corrupt;
  return first;
}

Lookup<PlannerPathView> planner_path(const MetadataView& metadata, const EntryView& entry) noexcept {
  const auto elements = columns::path_of(metadata.columns(), entry.position());
  if (!elements) return elements.status();
  PlannerPathView path;
  path.elements_ = *elements;
  const auto rest = columns::FqnRest::of(entry.fqn(), *elements);
  path.rest_ = rest.text;
  path.at_end_ = rest.at_end;
  return path;
}

Lookup<PlannerPathView::Element> PlannerPathView::next() noexcept {
  if (elements_.empty()) return at_end_ ? LookupStatus::Absent : LookupStatus::Corrupt;
  const PathElementRow row = base::read_once(elements_, 0);
  elements_ = elements_.subspan(1);
  columns::FqnRest rest{rest_, at_end_};
  const auto taken = rest.take(row.components);
  if (!taken) return LookupStatus::Corrupt;
  rest_ = rest.text;
  at_end_ = rest.at_end;
  return Element{*taken, row.is_index != 0};
}

std::optional<std::int64_t> index_hint(const MetadataView& metadata, std::uint32_t row,
                                       std::optional<std::int64_t> normal) noexcept {
  const auto hints = metadata.columns().index_hints;
  const std::size_t at =
      columns::first_where(hints.size(), [&](std::size_t i) { return base::read_once(hints, i).row >= row; });
  if (at == hints.size()) return normal;
  const IndexHintRow hint = base::read_once(hints, at);
  if (hint.row != row) return normal;
  return hint.known != 0 ? std::optional(hint.index) : std::nullopt;
}

}  // namespace flatpoint
