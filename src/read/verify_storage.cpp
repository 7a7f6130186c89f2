// Rules about where chunks lie: E6, V8, V9, V12.
#include <algorithm>
#include <limits>
#include <tuple>

#include "columns/boxes.hpp"
#include "columns/byte_ranges.hpp"
#include "read/verifier.hpp"

namespace flatpoint::read {
namespace {

bool same_storage(const ChunkView& a, const ChunkView& b, const Columns& columns) {
  const auto x = a.storage();
  const auto y = b.storage();
  if (x.status() != y.status()) return false;
  if (!x) return true;
  const auto transforms = [&](const ChunkView& chunk) {
    return columns.chunk_transforms.empty() ? 0 : columns.chunk_transforms[chunk.row()];
  };
  return x->file() == y->file() && x->byte_offset() == y->byte_offset() && x->length() == y->length() &&
         transforms(a) == transforms(b);
}

/// Order of loose storage: FQN, no offset first, then offset.
bool loose_before(const Columns& columns, const LooseStorageRow& a, const LooseStorageRow& b) {
  const auto name = [&](const LooseStorageRow& row) { return *text_at(columns.fqns, row.fqn_begin, row.fqn_length); };
  if (name(a) != name(b)) return name(a) < name(b);
  if ((a.has_offset != 0) != (b.has_offset != 0)) return b.has_offset != 0;
  if (a.has_offset == 0) return false;
  return std::ranges::lexicographical_compare(columns.sizes.subspan(a.offset_begin, a.ndim),
                                              columns.sizes.subspan(b.offset_begin, b.ndim));
}

}  // namespace

void Verifier::storage_of(const EntryView& entry) {
  const EntryRow& row = entry.row();
  for (std::uint32_t i = 0; i < row.chunk_count; ++i) {
    const std::uint64_t length_at = std::uint64_t{row.length_begin} + (row.lengths_differ != 0 ? i : 0);
    const auto length = storage_of_row(row.chunk_begin + i, length_at);
    if (length && *length == 0) empty_storage(entry, i);
  }
}

/// A chunk that has elements, but no bytes. A file that names its tensors may be all that is known of where one lies.
void Verifier::empty_storage(const EntryView& entry, std::uint32_t row) {
  const auto tensor = entry.tensor();
  if (!tensor) return;
  const auto chunk = tensor->chunk_by_row(row);
  const ChunkStorageMetadata box = chunk->to_value();
  if (columns::is_empty(box.sizes)) return;
  const auto storage = chunk->storage();
  if (storage && storage->byte_offset() == 0 && storage->file() < c_.file_formats.size()) {
    const FileFormat format = c_.file_formats[storage->file()];
    if (format == FileFormat::Archive || format == FileFormat::Safetensors) return;
  }
  report_.finding(finding_kind::kEmptyStorage,
                  "FQN '{}': the chunk with offsets {} sizes {} has elements, but a length of 0", shown(entry.fqn()),
                  columns::to_string(box.offsets), columns::to_string(box.sizes));
}

std::optional<std::uint64_t> Verifier::storage_of_row(std::uint64_t row, std::uint64_t length_at) {
  const auto storage = ViewAccess::storage(c_, row, length_at);
  if (storage.corrupt())
    report_.broken("E6", "row {}: its file, offset, length or transforms do not fit their columns", row);
  if (storage.found() && !c_.has_storage_data)
    report_.broken("V8", "row {} has a file although storage_data is None", row);
  if (!storage) return std::nullopt;
  if (storage->byte_offset() > std::numeric_limits<std::uint64_t>::max() - storage->length()) {
    report_.finding(finding_kind::kByteRange, "row {}: {} bytes at byte {} end beyond 64 bits", row, storage->length(),
                    storage->byte_offset());
  } else if (storage->length() > 0) {
    ranges_.push_back({storage->file(), storage->byte_offset(), storage->byte_offset() + storage->length(),
                       static_cast<std::uint32_t>(row)});
  }
  return storage->length();
}

/// Who a row belongs to. Entries' rows follow one another (V4), those of loose storage come behind.
std::string Verifier::owner_of(std::uint32_t row) const {
  const auto behind =
      std::ranges::upper_bound(c_.entries, row, {}, [](const EntryRow& entry) { return entry.chunk_begin; });
  const auto name = row >= c_.chunk_rows() ? text_at(c_.fqns, c_.loose_storage[row - c_.chunk_rows()].fqn_begin,
                                                     c_.loose_storage[row - c_.chunk_rows()].fqn_length)
                    : behind != c_.entries.begin()
                        ? text_at(c_.fqns, std::prev(behind)->fqn_begin, std::prev(behind)->fqn_length)
                        : std::nullopt;
  return shown(name.value_or("?"));
}

/// Two keys of storage_data whose bytes overlap. Equal ranges may be meant: tied weights that were saved once.
void Verifier::byte_ranges() {
  if (!keys_known_) return;
  std::erase_if(ranges_, [&](const ByteRange& range) { return repeats_key_[range.row]; });
  const auto key = [](const ByteRange& r) { return std::tuple(r.file, r.begin, r.end, r.row); };
  const auto less = [&](const ByteRange& a, const ByteRange& b) { return key(a) < key(b); };
  if (!std::ranges::is_sorted(ranges_, less)) std::ranges::sort(ranges_, less);
  const auto range_of = [](const ByteRange& r) { return columns::ByteRange{r.file, r.begin, r.end}; };
  columns::each_overlap(
      std::span<const ByteRange>(ranges_), range_of, [&](const ByteRange& range, const ByteRange& last) {
        const bool equal = range.begin == last.begin && range.end == last.end;
        report_.finding(equal ? finding_kind::kSharedBytes : finding_kind::kOverlappingBytes,
                        "data file {}: bytes {} to {} of FQN '{}' {} FQN '{}'", range.file, range.begin, range.end,
                        owner_of(range.row), equal ? "are also those of" : "overlap those of", owner_of(last.row));
      });
}

void Verifier::equal_keys(const TensorView& view, std::uint32_t row) {
  const ChunkView chunk = *view.chunk_by_row(row);
  repeats_key_[chunk.row()] = true;
  const auto sizes_of = [&](std::uint32_t r) { return view.chunk_by_row(r)->to_value().sizes; };
  if (columns::is_empty(sizes_of(row - 1)) != columns::is_empty(sizes_of(row))) {
    report_.finding(finding_kind::kEmptyChunkInPlace,
                    "FQN '{}': an empty chunk starts at {} as another does, and takes its place in storage_data",
                    shown(view.fqn()), columns::to_string(chunk.to_value().offsets));
  }
  if (!same_storage(*view.chunk_by_row(row - 1), chunk, c_)) {
    report_.broken("V8", "FQN '{}': rows {} and {} start at the same place, but lie in different ones",
                   shown(view.fqn()), row - 1, row);
  }
}

void Verifier::storage_of_loose() {
  const LooseStorageRow* before = nullptr;
  for (std::size_t i = 0; i < c_.loose_storage.size(); ++i) {
    const LooseStorageRow& row = c_.loose_storage[i];
    storage_of_row(c_.chunk_rows() + i, row.length_begin);
    if (c_.chunk_files[c_.chunk_rows() + i] == kNoFile) {
      report_.broken("V8", "loose storage {} has no file", i);
    }
    if (!base::in_range(row.offset_begin, row.ndim, c_.sizes.size())) {
      report_.broken("E2", "loose storage {}: its offset lies outside sizes", i);
      continue;
    }
    if (!names_apart_) continue;  // E1 or V1
    const auto offset = c_.sizes.subspan(row.offset_begin, row.ndim);
    report_.finding(finding_kind::kLooseStorage, "FQN '{}' offset {}: storage information without a chunk",
                    shown(*text_at(c_.fqns, row.fqn_begin, row.fqn_length)),
                    row.has_offset != 0 ? columns::to_string(offset) : "None");
    if (before != nullptr && !loose_before(c_, *before, row)) {
      report_.broken("V12", "loose storage {} does not sort after the one before it", i);
    }
    before = &row;
  }
}

void Verifier::storage_order() {
  permutation("V9", "V9", "storage_order", c_.storage_order, c_.chunk_files.size());
  if (c_.storage_order.empty() || !keys_known_) return;
  std::size_t keys = 0;
  for (std::size_t row = 0; row < c_.chunk_files.size(); ++row)
    keys += c_.chunk_files[row] != kNoFile && !repeats_key_[row];
  if (c_.storage_order.size() != keys) {
    report_.broken("V9", "storage_order has {} values for {} keys of storage_data", c_.storage_order.size(), keys);
  }
  for (const std::uint32_t row : c_.storage_order) {
    if (row >= c_.chunk_files.size()) continue;
    if (c_.chunk_files[row] == kNoFile) report_.broken("V9", "storage_order names row {}, which has no file", row);
    if (repeats_key_[row])
      report_.broken("V9", "storage_order names row {}, whose key is that of the row before it", row);
  }
}

void Verifier::index_hints() {
  for (std::size_t i = 0; i < c_.index_hints.size(); ++i) {
    const IndexHintRow& hint = c_.index_hints[i];
    if (hint.row >= c_.chunk_files.size())
      report_.broken("V9", "index hint {}: row {} of {}", i, hint.row, c_.chunk_files.size());
    if (i > 0 && hint.row <= c_.index_hints[i - 1].row)
      report_.broken("V9", "index hint {} does not sort after the one before it", i);
  }
}

}  // namespace flatpoint::read
