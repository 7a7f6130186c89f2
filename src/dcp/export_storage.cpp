// dcp/export_storage.cpp - storage_data: MetadataIndex -> _StorageInfo.

#include <algorithm>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/exporter.hpp"
#include "read/view_access.hpp"

namespace flatpoint::dcp {
namespace {

constexpr std::uint32_t kFirstWithTransforms = 7;

}  // namespace

Result<void> Exporter::storage_data() {
  if (!columns_.has_storage_data) {
    pickle_.none();
    return {};
  }
  base::LargeVector<std::uint32_t> own_order;
  std::span<const std::uint32_t> order = columns_.storage_order;
  if (order.empty()) {
    RETURN_IF_ERROR(default_order(own_order));
    order = own_order;
  }
  return dict(OpaqueKind::StorageItem, order.size(), [&](std::size_t i, Batches& items) -> Status {
    constexpr std::size_t kAhead = 16;
    if (i + kAhead < order.size() && order[i + kAhead] < rows_.size()) {
      __builtin_prefetch(&rows_[order[i + kAhead]]);
    }
    const std::uint32_t row = base::read_once(order, i);
    if (row >= rows_.size()) return corrupt("the order of storage_data");
    return row < columns_.chunk_rows() ? item(row, items) : loose_item(row, items);
  });
}

// By file, then offset, then row.
Result<void> Exporter::default_order(base::LargeVector<std::uint32_t>& order) const {
  const auto files = columns_.chunk_files;
  const auto file_of = [&](std::uint32_t row) { return base::read_once(files, row); };
  const auto is_item = [&](std::uint32_t row, std::uint32_t file) { return file != kNoFile && !repeats_key(row); };
  std::vector<std::size_t> ends(paths_.size() + 1);  // first the number of rows per file, then where the next one goes
  for (std::uint32_t row = 0; row < files.size(); ++row) {
    const std::uint32_t file = file_of(row);
    if (!is_item(row, file)) continue;
    if (file >= paths_.size() || row >= columns_.chunk_byte_offsets.size()) return corrupt("a place of storage_data");
    ++ends[file + 1];
  }
  for (std::size_t i = 1; i < ends.size(); ++i) ends[i] += ends[i - 1];

  struct Place {
    std::uint64_t offset;
    std::uint32_t row;
    auto operator<=>(const Place&) const = default;
  };
  base::LargeVector<Place> places(ends.back());
  const std::vector<std::size_t> begins(ends.begin(), ends.end() - 1);
  for (std::uint32_t row = 0; row < files.size(); ++row) {
    const std::uint32_t file = file_of(row);
    if (!is_item(row, file)) continue;
    if (file >= paths_.size() || ends[file] >= places.size()) return corrupt("a place of storage_data");
    places[ends[file]++] = {base::read_once(columns_.chunk_byte_offsets, row), row};
  }
  for (std::size_t file = 0; file < begins.size(); ++file) {
    const auto at = [&](std::size_t i) { return places.begin() + static_cast<std::ptrdiff_t>(i); };
    std::sort(at(begins[file]), at(std::max(begins[file], ends[file])));
  }
  order.reserve(places.size());
  for (const Place& place : places) order.push_back(place.row);
  return {};
}

// Of rows with one key the first speaks for all.
bool Exporter::repeats_key(std::uint32_t row) const {
  if (row == 0 || row >= columns_.chunk_rows()) return false;
  const Row& before = rows_[row - 1];
  const Row& here = rows_[row];
  if (here.offset_size == 0 || here.entry != before.entry || here.offset_size != before.offset_size) return false;
  const auto bytes = pickle_.written();
  return std::ranges::equal(bytes.subspan(here.offset_at, here.offset_size),
                            bytes.subspan(before.offset_at, here.offset_size));
}

Result<void> Exporter::item(std::uint32_t number, Batches& items) {
  const Row& row = rows_[number];
  if (row.entry == kNone) return corrupt("a row that no FQN has");
  const std::string_view fqn = ViewAccess::fqn(columns_, metadata_.entry(row.entry)->row());
  const auto storage = ViewAccess::storage(columns_, number, row.length_at);
  if (!storage) return corrupt(fmt::format("the storage information of FQN '{}'", fqn));
  const bool has_offset = row.offset_size > 0;
  const auto hint =
      columns_.index_hints.empty()
          ? (has_offset ? std::optional<std::int64_t>(row.position) : std::nullopt)
          : index_hint(metadata_, number, has_offset ? std::optional<std::int64_t>(row.position) : std::nullopt);
  items.next();
  cls(Class::MetadataIndex);
  begin_object();
  word(Word::Fqn);
  pickle_.fetch(fqns_[row.entry]);
  this->hint(hint);
  if (has_offset) {
    word(Word::Offset);
    cls(Class::Size);
    pickle_.repeat(row.offset_at, row.offset_size, row.offset_size > 1 ? 1 : 0);
    call();
  }
  end_object();
  return location(*storage, number, fqn);
}

// A key that names no chunk.
Result<void> Exporter::loose_item(std::uint32_t row, Batches& items) {
  const auto loose = loose_storage(metadata_, row - columns_.chunk_rows());
  if (!loose) return corrupt("storage information of no chunk");
  const auto hint = index_hint(metadata_, row, std::nullopt);
  items.next();
  cls(Class::MetadataIndex);
  begin_object();
  word(Word::Fqn);
  RETURN_IF_ERROR(text(loose->fqn, loose->fqn));
  this->hint(hint);
  if (loose->has_offset) {
    word(Word::Offset);
    size(loose->offset.data(), loose->offset.size());
  }
  end_object();
  return location(loose->storage, row, loose->fqn);
}

void Exporter::hint(std::optional<std::int64_t> index) {
  word(Word::Index);
  index ? pickle_.integer(*index) : pickle_.none();
}

Result<void> Exporter::location(const StorageInfoView& storage, std::uint32_t row, std::string_view fqn) {
  if (info_class_id_ == kNone) {
    info_class_id_ = global(info_class_);
  } else {
    pickle_.fetch(info_class_id_);
  }
  begin_object();
  word(Word::RelativePath);
  std::uint32_t& path = paths_[storage.file()];
  if (path == kNone) {
    RETURN_IF_ERROR(text(storage.relative_path(), fqn));
    path = texts_.at(storage.relative_path());
  } else {
    pickle_.fetch(path);
  }
  word(Word::Offset);
  pickle_.unsigned_integer(storage.byte_offset());
  word(Word::Length);
  pickle_.unsigned_integer(storage.length());
  if (storage.transform_count()) {
    RETURN_IF_ERROR(transforms(storage, row, fqn));
  }
  end_object();
  return {};
}

Result<void> Exporter::transforms(const StorageInfoView& storage, std::uint32_t row, std::string_view fqn) {
  if (older_than(kFirstWithTransforms)) return refuse(fqn, "transform descriptors came with PyTorch 2.7");
  const std::size_t list = base::read_once(columns_.chunk_transforms, row) - std::size_t{1};
  if (list >= columns_.transform_lists.size()) return corrupt(fmt::format("the transforms of FQN '{}'", fqn));
  const bool is_tuple = base::read_once(columns_.transform_lists, list).type == SequenceType::Tuple;
  text("transform_descriptors");
  const std::uint32_t count = *storage.transform_count();
  if (is_tuple && count > 3) pickle_.mark();
  if (!is_tuple) {
    pickle_.opcode(Opcode::EMPTY_LIST);
    pickle_.memoize();
  }
  Batches items(pickle_, count, Opcode::APPEND, Opcode::APPENDS);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!is_tuple) items.next();
    RETURN_IF_ERROR(text(storage.transform_descriptor(i), fqn));
    RETURN_IF_ERROR(check_size());
  }
  items.finish();
  if (!is_tuple) return {};
  pickle_.tuple(count);
  if (count > 0) pickle_.memoize();
  return {};
}

}  // namespace flatpoint::dcp
