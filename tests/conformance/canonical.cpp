#include "canonical.hpp"

#include "base/format.hpp"

namespace flatpoint::conformance {
namespace {

/// Decodes one code point (lone surrogates included) at the front of `text`; 0 bytes where it is not well-formed.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;
};

CodePoint decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  std::uint32_t value = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3FU);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10FFFF) return {};
  return {value, length};
}

void put_unit(std::string& out, std::uint32_t unit) { fmt::append(out, "\\u{:04x}", unit); }

void put_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const CodePoint point = decode(text);
    text.remove_prefix(point.bytes == 0 ? 1 : point.bytes);
    if (point.bytes == 0) {
      put_unit(out, 0xFFFD);
    } else if (point.value == '"' || point.value == '\\') {
      out += '\\';
      out += static_cast<char>(point.value);
    } else if (point.value >= 0x10000) {
      put_unit(out, 0xD800 + ((point.value - 0x10000) >> 10));
      put_unit(out, 0xDC00 + ((point.value - 0x10000) & 0x3FF));
    } else if (point.value < 0x20 || point.value >= 0x7F) {
      put_unit(out, point.value);
    } else {
      out += static_cast<char>(point.value);
    }
  }
  out += '"';
}

void put_key(std::string& out, std::string_view key) { fmt::append(out, "\"{}\":", key); }

template <class Items, class Put>
void put_list(std::string& out, const Items& items, Put&& put) {
  out += '[';
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ',';
    first = false;
    put(item);
  }
  out += ']';
}

void put_numbers(std::string& out, std::span<const std::int64_t> numbers) {
  put_list(out, numbers, [&](std::int64_t number) { fmt::append(out, "{}", number); });
}

void put_optional_text(std::string& out, const std::optional<std::string_view>& text) {
  text ? put_text(out, *text) : void(out += "null");
}

void put_storage(std::string& out, const Lookup<StorageInfoView>& storage) {
  if (!storage) {
    out += storage.absent() ? "null" : "\"corrupt\"";
    return;
  }
  fmt::append(out, R"({{"file":{},"byte_offset":{},"length":{},"transforms":)", storage->file(), storage->byte_offset(),
              storage->length());
  const StorageInfo info = storage->to_value();
  if (info.transform_descriptors) {
    put_list(out, *info.transform_descriptors, [&](const std::string& text) { put_text(out, text); });
  } else {
    out += "null";
  }
  out += '}';
}

/// Nothing where it is not known.
void put_data(std::string& out, const Lookup<ChunkData>& data) {
  if (data.absent()) return;
  out += R"(,"data":)";
  if (data.corrupt()) {
    out += "\"corrupt\"";
    return;
  }
  fmt::append(out, R"({{"file":{},"byte_offset":{},"length":{},"checksum":)", data->file, data->byte_offset,
              data->length);
  out += data->checksum ? fmt::format("{}}}", *data->checksum) : "null}";
}

void put_chunk(std::string& out, const Lookup<ChunkView>& chunk) {
  if (!chunk) {
    out += "\"corrupt\"";
    return;
  }
  const ChunkStorageMetadata box = chunk->to_value();
  out += R"({"offsets":)";
  put_numbers(out, box.offsets);
  out += R"(,"sizes":)";
  put_numbers(out, box.sizes);
  out += R"(,"storage":)";
  put_storage(out, chunk->storage());
  put_data(out, chunk->data());
  out += '}';
}

template <class Enum>
void put_type_name(std::string& out, std::string_view key, std::string_view name, Enum number) {
  put_key(out, key);
  name.empty() ? put_text(out, fmt::format("unknown:{}", static_cast<int>(number))) : put_text(out, name);
  out += ',';
}

void put_tensor(std::string& out, const TensorView& tensor) {
  out += R"("type":"tensor",)";
  put_type_name(out, "dtype", tensor.dtype_name(), tensor.dtype());
  put_type_name(out, "layout", tensor.layout_name(), tensor.row().properties.layout);
  put_type_name(out, "memory_format", name_of(tensor.memory_format()), tensor.memory_format());
  fmt::append(out, R"("requires_grad":{},"pin_memory":{},"strides":)", tensor.requires_grad(), tensor.pin_memory());
  const auto strides = tensor.properties().strides;
  strides ? put_numbers(out, *strides) : void(out += "null");
  out += R"(,"size":)";
  put_numbers(out, tensor.size());
  out += R"(,"chunks":[)";
  for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
    if (i > 0) out += ',';
    put_chunk(out, tensor.chunk(i));
  }
  out += ']';
}

void put_entry(std::string& out, const Lookup<EntryView>& entry) {
  const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(entry.status());
  if (tensor.corrupt()) {
    out += "\"corrupt\"";
    return;
  }
  out += R"({"fqn":)";
  put_text(out, entry->fqn());
  out += ',';
  if (tensor) {
    put_tensor(out, *tensor);
  } else if (entry->type() == StorageType::Bytes) {
    out += R"("type":"bytes","storage":)";
    put_storage(out, entry->bytes_storage());
  } else {
    out += R"("type":"opaque")";
  }
  out += '}';
}

void put_storage_meta(std::string& out, const std::optional<StorageMetaView>& view) {
  if (!view) {
    out += "null";
    return;
  }
  const StorageMeta meta = view->to_value();
  out += R"({"checkpoint_id":)";
  put_optional_text(out, view->checkpoint_id());
  out += R"(,"save_id":)";
  put_optional_text(out, view->save_id());
  out += R"(,"load_id":)";
  put_optional_text(out, view->load_id());
  out += R"(,"modules":)";
  if (meta.modules) {
    put_list(out, *meta.modules, [&](const std::string& text) { put_text(out, text); });
  } else {
    out += "null";
  }
  out += '}';
}

/// Nothing where the columns are absent.
void put_file_facts(std::string& out, const MetadataView& metadata) {
  const Columns& columns = metadata.columns();
  const auto name = [](auto number) {
    const std::string_view known = to_string(number);
    return known.empty() ? fmt::format("unknown:{}", static_cast<int>(number)) : std::string(known);
  };
  if (columns.checksum_kind != ChecksumKind::Absent)
    fmt::append(out, R"("checksum_kind":"{}",)", name(columns.checksum_kind));
  if (columns.file_lengths.empty() && columns.file_times.empty() && columns.file_formats.empty()) return;
  out += R"("file_facts":[)";
  for (std::uint32_t file = 0; file < metadata.file_count(); ++file) {
    const FileFacts facts = metadata.file_facts(file);
    fmt::append(out, R"({}{{"length":{},"time":{},"format":"{}"}})", file > 0 ? "," : "",
                facts.length ? fmt::format("{}", *facts.length) : "null",
                facts.modified_ns ? fmt::format("{}", *facts.modified_ns) : "null", name(facts.format));
  }
  out += "],";
}

}  // namespace

std::string canonical_json(const MetadataView& metadata) {
  std::string out;
  const Columns& columns = metadata.columns();
  fmt::append(out, R"({{"format":[{},{}],"fragment_rank":{},"version":)", columns.format_major, columns.format_minor,
              columns.fragment_rank);
  put_optional_text(out, metadata.version());
  out += R"(,"storage_meta":)";
  put_storage_meta(out, metadata.storage_meta());
  out += R"(,"files":[)";
  for (std::uint32_t file = 0; file < metadata.file_count(); ++file) {
    if (file > 0) out += ',';
    const auto name = metadata.file_name(file);
    put_text(out, name ? *name : std::string_view("corrupt"));
  }
  out += "],";
  put_file_facts(out, metadata);
  out += R"("entries":[)";
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    if (i > 0) out += ',';
    put_entry(out, metadata.entry(i));
  }
  out += "]}\n";
  return out;
}

}  // namespace flatpoint::conformance
