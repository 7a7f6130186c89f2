// dcp/export_state_dict.cpp - state_dict_metadata, and planner_data.

#include "base/failing.hpp"
#include "base/format.hpp"
#include "dcp/exporter.hpp"
#include "dcp/foreign_names.hpp"
#include "pickle/text_forms.hpp"

namespace flatpoint::dcp {
namespace {

/// The first 2.x of PyTorch that has a dtype; 0 where every one with DCP has.
constexpr std::uint32_t first_with(ScalarType dtype) noexcept {
  if (dtype >= ScalarType::Uint16 && dtype <= ScalarType::Uint7) return 3;
  if (dtype >= ScalarType::Int1 && dtype <= ScalarType::Int7) return 6;
  switch (dtype) {
    case ScalarType::Float8_e8m0fnu: return 7;
    case ScalarType::Float4_e2m1fn_x2: return 8;
    case ScalarType::Bcomplex32: return 14;
    default: return 0;
  }
}

}  // namespace

Result<void> Exporter::state_dict() {
  rows_.assign(columns_.chunk_files.size(), Row());
  return dict(OpaqueKind::StateDictItem, metadata_.size(), [&](std::size_t i, Batches& items) -> Status {
    const auto found = metadata_.entry_in_dcp_order(static_cast<std::uint32_t>(i));
    return found ? entry(*found, items) : corrupt(fmt::format("entry {}", i));
  });
}

Result<void> Exporter::entry(const EntryView& entry, Batches& items) {
  const std::string_view fqn = entry.fqn();
  if (fqns_[entry.position()] != kNone) return corrupt(fmt::format("the order of FQN '{}', which comes twice,", fqn));
  Record record;
  if (entry.type() == StorageType::Opaque) {
    const auto number = record_of_fqn_.find(fqn);
    if (number == record_of_fqn_.end()) return corrupt(fmt::format("FQN '{}' without its opaque record", fqn));
    auto opened = open_record(number->second);
    RETURN_IF_ERROR(opened);
    if (!opened->heap) return {};
    record = std::move(*opened);
  }

  items.next();
  if (!is_utf8(fqn)) return refuse(fqn, "the FQN holds bytes that are no str of Python's");
  pickle_.text(fqn);
  fqns_[entry.position()] = pickle_.memoize();
  if (record.heap) return write_record(record);
  if (entry.type() == StorageType::Tensor) {
    const auto found = entry.tensor();
    return found ? tensor(*found) : corrupt(fmt::format("FQN '{}'", fqn));
  }
  for (std::uint32_t i = 0; i < entry.row().chunk_count; ++i) {
    rows_[entry.row().chunk_begin + i] = {
        .entry = entry.position(), .position = i, .length_at = entry.row().length_begin};
  }
  cls(Class::BytesStorageMetadata);
  pickle_.tuple(0);
  pickle_.opcode(Opcode::NEWOBJ);
  pickle_.memoize();
  return {};
}

Result<void> Exporter::tensor(const TensorView& tensor) {
  cls(Class::TensorStorageMetadata);
  begin_object();
  word(Word::Properties);
  RETURN_IF_ERROR(properties(tensor));
  word(Word::SizeOfTensor);
  size(tensor.size().data(), tensor.ndim());
  word(Word::Chunks);
  RETURN_IF_ERROR(chunks(tensor));
  end_object();
  return {};
}

Result<void> Exporter::properties(const TensorView& tensor) {
  const TensorProperties properties = tensor.properties();
  const auto format = static_cast<std::size_t>(properties.memory_format);
  if (format >= memory_formats_.size()) return refuse(tensor.fqn(), "its memory format has no encoding in DCP");
  const std::string_view dtype = tensor.dtype_name();
  if (!is_dtype_name(dtype)) return refuse(tensor.fqn(), "its dtype has no name in torch");
  if (const std::uint32_t first = first_with(properties.dtype); first > 0 && older_than(first)) {
    return refuse(tensor.fqn(), fmt::format("its dtype {} came with PyTorch 2.{}", dtype, first));
  }

  cls(Class::TensorProperties);
  pickle_.tuple(0);
  pickle_.opcode(Opcode::NEWOBJ);
  pickle_.memoize();
  pickle_.mark();
  global({"torch", dtype});
  const std::string layout = fmt::format("torch.{}", tensor.layout_name());
  if (const auto [at, is_new] = layouts_.try_emplace(layout); is_new) {
    if (!is_utf8(layout)) return refuse(tensor.fqn(), "its layout holds bytes that are no str of Python's");
    cls(Class::GetLayout);
    pickle_.text(layout);
    pickle_.memoize();
    at->second = call();
  } else {
    pickle_.fetch(at->second);
  }
  pickle_.boolean(properties.requires_grad);
  if (memory_formats_[format] == kNone) {
    cls(Class::MemFormat);
    pickle_.integer(static_cast<std::int64_t>(format));
    memory_formats_[format] = call();
  } else {
    pickle_.fetch(memory_formats_[format]);
  }
  pickle_.boolean(properties.pin_memory);
  // Every PyTorch reads five fields as a tensor without strides.
  if (properties.strides && !older_than(kFirstWithStrides))
    numbers(properties.strides->data(), properties.strides->size());
  pickle_.tuple(5);
  pickle_.memoize();
  pickle_.opcode(Opcode::BUILD);
  return {};
}

Result<void> Exporter::chunks(const TensorView& tensor) {
  const EntryRow& entry = tensor.row();
  const std::size_t ndim = tensor.ndim();
  boxes_.open(columns_, entry);
  pickle_.opcode(Opcode::EMPTY_LIST);
  pickle_.memoize();
  Batches items(pickle_, entry.chunk_count, Opcode::APPEND, Opcode::APPENDS);
  for (std::uint32_t i = 0; i < entry.chunk_count; ++i) {
    const auto chunk = tensor.chunk(i);
    if (!chunk) return corrupt(fmt::format("chunk {} of FQN '{}'", i, tensor.fqn()));
    const std::uint32_t cell = chunk->row() - entry.chunk_begin;
    const std::int64_t* const box = boxes_.read(cell);
    items.next();
    cls(Class::ChunkStorageMetadata);
    begin_object();
    word(Word::Offsets);
    cls(Class::Size);
    Row& row = rows_[chunk->row()];
    row.offset_at = pickle_.size();
    numbers(box, ndim);
    row.offset_size = static_cast<std::uint32_t>(pickle_.size() - row.offset_at);
    call();
    word(Word::Sizes);
    size(box + ndim, ndim);
    end_object();
    row.entry = tensor.position();
    row.position = i;
    row.length_at = entry.length_begin + (entry.lengths_differ != 0 ? cell : 0);
    RETURN_IF_ERROR(check_size());
    pickle_.next_frame();
  }
  items.finish();
  return {};
}

void Exporter::numbers(const std::int64_t* values, std::size_t ndim) {
  if (ndim > 3) pickle_.mark();
  for (std::size_t d = 0; d < ndim; ++d) pickle_.integer(values[d]);
  pickle_.tuple(ndim);
  if (ndim > 0) pickle_.memoize();
}

void Exporter::size(const std::int64_t* values, std::size_t ndim) {
  cls(Class::Size);
  numbers(values, ndim);
  call();
}

Result<void> Exporter::planner_data() {
  if (!columns_.has_planner_data) {
    pickle_.none();
    return {};
  }
  const auto order = columns_.planner_order;
  std::vector<std::uint32_t> entries;  // in the order of planner_data
  for (std::uint32_t i = 0; i < (order.empty() ? metadata_.size() : order.size()); ++i) {
    const auto entry = order.empty() ? metadata_.entry_in_dcp_order(i) : metadata_.entry(base::read_once(order, i));
    const auto path = entry ? planner_path(metadata_, *entry) : Lookup<PlannerPathView>(LookupStatus::Corrupt);
    if (path.corrupt()) return corrupt(fmt::format("item {} of planner_data", i));
    if (path) entries.push_back(entry->position());
  }
  return dict(OpaqueKind::PlannerItem, entries.size(), [&](std::size_t i, Batches& items) -> Status {
    const auto entry = metadata_.entry(entries[i]);
    const auto found = entry ? planner_path(metadata_, *entry) : Lookup<PlannerPathView>(LookupStatus::Corrupt);
    if (!found) return corrupt(fmt::format("item {} of planner_data", i));
    if (fqns_[entries[i]] == kNone) return {};  // it was dropped
    items.next();
    return path(*entry, *found);
  });
}

Result<void> Exporter::path(const EntryView& entry, PlannerPathView path) {
  const auto broken = [&] { return corrupt(fmt::format("the planner path of FQN '{}'", entry.fqn())); };
  std::vector<PlannerPathView::Element> elements;
  for (auto element = path.next(); !element.absent(); element = path.next()) {
    if (!element) return broken();
    elements.push_back(*element);
  }
  pickle_.fetch(fqns_[entry.position()]);
  if (elements.size() > 3) pickle_.mark();
  for (const auto& element : elements) {
    if (!element.is_index) {
      text(element.text);
      continue;
    }
    const std::int64_t number = parse_int(element.text).value_or(0);
    if (std::to_string(number) != element.text) return broken();
    pickle_.integer(number);
  }
  pickle_.tuple(elements.size());
  if (!elements.empty()) pickle_.memoize();
  return {};
}

}  // namespace flatpoint::dcp
