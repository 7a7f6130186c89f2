#include "change/attributes_reader.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/text.hpp"
#include "columns/transform_lists.hpp"

namespace flatpoint::change {
namespace {

tl::unexpected<Error> corrupt(const char* rule, std::string_view what) {
  return base::broken_rule(rule, fmt::format("{} lie outside their columns", what));
}

/// A column as a vector, each value read once.
template <class T>
std::vector<T> copy_of(std::span<const T> column) {
  std::vector<T> values(column.size());
  for (std::size_t i = 0; i < column.size(); ++i) values[i] = base::read_once(column, i);
  return values;
}

Result<std::vector<std::string_view>> read_texts(const TextColumn& column, const char* what) {
  std::vector<std::string_view> texts;
  texts.reserve(column.ends.size());
  if (!each_text(column, [&](std::string_view text) { texts.push_back(text); })) return corrupt("V7", what);
  return texts;
}

Result<std::vector<write::DraftTransformList>> read_transform_lists(const Columns& columns) {
  std::vector<write::DraftTransformList> lists;
  bool known = true;
  const bool read =
      columns::each_transform_list(columns, [&](std::span<const std::string_view> texts, SequenceType type) {
        known &= type <= SequenceType::Tuple;
        lists.push_back({{texts.begin(), texts.end()}, type});
      });
  if (!read || !known) return corrupt("V7", "lists of transform descriptors");
  return lists;
}

Result<std::vector<std::vector<PathElementRow>>> read_paths(const Columns& columns) {
  std::vector<std::vector<PathElementRow>> paths;
  const bool read = columns::each_piece(columns.path_ends, columns.path_elements.size(), [&](columns::Piece piece) {
    paths.push_back(copy_of(piece.of(columns.path_elements)));
  });
  if (!read) return corrupt("V7", "planner paths");
  return paths;
}

/// An order names each of its things at most once.
template <class Order>
Result<Order> read_order(std::span<const std::uint32_t> column, std::size_t end, const char* rule, const char* what) {
  Order order(column.size());
  std::vector<bool> seen(end, false);
  for (std::size_t i = 0; i < column.size(); ++i) {
    const std::uint32_t number = base::read_once(column, i);
    if (number >= end || seen[number]) return corrupt(rule, what);
    seen[number] = true;
    order[i] = number;
  }
  return order;
}

Result<std::optional<write::DraftStorageMeta>> read_storage_meta(const Columns& columns) {
  if (!columns.storage_meta) return std::nullopt;
  const StorageMetaColumns& from = *columns.storage_meta;
  auto modules = read_texts(from.modules, "modules of storage_meta");
  RETURN_IF_ERROR(modules);
  return write::DraftStorageMeta{as_text(from.checkpoint_id), from.checkpoint_id_type, as_text(from.save_id),
                                 as_text(from.load_id),       from.has_modules,        std::move(*modules)};
}

Result<std::vector<write::DraftOpaque>> read_opaque(const Columns& columns) {
  std::vector<write::DraftOpaque> records;
  std::uint64_t name = 0;
  std::uint64_t pickle = 0;
  for (const OpaqueRecordRow& row : copy_of(columns.opaque)) {
    if (row.kind > OpaqueKind::Version || row.name_begin != name || row.pickle_begin != pickle ||
        !base::in_range(name, row.name_length, columns.opaque_names.size()) ||
        !base::in_range(pickle, row.pickle_length, columns.opaque_pickles.size())) {
      return corrupt("V11", "opaque records");
    }
    records.push_back({row.kind, row.position, as_text(columns.opaque_names.subspan(row.name_begin, row.name_length)),
                       as_text(columns.opaque_pickles.subspan(row.pickle_begin, row.pickle_length))});
    name += row.name_length;
    pickle += row.pickle_length;
  }
  return records;
}

/// What the file says of its data files; none where it says nothing.
std::vector<FileFacts> read_facts(const Columns& columns) {
  if (columns.file_lengths.empty() && columns.file_times.empty() && columns.file_formats.empty()) return {};
  std::vector<FileFacts> facts(columns.file_names.ends.size());
  for (std::size_t file = 0; file < facts.size(); ++file) {
    const auto known = [file](const auto& column, auto unknown) {
      const auto value = column.empty() ? unknown : base::read_once(column, file);
      return value == unknown ? std::nullopt : std::optional(value);
    };
    facts[file] = {known(columns.file_lengths, kNoFileLength), known(columns.file_times, kNoFileTime),
                   known(columns.file_formats, FileFormat::Unknown).value_or(FileFormat::Unknown)};
  }
  return facts;
}

/// Rule V13.
bool keeps_rule_v13(const Columns& columns) {
  if ((columns.checksum_kind == ChecksumKind::Absent) != columns.chunk_checksums.empty()) return false;
  if (columns.checksum_kind != ChecksumKind::Crc32) return true;
  return std::ranges::all_of(columns.chunk_checksums, [](const std::uint64_t& checksum) {
    const std::uint64_t value = base::read_once(std::span(&checksum, 1), 0);
    return value <= 0xFFFFFFFF || value == kNoChecksum;
  });
}

/// Moves the value of `from` to `to`.
template <class T>
Result<void> take(Result<T> from, T& to) {
  RETURN_IF_ERROR(from);
  to = std::move(*from);
  return {};
}

}  // namespace

Result<write::DraftAttributes> read_attributes(const Columns& columns) {
  write::DraftAttributes a;
  const std::size_t rows = columns.chunk_files.size();
  RETURN_IF_ERROR(take(read_texts(columns.file_names, "file names"), a.files));
  RETURN_IF_ERROR(take(read_texts(columns.type_names, "names of dtypes"), a.type_names));
  RETURN_IF_ERROR(take(read_transform_lists(columns), a.transform_lists));
  RETURN_IF_ERROR(take(read_paths(columns), a.paths));
  RETURN_IF_ERROR(
      take(read_order<base::LargeVector<std::uint32_t>>(columns.storage_order, rows, "V9", "rows of storage_order"),
           a.storage_order));
  RETURN_IF_ERROR(take(read_order<std::vector<std::uint32_t>>(columns.planner_order, columns.entries.size(), "V3",
                                                              "entries of planner_order"),
                       a.planner_order));
  RETURN_IF_ERROR(take(read_storage_meta(columns), a.storage_meta));
  RETURN_IF_ERROR(take(read_opaque(columns), a.opaque));
  if (!keeps_rule_v13(columns)) return base::broken_rule("V13", "the checksums do not fit their kind");
  a.file_facts = read_facts(columns);
  a.checksum_kind = columns.checksum_kind;
  for (const std::uint32_t row : a.storage_order) {
    if (base::read_once(columns.chunk_files, row) == kNoFile) return corrupt("V9", "rows of storage_order");
  }
  for (const IndexHintRow& hint : copy_of(columns.index_hints)) {
    if (hint.row >= rows) return corrupt("V9", "index hints");
    a.hints.push_back({hint.row, hint.known != 0, hint.index});
  }
  a.fragment_rank = columns.fragment_rank;
  a.has_storage_data = columns.has_storage_data;
  a.has_planner_data = columns.has_planner_data;
  a.version = as_text(columns.version);
  a.metadata_class = as_text(columns.metadata_class);
  a.storage_info_class = as_text(columns.storage_info_class);
  a.source = columns.source;
  return a;
}

base::LargeVector<std::uint32_t> default_storage_order(const Columns& columns) {
  const std::vector<std::uint32_t> files = copy_of(columns.chunk_files);
  const std::vector<std::uint64_t> offsets = copy_of(columns.chunk_byte_offsets);
  base::LargeVector<std::uint32_t> order;
  for (std::uint32_t row = 0; row < files.size() && row < offsets.size(); ++row) {
    if (files[row] != kNoFile) order.push_back(row);
  }
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::tuple(files[a], offsets[a], a) < std::tuple(files[b], offsets[b], b);
  });
  return order;
}

}  // namespace flatpoint::change
