// dcp/translate_storage.cpp - storage_data: MetadataIndex -> _StorageInfo, and the chunk that each speaks of.
#include <array>

#include "base/failing.hpp"
#include "dcp/translator.hpp"

namespace flatpoint::dcp {

Status Translator::storage_data(Value value) {
  if (value.is(Tag::None)) return {};
  if (!is_dict(heap_, value)) return keep(OpaqueKind::StorageData, 0, {}, value);
  draft_.has_storage_data = true;
  draft_.rows.resize(rows_.rows());
  draft_.rows.byte_offsets.resize(rows_.rows());  // without a value until a row has a file
  draft_.rows.lengths.resize(rows_.rows());
  draft_.storage_order.reserve(rows_.rows());
  entry_of_fqn_.resize(heap_.texts.size(), kNone);

  for (const Block* block = dict_blocks(value).first; block != nullptr; block = block->next) {
    const auto values = block->values();
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
      constexpr std::size_t kAhead = 32;
      if (i + kAhead < values.size()) prefetch(values[i + kAhead]);
      if (place_folded(values[i], values[i + 1])) continue;
      if (const Status done = store(values[i], values[i + 1]); !done) return done;
    }
  }
  share_locations();
  if (in_default_order_) draft_.storage_order.clear();
  return {};
}

// What nearly all of storage_data is: both folded, the hint right, the location new. False: nothing was done.
bool Translator::place_folded(Value key, Value value) {
  if (!key.is(kIndexTag) || !value.is(kInfoTag) || heap_.info_class != info_class_) return false;
  if (!opaque_storage_keys_.empty()) return false;
  const IndexRecord& index = heap_.records.indices[key.number()];
  const InfoRecord& info = heap_.records.infos[value.number()];
  const std::uint32_t entry = entry_of_fqn_[index.fqn];
  if (entry == kNone || !index.has_offset || !index.has_hint || info.path >= file_of_path_.size()) return false;
  const ChunkRows::Entry& rows = rows_[entry];
  const std::uint32_t file = file_of_path_[info.path];
  if (file == kNone || rows.ndim != index.ndim || rows.type != StorageType::Tensor) return false;
  if (!rows_.is_at(rows, index.hint, heap_.records.offsets.data() + index.offset_begin)) return false;
  const std::uint32_t row = rows.chunk_begin + index.hint;
  if (draft_.rows.files[row] != kNoFile) return false;
  draft_.rows.set(row, {file, info.offset, info.length, 0});
  append_to_order(row);
  return true;
}

Status Translator::store(Value key_value, Value value) {
  Key key;
  const Fit fit = read_key(key_value, key);
  if (fit == Fit::TooManyDimensions) return tl::unexpected(too_many_dimensions(heap_.texts[key.fqn]));
  if (fit == Fit::No) {
    const auto answer = odd_storage_keys_.add(heap_, key_value);
    if (answer != OddKeys::Answer::New) return tl::unexpected(ambiguous_key("storage_data", storage_items_, answer));
    return keep_item(OpaqueKind::StorageItem, storage_items_++, key_value, value);
  }
  if (Location location; key.hint_fits && read_location(value, location)) return place(key, location);
  return keep_storage_item(key, key_value, value);
}

// An item whose key is DCP's, as a record: no other item may have the key.
Status Translator::keep_storage_item(const Key& key, Value key_value, Value value) {
  std::optional<std::int64_t> usual_hint;
  const auto row = chunk_row(key, usual_hint);
  std::string name = name_of(key);
  const bool is_placed = row ? draft_.rows.files[*row] != kNoFile : loose_rows_.contains(name);
  if (is_placed || !opaque_storage_keys_.try_emplace(std::move(name), true).second) {
    return tl::unexpected(ambiguous_key("storage_data", storage_items_, OddKeys::Answer::Repeated));
  }
  return keep_item(OpaqueKind::StorageItem, storage_items_++, key_value, value);
}

Translator::Fit Translator::read_key(Value value, Key& key) {
  if (value.is(kIndexTag)) {
    const IndexRecord& record = heap_.records.indices[value.number()];
    key = {.fqn = record.fqn,
           .has_offset = record.has_offset,
           .ndim = record.ndim,
           .offset = heap_.records.offsets.data() + record.offset_begin,
           .has_hint = record.has_hint,
           .hint = record.hint};
    return Fit::Yes;
  }
  std::array<Attribute, 3> attributes{{{"fqn"}, {"offset"}, {"index"}}};
  if (known_class_of(heap_, value) != Known::MetadataIndex || !has_plain_state(value)) return Fit::No;
  if (!read_attributes(heap_, value, attributes)) return Fit::No;
  const auto& [fqn, offset, index] = attributes;
  const auto absent = [](Value v) { return v.is(Tag::Unset) || v.is(Tag::None); };
  const auto text = heap_.text(fqn.value);
  if (!text) return Fit::No;
  key.fqn = heap_.texts.intern(*text);
  if (key.fqn >= entry_of_fqn_.size()) entry_of_fqn_.resize(key.fqn + std::size_t{1}, kNone);

  key.has_hint = !absent(index.value);
  const auto hint = read_integer(heap_, index.value);
  key.hint_fits = !key.has_hint || hint;
  key.hint = hint.value_or(0);

  key.has_offset = !absent(offset.value);
  if (!key.has_offset) return Fit::Yes;
  if (has_too_many_dimensions(heap_, offset.value)) return Fit::TooManyDimensions;
  scratch_.clear();
  if (offset.value.is(Tag::List)) return Fit::No;
  const auto ndim = read_size(heap_, offset.value, scratch_);
  key.ndim = ndim.value_or(0);
  key.offset = scratch_.data();
  return ndim ? Fit::Yes : Fit::No;
}

bool Translator::read_location(Value value, Location& location) {
  if (value.is(kInfoTag)) {
    const InfoRecord& record = heap_.records.infos[value.number()];
    location = {record.path, record.offset, record.length, 0};
    return accept_info_class(heap_.info_class);
  }
  const Value cls = class_of(heap_, value);
  std::array<Attribute, 4> attributes{{{"relative_path"}, {"offset"}, {"length"}, {"transform_descriptors"}}};
  if (cls.is(Tag::Unset) || !read_attributes(heap_, value, attributes)) return false;
  const auto& [path, offset, length, transforms] = attributes;
  const auto begin = read_integer(heap_, offset.value);
  const auto count = read_integer(heap_, length.value);
  if (!begin || !count || *begin < 0 || *count < 0) return false;
  const auto file = relative_path(path.value);
  if (!file) return false;
  if (!transforms.value.is(Tag::Unset) && !transforms.value.is(Tag::None)) {
    const auto list = transform_list(transforms.value);
    if (!list) return false;
    location.transforms = static_cast<std::uint16_t>(*list + 1);
  }
  if (!accept_info_class(cls)) return false;
  location.path = *file;
  location.offset = static_cast<std::uint64_t>(*begin);
  location.length = static_cast<std::uint64_t>(*count);
  return true;
}

// Other storage layers have classes of their own with the same attributes. A file names one; the first is it.
bool Translator::accept_info_class(Value cls) {
  if (cls == info_class_) return true;
  if (!info_class_.is(Tag::Unset)) return false;
  if (heap_.known(cls) != Known::StorageInfo) {
    if (!may_stand_in(heap_, cls)) return false;
    const std::string_view name = class_name(cls);
    if (name.empty()) return false;
    draft_.storage_info_class = name;
  }
  info_class_ = cls;
  return true;
}

std::optional<std::uint32_t> Translator::relative_path(Value value) {
  if (const auto text = heap_.text(value)) return heap_.records.paths.intern(*text);
  if (!value.is(Tag::Object)) return std::nullopt;
  const auto known = paths_.find(value.word());
  if (known != paths_.end()) return known->second;
  const auto path = read_path(heap_, value);
  if (!path) return std::nullopt;
  ++paths_for_texts_;
  const std::uint32_t number = heap_.records.paths.intern(path->text);
  paths_.emplace(value.word(), number);
  return number;
}

// A list that many items share is read once.
std::optional<std::uint16_t> Translator::transform_list(Value list) {
  const auto [known, is_new] = transforms_.try_emplace(list.word());
  if (is_new) known->second = read_transform_list(list);
  return known->second;
}

std::optional<std::uint16_t> Translator::read_transform_list(Value list) {
  write::DraftTransformList read;
  read.type = list.is(Tag::Tuple) ? SequenceType::Tuple : SequenceType::List;
  std::string key(list.is(Tag::Tuple) ? "t" : "l");
  const auto add = [&](Value item) {
    const auto text = heap_.text(item);
    if (!text) return false;
    read.descriptors.push_back(*text);
    key.append(std::to_string(text->size())).append(1, ' ').append(*text);
    return true;
  };
  if (list.is(Tag::Tuple)) {
    for (const Value item : list.node<Tuple>()->values()) {
      if (!add(item)) return std::nullopt;
    }
  } else if (!list.is(Tag::List) || !visit_list(list, add)) {
    return std::nullopt;
  }
  constexpr std::size_t kMaxLists = 0xFFFF - 1;  // chunk_transforms holds number + 1
  const auto known = transform_numbers_.find(key);
  if (known != transform_numbers_.end()) return known->second;
  if (draft_.transform_lists.size() >= kMaxLists) return std::nullopt;
  const auto number = static_cast<std::uint16_t>(draft_.transform_lists.size());
  for (std::string_view& text : read.descriptors) text = heap_.arena.copy(text);
  draft_.transform_lists.push_back(std::move(read));
  transform_numbers_.emplace(std::move(key), number);
  return number;
}

// The row of the chunk that a key speaks of, and the hint that its place is.
std::optional<std::uint32_t> Translator::chunk_row(const Key& key, std::optional<std::int64_t>& usual_hint) const {
  const std::uint32_t entry = entry_of_fqn_[key.fqn];
  if (entry == kNone) return std::nullopt;
  const ChunkRows::Entry& rows = rows_[entry];
  if (!key.has_offset) return rows.type == StorageType::Bytes ? std::optional(rows.chunk_begin) : std::nullopt;
  if (rows.type != StorageType::Tensor || rows.ndim != key.ndim) return std::nullopt;
  const auto chunk = rows_.find(rows, key.offset, key.has_hint ? static_cast<std::uint64_t>(key.hint) : 0);
  usual_hint = chunk;
  return chunk ? std::optional(rows.chunk_begin + *chunk) : std::nullopt;
}

Status Translator::place(const Key& key, const Location& location) {
  std::optional<std::int64_t> usual_hint;
  std::optional<std::uint32_t> row = chunk_row(key, usual_hint);
  bool is_new = row && draft_.rows.files[*row] == kNoFile;
  if (!row) {
    const auto loose = loose_row(key, is_new);
    RETURN_IF_ERROR(loose);
    row = *loose;
  }
  if (!is_new || (!opaque_storage_keys_.empty() && opaque_storage_keys_.contains(name_of(key)))) {
    return tl::unexpected(ambiguous_key("storage_data", storage_items_, OddKeys::Answer::Repeated));
  }
  draft_.rows.set(*row, {file_number(location.path), location.offset, location.length, location.transforms});
  append_to_order(*row);
  if (key.has_hint ? usual_hint != key.hint : usual_hint.has_value()) {
    draft_.hints.push_back({*row, key.has_hint, key.hint});
  }
  return {};
}

void Translator::append_to_order(std::uint32_t row) {
  const columns::StoredRow stored = draft_.rows[row];
  const bool ascends = stored.file > last_file_ || (stored.file == last_file_ && stored.byte_offset > last_offset_);
  in_default_order_ &= ascends || draft_.storage_order.empty();
  last_file_ = stored.file;
  last_offset_ = stored.byte_offset;
  draft_.storage_order.push_back(row);
  ++storage_items_;
}

std::string Translator::name_of(const Key& key) {
  std::string name(reinterpret_cast<const char*>(&key.fqn), sizeof key.fqn);
  name.push_back(key.has_offset ? '\1' : '\0');
  if (key.ndim > 0) name.append(reinterpret_cast<const char*>(key.offset), key.ndim * sizeof *key.offset);
  return name;
}

// The row of storage information whose key names no chunk.
Result<std::uint32_t> Translator::loose_row(const Key& key, bool& is_new) {
  std::string name = name_of(key);
  const auto next = static_cast<std::uint32_t>(draft_.rows.size());
  const auto [at, inserted] = loose_rows_.try_emplace(std::move(name), next);
  is_new = inserted;
  if (!inserted) return at->second;
  if (rows_left() == 0) return tl::unexpected(too_many_chunks());
  draft_.loose_storage.push_back({.fqn = heap_.texts[key.fqn],
                                  .has_offset = key.has_offset,
                                  .ndim = static_cast<std::uint8_t>(key.ndim),
                                  .offset_begin = draft_.sizes.size()});
  draft_.sizes.insert(draft_.sizes.end(), key.offset, key.offset + key.ndim);
  draft_.rows.push_back({});
  return next;
}

// Files count by their first use in storage_data.
std::uint32_t Translator::file_number(std::uint32_t path) {
  if (path >= file_of_path_.size()) file_of_path_.resize(heap_.records.paths.size(), kNone);
  std::uint32_t& number = file_of_path_[path];
  if (number == kNone) {
    number = static_cast<std::uint32_t>(draft_.files.size());
    draft_.files.push_back(heap_.records.paths[path]);
  }
  return number;
}

// Chunks that start at the same offset have one key, hence one location.
void Translator::share_locations() {
  for (std::uint32_t e = 0; e < rows_.size(); ++e) {
    const ChunkRows::Entry& entry = rows_[e];
    if (entry.unique) continue;
    for (std::uint32_t chunk = 0; chunk < entry.chunk_count; ++chunk) {
      const std::uint32_t row = entry.chunk_begin + chunk;
      const std::uint32_t first = entry.chunk_begin + *rows_.find(entry, rows_.box(entry, chunk), 0);
      draft_.rows.set(row, draft_.rows[first]);
    }
  }
}

// Storage data goes rank by rank, chunks FQN by FQN: what a key speaks of is far away from what the last one spoke of.
void Translator::prefetch(Value key) const {
  if (!key.is(kIndexTag)) return;
  const IndexRecord& record = heap_.records.indices[key.number()];
  const std::uint32_t entry = entry_of_fqn_[record.fqn];
  if (entry == kNone || record.hint >= rows_[entry].chunk_count) return;
  const std::uint32_t row = rows_[entry].chunk_begin + record.hint;
  __builtin_prefetch(rows_.box(rows_[entry], record.hint));
  __builtin_prefetch(draft_.rows.files.data() + row, 1);
  __builtin_prefetch(draft_.rows.byte_offsets.data() + row, 1);
  __builtin_prefetch(draft_.rows.lengths.data() + row, 1);
}

}  // namespace flatpoint::dcp
