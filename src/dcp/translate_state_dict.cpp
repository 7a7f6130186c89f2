// dcp/translate_state_dict.cpp - state_dict_metadata: FQN -> TensorStorageMetadata or BytesStorageMetadata.
#include <algorithm>
#include <array>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/translator.hpp"

namespace flatpoint::dcp {

Status Translator::state_dict(Value dict) {
  const auto items = items_of(dict, "state_dict_metadata");
  RETURN_IF_ERROR(items);
  entry_of_fqn_.assign(heap_.texts.size(), kNone);
  draft_.entries.reserve(items->size());
  for (std::size_t position = 0; position < items->size(); ++position) {
    const Item& item = (*items)[position];
    const Status done = item.fqn == kNone ? keep_item(OpaqueKind::StateDictItem, position, item.key, item.value)
                                          : add_entry(item.fqn, position, item.value);
    RETURN_IF_ERROR(done);
    if (const Status fits = check_size(); !fits) return fits;
  }
  return {};
}

Status Translator::add_entry(std::uint32_t fqn, std::size_t position, Value value) {
  write::DraftEntry entry;
  entry.fqn = heap_.texts[fqn];
  Fit fit = Fit::Yes;
  if (is_bytes(value)) {
    entry.type = StorageType::Bytes;
    entry.chunk_count = 1;
  } else {
    const std::size_t sizes = draft_.sizes.size();
    const std::size_t boxes = heap_.records.boxes.size();
    fit = read_tensor(value, entry);
    if (fit == Fit::TooManyDimensions) return tl::unexpected(too_many_dimensions(entry.fqn));
    if (fit == Fit::OtherDimensions) {
      note_other_dimensions(entry.fqn);
      fit = Fit::No;
    }
    if (fit == Fit::No) {
      draft_.sizes.resize(sizes);
      heap_.records.boxes.resize(boxes);
      entry = {};
      entry.fqn = heap_.texts[fqn];
      entry.type = StorageType::Opaque;
    }
  }
  if (fit == Fit::TooManyChunks || entry.chunk_count > rows_left()) {
    return tl::unexpected(too_many_chunks());
  }
  entry.chunk_begin = rows_.rows();
  rows_.add({.box_begin = entry.box_begin, .chunk_count = entry.chunk_count, .ndim = entry.ndim, .type = entry.type});
  entry_of_fqn_[fqn] = static_cast<std::uint32_t>(draft_.entries.size());
  draft_.entries.push_back(entry);
  return fit == Fit::No ? keep(OpaqueKind::StateDictValue, position, entry.fqn, value) : Status();
}

bool Translator::is_bytes(Value value) const {
  return known_class_of(heap_, value) == Known::BytesStorageMetadata && read_attributes(heap_, value, {});
}

Translator::Fit Translator::read_tensor(Value value, write::DraftEntry& entry) {
  std::array<Attribute, 3> attributes{{{"properties"}, {"size"}, {"chunks"}}};
  if (known_class_of(heap_, value) != Known::TensorStorageMetadata) return Fit::No;
  if (!read_attributes(heap_, value, attributes)) return Fit::No;
  const auto& [properties, size, chunks] = attributes;
  if (has_too_many_dimensions(heap_, size.value)) return Fit::TooManyDimensions;
  entry.size_begin = draft_.sizes.size();
  const auto ndim = read_shape(size.value, draft_.sizes);
  if (!ndim) return Fit::No;
  entry.ndim = static_cast<std::uint8_t>(*ndim);
  if (!read_properties(properties.value, entry)) return Fit::No;
  return read_chunks(chunks.value, entry);
}

bool Translator::read_properties(Value value, write::DraftEntry& entry) {
  if (known_class_of(heap_, value) != Known::TensorProperties) return false;
  const Block* const block = value.node<Object>()->blocks.first;
  if (block == nullptr || block->next != nullptr || block->kind != Block::Kind::Build) return false;
  if (!block->values()[0].is(Tag::Tuple)) return false;
  const auto state = block->values()[0].node<Tuple>()->values();
  if (state.size() != 5 && state.size() != 6) return false;  // 5: before strides

  const auto dtype = read_dtype(heap_, state[0]);
  const auto layout = read_layout(heap_, state[1]);
  const auto memory_format = read_memory_format(heap_, state[3]);
  const auto is_bool = [](Value v) { return v.is(Tag::True) || v.is(Tag::False); };
  if (!dtype || !layout || !memory_format || !is_bool(state[2]) || !is_bool(state[4])) return false;
  auto& row = entry.properties;
  row.dtype = dtype->type;
  row.layout = layout->type;
  row.memory_format = *memory_format;
  row.requires_grad = state[2].is(Tag::True);
  row.pin_memory = state[4].is(Tag::True);
  const auto name = [&](bool is_other, std::string_view text, std::uint16_t& number) {
    if (!is_other) return true;
    const auto known = type_name(text);
    if (known) number = *known;
    return known.has_value();
  };
  return name(row.dtype == ScalarType::Other, dtype->name, row.dtype_name) &&
         name(row.layout == Layout::Other, layout->name, row.layout_name) &&
         read_strides(state.size() == 6 ? state[5] : Value(Tag::None), entry);
}

// Where they say nothing, write::finish drops them.
bool Translator::read_strides(Value value, write::DraftEntry& entry) {
  entry.properties.strides = value.is(Tag::None) ? StridesKind::Absent : StridesKind::Explicit;
  if (value.is(Tag::None)) return true;
  entry.strides_begin = draft_.sizes.size();
  const auto count = read_shape(value, draft_.sizes);
  return count && *count == entry.ndim;
}

std::optional<std::uint16_t> Translator::type_name(std::string_view name) {
  const auto known = type_numbers_.find(name);
  if (known != type_numbers_.end()) return known->second;
  const std::size_t number = draft_.type_names.size();
  if (number > 0xFFFF) return std::nullopt;
  draft_.type_names.push_back(heap_.arena.copy(name));
  type_numbers_.emplace(draft_.type_names.back(), static_cast<std::uint16_t>(number));
  return static_cast<std::uint16_t>(number);
}

Translator::Fit Translator::read_chunks(Value list, write::DraftEntry& entry) {
  if (!list.is(Tag::List)) return Fit::No;
  const std::uint64_t count = list.node<Container>()->count;
  if (count > rows_left()) return Fit::TooManyChunks;
  entry.chunk_count = static_cast<std::uint32_t>(count);

  // Chunks that the fast lane folded one after the other lie as the draft wants them.
  const std::uint64_t step = 2 * width_of(entry.ndim);
  const Block* const first = list.node<Container>()->blocks.first;
  entry.box_begin = first != nullptr && first->values()[0].is(kChunkTag) ? begin_of(first->values()[0]) : 0;
  std::uint64_t expected = entry.box_begin;
  const bool in_place = visit_list(list, [&](Value chunk) {
    const bool follows = chunk == folded(kChunkTag, entry.ndim, expected);
    expected += step;
    return follows;
  });
  if (in_place) return Fit::Yes;

  entry.box_begin = heap_.records.boxes.size();
  Fit fit = Fit::Yes;
  visit_list(list, [&](Value chunk) {
    fit = append_chunk(chunk, entry.ndim);
    if (heap_.records.boxes.size() > limits_.max_output_bytes / sizeof(std::int64_t)) fit = Fit::TooManyChunks;
    return fit == Fit::Yes;
  });
  return fit;
}

Translator::Fit Translator::append_chunk(Value chunk, std::size_t ndim) {
  std::array<Attribute, 2> attributes{{{"offsets"}, {"sizes"}}};
  if (chunk.is(kChunkTag)) {
    attributes[0].value = folded(kSizeTag, ndim_of(chunk), begin_of(chunk));
    attributes[1].value = folded(kSizeTag, ndim_of(chunk), begin_of(chunk) + width_of(ndim_of(chunk)));
  } else if (known_class_of(heap_, chunk) != Known::ChunkStorageMetadata ||
             !read_attributes(heap_, chunk, attributes)) {
    return Fit::No;
  }
  for (const Attribute& attribute : attributes) {
    if (has_too_many_dimensions(heap_, attribute.value)) return Fit::TooManyDimensions;
    const auto read = read_shape(attribute.value, heap_.records.boxes);
    if (read != ndim) return read ? Fit::OtherDimensions : Fit::No;
  }
  return Fit::Yes;
}

// No loader can place such a chunk in its tensor; the first are named.
void Translator::note_other_dimensions(std::string_view fqn) {
  constexpr std::size_t kMost = 1000;
  if (other_dimensions_.size() >= kMost) return;
  other_dimensions_.push_back({std::string(finding_kind::kChunkDimensions),
                               fmt::format("FQN '{}': a chunk has another number of dimensions than its tensor, which "
                                           "is kept as an opaque record",
                                           fqn)});
}

}  // namespace flatpoint::dcp
