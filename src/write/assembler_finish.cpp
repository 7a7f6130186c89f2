// The second half of the assembler: numbers and orders that are known once all entries are there, then encoding.

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/planner_path.hpp"
#include "format/constants.hpp"
#include "format/encode.hpp"
#include "format/fqn_slots.hpp"
#include "write/assembler.hpp"
#include "write/first_use.hpp"
#include "write/text_builder.hpp"

namespace flatpoint::write {
namespace {

bool list_less(const DraftTransformList& a, const DraftTransformList& b) {
  return std::tie(a.type, a.descriptors) < std::tie(b.type, b.descriptors);
}

}  // namespace

FileFacts joined(const FileFacts& a, const FileFacts& b) noexcept {
  FileFacts both;
  if (a.length == b.length) both.length = a.length;
  both.modified_ns = a.modified_ns && b.modified_ns ? std::min(a.modified_ns, b.modified_ns)
                                                    : (a.modified_ns ? a.modified_ns : b.modified_ns);
  both.format = a.format == b.format || b.format == FileFormat::Unknown ? a.format
                : a.format == FileFormat::Unknown                       ? b.format
                                                                        : FileFormat::Mixed;
  return both;
}

struct Assembler::Tail {
  std::vector<std::uint32_t> fqn_order;
  std::vector<std::uint32_t> fqn_slots;
  TextBuilder file_names;
  std::vector<std::uint64_t> file_lengths;
  std::vector<std::int64_t> file_times;
  std::vector<FileFormat> file_formats;
  TextBuilder type_names;
  TextBuilder transform_names;
  std::vector<TransformListRow> transform_lists;
  base::LargeVector<std::uint32_t> storage_order;
  std::vector<IndexHintRow> hints;
  std::vector<std::uint16_t> fqn_paths;
  std::vector<PathElementRow> path_elements;
  std::vector<std::uint32_t> path_ends;
  std::vector<std::uint32_t> planner_order;
  TextBuilder modules;
  std::vector<OpaqueRecordRow> opaque;
  std::string opaque_names;
  std::string opaque_pickles;

  /// A column where one of the files has something to say there.
  void put_facts(std::span<const FileFacts> facts) {
    for (const FileFacts& file : facts) {
      file_lengths.push_back(file.length.value_or(kNoFileLength));
      file_times.push_back(file.modified_ns.value_or(kNoFileTime));
      file_formats.push_back(file.format);
    }
    const auto unless_unknown = [](auto& column, auto unknown) {
      if (std::ranges::all_of(column, [&](auto value) { return value == unknown; })) column.clear();
    };
    unless_unknown(file_lengths, kNoFileLength);
    unless_unknown(file_times, kNoFileTime);
    unless_unknown(file_formats, FileFormat::Unknown);
  }

  void put_opaque(std::vector<DraftOpaque> records) {
    std::sort(records.begin(), records.end(), [](const DraftOpaque& a, const DraftOpaque& b) {
      return std::tie(a.kind, a.position, a.name, a.pickle) < std::tie(b.kind, b.position, b.name, b.pickle);
    });
    for (const DraftOpaque& record : records) {
      OpaqueRecordRow row{};
      row.kind = record.kind;
      row.position = record.position;
      row.name_begin = static_cast<std::uint32_t>(opaque_names.size());
      row.name_length = static_cast<std::uint32_t>(record.name.size());
      row.pickle_begin = static_cast<std::uint32_t>(opaque_pickles.size());
      row.pickle_length = static_cast<std::uint32_t>(record.pickle.size());
      opaque_names.append(record.name);
      opaque_pickles.append(record.pickle);
      opaque.push_back(row);
    }
  }
};

/// What would not fit the file's 32-bit numbers; the exact size is encode's to check.
Result<void> Assembler::check_limits(const DraftAttributes& attributes) const {
  std::uint64_t opaque = 0;
  for (const DraftOpaque& record : attributes.opaque) opaque += record.name.size() + record.pickle.size();
  const std::pair<const char*, std::uint64_t> columns[] = {{"FQNs", entries_.size() * sizeof(EntryRow)},
                                                           {"chunks", rows_.size() * sizeof(std::uint32_t)},
                                                           {"names", fqns_.size()},
                                                           {"shapes", sizes_.values().size() * sizeof(std::int64_t)},
                                                           {"boxes", boxes_.values().size() * sizeof(std::int64_t)},
                                                           {"opaque records", opaque}};
  for (const auto& [what, bytes] : columns) {
    if (bytes <= format::kMaxFileSize) continue;
    return fail(ErrorCode::TooLarge, fmt::format("{} alone take {} bytes; the format ends below 2 GiB", what, bytes));
  }
  return {};
}

/// What would not fit the file's 16-bit numbers.
Result<void> Assembler::check_numbers(const Tail& tail) const {
  const std::pair<const char*, std::size_t> lists[] = {
      {"shapes of planner paths", tail.path_ends.size()},
      {"names of dtypes and layouts", tail.type_names.column().ends.size()},
      {"lists of transform descriptors", tail.transform_lists.size()}};
  constexpr std::size_t kMaxNumber = std::numeric_limits<std::uint16_t>::max();
  for (const auto& [what, count] : lists) {
    if (count > kMaxNumber)
      return fail(ErrorCode::TooLarge, fmt::format("{} {}; the format holds {}", count, what, kMaxNumber));
  }
  return {};
}

void Assembler::number_files(const DraftAttributes& attributes, std::span<const std::uint32_t> file_order, Tail& tail) {
  FirstUse numbers(attributes.files, std::less<>());
  for (const std::uint32_t row : attributes.storage_order) numbers.number(rows_.files[row]);
  if (attributes.storage_order.empty()) {
    std::vector<char> used(attributes.files.size(), 0);
    for (const std::uint32_t file : rows_.files) {
      if (file != kNoFile) used[file] = 1;
    }
    for (std::uint32_t i = 0; i < used.size(); ++i) {
      const std::uint32_t file = file_order.empty() ? i : file_order[i];
      if (used[file]) numbers.number(file);
    }
  }
  std::vector<std::uint32_t> number_of(attributes.files.size());
  for (std::uint32_t i = 0; i < number_of.size(); ++i) number_of[i] = numbers.find(i);
  for (std::uint32_t& file : rows_.files) {
    if (file != kNoFile) file = number_of[file];
  }
  for (const std::uint32_t file : numbers.used()) tail.file_names.add(attributes.files[file]);
  if (attributes.file_facts.empty()) return;
  std::vector<std::optional<FileFacts>> facts(numbers.used().size());
  for (std::uint32_t i = 0; i < number_of.size(); ++i) {
    if (number_of[i] >= facts.size()) continue;
    std::optional<FileFacts>& known = facts[number_of[i]];
    known = known ? joined(*known, attributes.file_facts[i]) : attributes.file_facts[i];
  }
  std::vector<FileFacts> used(facts.size());
  std::ranges::transform(facts, used.begin(), [](const auto& known) { return known.value_or(FileFacts()); });
  tail.put_facts(used);
}

/// One begin where all chunks with a file agree, else one per row; none where nothing is known.
void Assembler::put_data() {
  if (!begins_differ_) {
    rows_.data_begins.clear();
    if (data_begin_.value_or(kNoDataBegin) != kNoDataBegin) rows_.data_begins.push_back(*data_begin_);
  }
  const auto unknown = [](std::uint64_t checksum) { return checksum == kNoChecksum; };
  if (std::ranges::all_of(rows_.checksums, unknown)) rows_.checksums.clear();
}

void Assembler::number_types(const DraftAttributes& attributes, Tail& tail) {
  FirstUse numbers(attributes.type_names, std::less<>());
  for (EntryRow& entry : entries_) {
    TensorPropertiesRow& p = entry.properties;
    if (entry.storage_type != StorageType::Tensor) continue;
    const auto number = [&](bool is_named, std::uint16_t name) {
      return is_named ? static_cast<std::uint16_t>(numbers.number(name)) : std::uint16_t{0};
    };
    p.dtype_name = number(p.dtype == ScalarType::Other, p.dtype_name);
    p.layout_name = number(p.layout == Layout::Other, p.layout_name);
  }
  for (const std::uint32_t name : numbers.used()) tail.type_names.add(attributes.type_names[name]);
}

void Assembler::number_transforms(const DraftAttributes& attributes, Tail& tail) {
  if (std::ranges::all_of(rows_.transforms, [](std::uint16_t list) { return list == 0; })) rows_.transforms.clear();
  FirstUse numbers(attributes.transform_lists, list_less);
  for (std::uint16_t& list : rows_.transforms) {
    if (list != 0) list = static_cast<std::uint16_t>(numbers.number(list - 1U) + 1);
  }
  std::uint32_t texts = 0;
  for (const std::uint32_t number : numbers.used()) {
    const DraftTransformList& list = attributes.transform_lists[number];
    for (const std::string_view descriptor : list.descriptors) tail.transform_names.add(descriptor);
    texts += static_cast<std::uint32_t>(list.descriptors.size());
    tail.transform_lists.push_back({texts, list.type, {}});
  }
}

/// DCP's order of storage_data, dropped where it is by file, then offset, then row; and the hints that are not normal.
void Assembler::put_storage(DraftAttributes& attributes, Tail& tail) {
  if (keys_ > 0) rows_.byte_offsets.resize(rows_.size(), 0);
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return std::tuple(rows_.files[a], rows_.byte_offsets[a], a) < std::tuple(rows_.files[b], rows_.byte_offsets[b], b);
  };
  tail.storage_order = std::move(attributes.storage_order);
  if (tail.storage_order.size() == keys_ &&
      std::is_sorted(tail.storage_order.begin(), tail.storage_order.end(), before)) {
    tail.storage_order.clear();
  }
  for (const DraftHint& hint : attributes.hints) {
    if (rows_.files[hint.row] != kNoFile) tail.hints.push_back({hint.row, hint.known, {}, hint.known ? hint.index : 0});
  }
  std::sort(tail.hints.begin(), tail.hints.end(),
            [](const IndexHintRow& a, const IndexHintRow& b) { return a.row < b.row; });
  if (keys_ > 0) return;
  rows_.byte_offsets.clear();
  lengths_ = {};
}

/// Paths, and DCP's order of planner_data, dropped where it is the order of state_dict_metadata.
void Assembler::put_planner(DraftAttributes& attributes, std::span<const std::uint32_t> fqn_order, Tail& tail) {
  if (!attributes.has_planner_data) return;
  FirstUse numbers(attributes.paths, columns::PathLess());
  std::vector<std::uint32_t> keys;  // entries with a path, in the order of state_dict_metadata
  for (const std::uint32_t path : paths_) {
    tail.fqn_paths.push_back(path == kNoPath ? std::uint16_t{0} : static_cast<std::uint16_t>(numbers.number(path) + 1));
  }
  for (std::uint32_t i = 0; i < paths_.size(); ++i) {
    const std::uint32_t entry = fqn_order.empty() ? i : fqn_order[i];
    if (paths_[entry] != kNoPath) keys.push_back(entry);
  }
  if (keys.empty()) tail.fqn_paths.clear();
  for (const std::uint32_t path : numbers.used()) {
    tail.path_elements.insert(tail.path_elements.end(), attributes.paths[path].begin(), attributes.paths[path].end());
    tail.path_ends.push_back(static_cast<std::uint32_t>(tail.path_elements.size()));
  }
  if (attributes.planner_order != keys) tail.planner_order = std::move(attributes.planner_order);
}

Result<Buffer> Assembler::finish(DraftAttributes&& attributes, std::vector<std::uint32_t> fqn_order,
                                 std::span<const std::uint32_t> file_order) && {
  RETURN_IF_ERROR(check_limits(attributes));
  Tail tail;
  number_files(attributes, file_order, tail);
  put_data();
  number_types(attributes, tail);
  number_transforms(attributes, tail);
  put_storage(attributes, tail);
  put_planner(attributes, fqn_order, tail);
  RETURN_IF_ERROR(check_numbers(tail));
  if (!std::is_sorted(fqn_order.begin(), fqn_order.end())) tail.fqn_order = std::move(fqn_order);
  tail.put_opaque(std::move(attributes.opaque));
  if (attributes.storage_meta) {
    for (const std::string_view module : attributes.storage_meta->modules) tail.modules.add(module);
  }
  const std::string_view names(fqns_.data(), fqns_.size());
  tail.fqn_slots = format::make_fqn_slots(static_cast<std::uint32_t>(entries_.size()), [&](std::uint32_t i) {
    return names.substr(entries_[i].fqn_begin, entries_[i].fqn_length);
  });
  return format::encode(columns(attributes, tail));
}

Columns Assembler::columns(const DraftAttributes& attributes, const Tail& tail) const {
  Columns c;
  c.fragment_rank = attributes.fragment_rank;
  c.entries = entries_;
  c.fqns = bytes_of({fqns_.data(), fqns_.size()});
  c.fqn_slots = tail.fqn_slots;
  c.fqn_order = tail.fqn_order;
  c.sizes = sizes_.values();
  c.boxes = boxes_.values();
  c.chunk_order = orders_.values();
  c.chunk_files = rows_.files;
  c.chunk_byte_offsets = rows_.byte_offsets;
  c.chunk_lengths = lengths_.values();
  c.chunk_transforms = rows_.transforms;
  c.chunk_data_begins = rows_.data_begins;
  c.chunk_checksums = rows_.checksums;
  if (!rows_.checksums.empty()) c.checksum_kind = attributes.checksum_kind;
  c.file_lengths = tail.file_lengths;
  c.file_times = tail.file_times;
  c.file_formats = tail.file_formats;
  c.file_names = tail.file_names.column();
  c.type_names = tail.type_names.column();
  c.transform_names = tail.transform_names.column();
  c.transform_lists = tail.transform_lists;
  c.has_storage_data = attributes.has_storage_data;
  c.storage_order = tail.storage_order;
  c.index_hints = tail.hints;
  c.loose_storage = loose_;
  c.has_planner_data = attributes.has_planner_data;
  c.fqn_paths = tail.fqn_paths;
  c.path_elements = tail.path_elements;
  c.path_ends = tail.path_ends;
  c.planner_order = tail.planner_order;
  if (const auto& meta = attributes.storage_meta) {
    c.storage_meta =
        StorageMetaColumns{optional_bytes(meta->checkpoint_id), meta->checkpoint_id_type, optional_bytes(meta->save_id),
                           optional_bytes(meta->load_id),       meta->has_modules,        tail.modules.column()};
  }
  c.version = optional_bytes(attributes.version);
  c.opaque = tail.opaque;
  c.opaque_names = bytes_of(tail.opaque_names);
  c.opaque_pickles = bytes_of(tail.opaque_pickles);
  c.metadata_class = optional_bytes(attributes.metadata_class);
  c.storage_info_class = optional_bytes(attributes.storage_info_class);
  c.source = attributes.source;
  return c;
}

}  // namespace flatpoint::write
