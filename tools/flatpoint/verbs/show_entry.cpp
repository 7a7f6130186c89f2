// The half of `flatpoint show` about one FQN.
#include <charconv>

#include "describe.hpp"
#include "flatpoint/records.hpp"
#include "show.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::array kChunkColumns{Column{"chunk", Align::Right},
                                   Column{"offsets"},
                                   Column{"sizes"},
                                   Column{"relative path"},
                                   Column{"byte offset", Align::Right},
                                   Column{"length", Align::Right},
                                   Column{"transforms"}};

constexpr std::array kBytesColumns{Column{"relative path"}, Column{"byte offset", Align::Right},
                                   Column{"length", Align::Right}, Column{"transforms"}};

void add_storage(Cells& cells, const StorageInfoView& storage) {
  cells.add(printable(storage.relative_path()));
  cells.add(std::to_string(storage.byte_offset()));
  cells.add(std::to_string(storage.length()));
  cells.add(transforms_text(storage));
}

/// An element of a planner path that is an int, as a number; unset where the file says int but the text is none.
std::optional<std::int64_t> index_of(const PlannerPathView::Element& element) {
  std::int64_t value = 0;
  const char* const end = element.text.data() + element.text.size();
  const auto [stopped, error] = std::from_chars(element.text.data(), end, value);
  return element.is_index && error == std::errc() && stopped == end ? std::optional(value) : std::nullopt;
}

/// As Python prints the tuple: ('layers', 0, 'weight').
std::optional<std::string> path_text(Lookup<PlannerPathView> path) {
  if (!path) return std::nullopt;
  PlannerPathView view = *path;
  std::string text;
  std::size_t count = 0;
  for (auto element = view.next(); element; element = view.next(), ++count) {
    const auto index = index_of(*element);
    text += fmt::format("{}{}", count == 0 ? "" : ", ",
                        index ? std::to_string(*index) : "'" + printable(element->text) + "'");
  }
  return fmt::format("({}{})", text, count == 1 ? "," : "");
}

void write_path(Json& json, Lookup<PlannerPathView> path) {
  json.key("planner_path");
  if (!path) return json.value(nullptr);
  PlannerPathView view = *path;
  json.begin_array();
  for (auto element = view.next(); element; element = view.next()) {
    const auto index = index_of(*element);
    index ? json.value(*index) : json.value(element->text);
  }
  json.end();
}

std::string yes_no(bool yes) { return yes ? "yes" : "no"; }

/// Bytes that the files spend on the entry.
std::string stored_text(const EntryView& entry) {
  const Stored sum = stored(entry);
  return sum.items == 0 ? "no storage information" : exact_bytes(sum.bytes);
}

std::string memory_format_text(MemoryFormat format) {
  const std::string_view name = name_of(format);
  return name.empty() ? fmt::format("memory format {}", static_cast<int>(format)) : std::string(name);
}

void print_tensor(Context& context, const TensorView& tensor, const std::optional<std::string>& path) {
  const TensorProperties properties = tensor.properties();
  Facts facts;
  facts.add("dtype", dtype_text(tensor));
  facts.add("shape", list_text(tensor.size()));
  facts.add("strides", properties.strides ? list_text(*properties.strides) : "None");
  facts.add("layout", printable(tensor.layout_name()));
  facts.add("memory format", memory_format_text(tensor.memory_format()));
  facts.add("requires grad", yes_no(tensor.requires_grad()));
  facts.add("pin memory", yes_no(tensor.pin_memory()));
  if (path) facts.add("planner path", *path);
  facts.add("bytes", exact_bytes(tensor_bytes(tensor)));
  facts.add("stored", stored_text(tensor));
  facts.add("chunks", fmt::format("{}, {}", grouped(tensor.chunk_count()), to_string(tensor.row().chunk_layout)));
  facts.print(context.out);
  if (tensor.chunk_count() == 0) return;
  context.out.write("\n");
  print_table(context.out, kChunkColumns, tensor.chunk_count(), [&](std::uint64_t i, Cells& cells) {
    const auto chunk = tensor.chunk(static_cast<std::uint32_t>(i));
    if (!chunk) return;
    const ChunkStorageMetadata box = chunk->to_value();
    cells.add(std::to_string(i));
    cells.add(list_text(box.offsets));
    cells.add(list_text(box.sizes));
    if (const auto storage = chunk->storage()) add_storage(cells, *storage);
  });
}

void print_bytes(Context& context, const EntryView& entry, const std::optional<std::string>& path) {
  Facts facts;
  facts.add("type", "bytes");
  if (path) facts.add("planner path", *path);
  facts.add("stored", stored_text(entry));
  facts.print(context.out);
  const auto storage = entry.bytes_storage();
  if (!storage) return;
  context.out.write("\n");
  print_table(context.out, kBytesColumns, 1, [&](std::uint64_t, Cells& cells) { add_storage(cells, *storage); });
}

/// Bytes of the pickle that stands for an FQN whose value is of a class that is not DCP's.
std::optional<std::uint64_t> opaque_size(const MetadataView& metadata, std::string_view fqn) {
  for (std::size_t i = 0;; ++i) {
    const auto record = opaque_record(metadata, i);
    if (record.absent()) return std::nullopt;
    if (record && record->kind == OpaqueKind::StateDictValue && record->name == fqn) return record->pickle.size();
  }
}

void print_opaque(Context& context, const MetadataView& metadata, const EntryView& entry,
                  const std::optional<std::string>& path) {
  Facts facts;
  facts.add("type", "opaque: an object of a class that is not DCP's");
  if (path) facts.add("planner path", *path);
  facts.add("pickle", exact_bytes(opaque_size(metadata, entry.fqn())));
  facts.print(context.out);
}

void write_chunk(Json& json, const MetadataView& metadata, const ChunkView& chunk, std::uint32_t position) {
  const ChunkStorageMetadata box = chunk.to_value();
  json.begin_object();
  json.member("offsets", box.offsets);
  json.member("sizes", box.sizes);
  json.member("index", index_hint(metadata, chunk.row(), position));
  if (const auto storage = chunk.storage()) {
    write_storage(json, *storage);
  } else {
    json.member("storage", nullptr);
  }
  json.end();
}

void write_properties(Json& json, const TensorView& tensor) {
  const TensorProperties properties = tensor.properties();
  json.key("properties").begin_object();
  json.member("dtype", tensor.dtype_name());
  json.member("layout", tensor.layout_name());
  json.member("requires_grad", tensor.requires_grad());
  json.member("memory_format", name_of(tensor.memory_format()));
  json.member("pin_memory", tensor.pin_memory());
  json.member("strides", properties.strides);
  json.end();
}

void write_tensor(Json& json, const MetadataView& metadata, const TensorView& tensor) {
  write_properties(json, tensor);
  json.member("size", tensor.size());
  json.member("bytes", tensor_bytes(tensor));
  json.member("stored_bytes", stored(tensor).bytes);
  json.member("chunk_layout", to_string(tensor.row().chunk_layout));
  json.key("chunks").begin_array(Json::Style::Lines);
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    if (const auto chunk = tensor.chunk(i)) write_chunk(json, metadata, *chunk, i);
  }
  json.end();
}

void write_bytes(Json& json, const EntryView& entry) {
  json.member("stored_bytes", stored(entry).bytes);
  if (const auto storage = entry.bytes_storage()) {
    write_storage(json, *storage);
  } else {
    json.member("storage", nullptr);
  }
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const EntryView& entry,
                const Lookup<TensorView>& tensor) {
  const MetadataView metadata = opened.file.view();
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("fqn", entry.fqn());
  json.member("type", to_string(entry.type()));
  write_path(json, planner_path(metadata, entry));
  if (tensor) {
    write_tensor(json, metadata, *tensor);
  } else if (entry.type() == StorageType::Bytes) {
    write_bytes(json, entry);
  } else {
    json.member("pickle_bytes", opaque_size(metadata, entry.fqn()));
  }
  json.end();
}

}  // namespace

Result<Exit> show_entry(Context& context, const dcp::OpenedCheckpoint& opened, std::string fqn) {
  const MetadataView metadata = opened.file.view();
  const auto entry = find_entry(metadata, fqn);
  if (entry.absent()) return report_absent_fqn(context, opened, fqn);
  const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Corrupt);
  if (tensor.corrupt() || stored(*entry).corrupt) return tl::unexpected(corrupt(opened, fmt::format("FQN '{}'", fqn)));
  if (context.globals.json) {
    print_json(context, opened, *entry, tensor);
    return Exit::Yes;
  }
  const auto path = path_text(planner_path(metadata, *entry));
  context.out.print("{}\n\n", printable(fqn));
  if (tensor) {
    print_tensor(context, *tensor, path);
  } else if (entry->type() == StorageType::Bytes) {
    print_bytes(context, *entry, path);
  } else {
    print_opaque(context, metadata, *entry, path);
  }
  return Exit::Yes;
}

}  // namespace flatpoint::tool
