// The half of `flatpoint show` about a checkpoint as a whole.
#include <algorithm>
#include <map>

#include "describe.hpp"
#include "flatpoint/records.hpp"
#include "show.hpp"

namespace flatpoint::tool {
namespace {

constexpr std::size_t kShown = 20;  // files and opaque records, without --all

struct DtypeSum {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
};

struct FileSum {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
};

/// One pass over all entries and their storage information.
struct Survey {
  std::uint64_t tensors = 0;
  std::uint64_t bytes_items = 0;
  std::uint64_t opaque = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;   // of tensors
  std::uint64_t stored = 0;  // in files
  std::uint64_t paths = 0;   // of planner data
  std::map<std::string, DtypeSum> dtypes;
  std::map<std::string_view, std::uint64_t> layouts;
  std::vector<FileSum> files;

  /// False where the entry is corrupt.
  bool add(const MetadataView& metadata, const EntryView& entry) {
    paths += planner_path(metadata, entry).found();
    const auto tensor = entry.tensor();
    if (tensor.corrupt()) return false;
    if (tensor) return add_tensor(*tensor);
    ++(entry.type() == StorageType::Bytes ? bytes_items : opaque);
    return add_storage(entry.bytes_storage());
  }

  bool add_storage(const Lookup<StorageInfoView>& storage) {
    if (!storage) return storage.absent();
    if (storage->file() >= files.size()) return false;
    ++files[storage->file()].items;
    files[storage->file()].bytes += storage->length();
    stored += storage->length();
    return true;
  }

 private:
  bool add_tensor(const TensorView& tensor) {
    ++tensors;
    chunks += tensor.chunk_count();
    ++layouts[to_string(tensor.row().chunk_layout)];
    DtypeSum& sum = dtypes[dtype_text(tensor)];
    const std::uint64_t size = tensor_bytes(tensor).value_or(0);
    ++sum.tensors;
    sum.bytes += size;
    bytes += size;
    for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
      if (!add_storage(tensor.chunk_by_row(i)->storage())) return false;
    }
    return true;
  }
};

Result<Survey> survey(const dcp::OpenedCheckpoint& opened) {
  const MetadataView metadata = opened.file.view();
  Survey all;
  all.files.resize(metadata.file_count());
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    if (!entry || !all.add(metadata, *entry)) return tl::unexpected(corrupt(opened, fmt::format("entry {}", i)));
  }
  for (std::size_t i = 0; i < metadata.columns().loose_storage.size(); ++i) {
    const auto loose = loose_storage(metadata, i);
    if (!loose || !all.add_storage(loose->storage))
      return tl::unexpected(corrupt(opened, fmt::format("loose storage {}", i)));
  }
  return all;
}

std::string fqns_text(const MetadataView& metadata, const Survey& all) {
  std::string text = fmt::format("{}: {}", grouped(metadata.size()), counted(all.tensors, "tensor", "tensors"));
  if (all.bytes_items > 0) text += ", " + counted(all.bytes_items, "bytes item", "bytes items");
  if (all.opaque > 0) text += fmt::format(", {} opaque", grouped(all.opaque));
  return text;
}

std::string chunks_text(const Survey& all) {
  std::string text = grouped(all.chunks);
  const char* separator = "; tensors by layout: ";
  for (const auto& [layout, count] : all.layouts) {
    text += fmt::format("{}{} {}", separator, grouped(count), layout);
    separator = ", ";
  }
  return text;
}

std::string modules_text(const StorageMeta& meta) {
  std::string text;
  for (const std::string& module : *meta.modules)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", printable(module));
  return text;
}

std::string source_text(const SourceRecord& source) {
  return fmt::format("{}{}, XXH3-64 {:016x}", source.kind == SourceKind::Pickle ? "" : "safetensors, ",
                     exact_bytes(source.length), source.digest);
}

void add_storage_meta(Facts& facts, const MetadataView& metadata) {
  const auto view = metadata.storage_meta();
  if (!view) return facts.add("storage meta", "None");
  const StorageMeta meta = view->to_value();
  if (meta.checkpoint_id) {
    facts.add("checkpoint id",
              fmt::format("{} ({})", printable(*meta.checkpoint_id), to_string(meta.checkpoint_id_type)));
  }
  facts.add_if_known("save id", meta.save_id);
  facts.add_if_known("load id", meta.load_id);
  if (meta.modules && !meta.modules->empty()) facts.add("modules", modules_text(meta));
}

void print_facts(Context& context, const dcp::OpenedCheckpoint& opened, const Survey& all) {
  const MetadataView metadata = opened.file.view();
  const Columns& columns = metadata.columns();
  Facts facts;
  facts.add("format", fmt::format("{}.{}, {}{}", columns.format_major, columns.format_minor,
                                  human_size(opened.file.bytes().size()),
                                  opened.origin == dcp::Origin::Flatpoint ? "" : ", imported in memory"));
  if (columns.fragment_rank >= 0) facts.add("fragment", fmt::format("of rank {}", columns.fragment_rank));
  facts.add("FQNs", fqns_text(metadata, all));
  facts.add("chunks", chunks_text(all));
  facts.add("bytes", exact_bytes(all.bytes));
  facts.add("stored", columns.has_storage_data
                          ? fmt::format("{} in {}", exact_bytes(all.stored), counted(all.files.size(), "file", "files"))
                          : std::string("storage data: None"));
  facts.add("planner data", columns.has_planner_data ? counted(all.paths, "path", "paths") : std::string("None"));
  facts.add("version", metadata.version() ? printable(*metadata.version()) : std::string("None"));
  add_storage_meta(facts, metadata);
  facts.add_if_known("metadata class", metadata.metadata_class());
  facts.add_if_known("storage class", metadata.storage_info_class());
  if (columns.source) facts.add("source", source_text(*columns.source));
  facts.print(context.out);
}

void print_dtypes(Output& out, const Survey& all) {
  static constexpr std::array kColumns{Column{"dtype"}, Column{"tensors", Align::Right}, Column{"bytes", Align::Right}};
  if (all.dtypes.empty()) return;
  std::vector<std::pair<std::string, DtypeSum>> sums(all.dtypes.begin(), all.dtypes.end());
  std::stable_sort(sums.begin(), sums.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  out.write("\n");
  print_table(out, kColumns, sums.size(), [&](std::uint64_t i, Cells& cells) {
    cells.add(sums[i].first);
    cells.add(grouped(sums[i].second.tensors));
    cells.add(human_size(sums[i].second.bytes));
  });
}

void print_rest(Output& out, std::size_t count, std::size_t shown) {
  if (count > shown) out.print("... {} more; --all shows them\n", grouped(count - shown));
}

void print_files(Output& out, const MetadataView& metadata, const Survey& all, std::size_t most) {
  static constexpr std::array kColumns{Column{"file"}, Column{"items", Align::Right}, Column{"stored", Align::Right}};
  if (all.files.empty()) return;
  const std::size_t shown = std::min(all.files.size(), most);
  out.write("\n");
  print_table(out, kColumns, shown, [&](std::uint64_t i, Cells& cells) {
    const auto name = metadata.file_name(static_cast<std::uint32_t>(i));
    cells.add(name ? printable(*name) : std::string("?"));
    cells.add(grouped(all.files[i].items));
    cells.add(human_size(all.files[i].bytes));
  });
  print_rest(out, all.files.size(), shown);
}

/// What unpickling the opaque records would import. Unset where a pickle cannot be read.
std::optional<std::vector<std::string>> globals_of(const OpaqueRecordView& record) {
  auto names = dcp::named_globals(record.pickle);
  return names ? std::optional(std::move(*names)) : std::nullopt;
}

void print_globals(Output& out, const MetadataView& metadata, std::size_t records) {
  static constexpr std::array kColumns{Column{"named in these pickles, not imported"}};
  std::vector<std::string> names;
  for (std::size_t i = 0; i < records; ++i) {
    const auto record = opaque_record(metadata, i);
    const auto globals = record ? globals_of(*record) : std::nullopt;
    for (const std::string& name : globals.value_or(std::vector<std::string>{"(a pickle that cannot be read)"})) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (names.empty()) return;
  out.write("\n");
  print_table(out, kColumns, names.size(), [&](std::uint64_t i, Cells& cells) { cells.add(printable(names[i])); });
}

void print_opaque(Output& out, const MetadataView& metadata, std::size_t most) {
  static constexpr std::array kColumns{Column{"opaque"}, Column{"name"}, Column{"pickle", Align::Right}};
  const std::size_t count = metadata.columns().opaque.size();
  if (count == 0) return;
  const std::size_t shown = std::min(count, most);
  out.write("\n");
  print_table(out, kColumns, shown, [&](std::uint64_t i, Cells& cells) {
    const auto record = opaque_record(metadata, i);
    if (!record) return;
    cells.add(to_string(record->kind));
    cells.add(printable(record->name));
    cells.add(human_size(record->pickle.size()));
  });
  print_rest(out, count, shown);
  print_globals(out, metadata, shown);
}

void write_storage_meta(Json& json, const MetadataView& metadata) {
  json.key("storage_meta");
  const auto view = metadata.storage_meta();
  if (!view) return json.value(nullptr);
  const StorageMeta meta = view->to_value();
  json.begin_object();
  json.member("checkpoint_id", meta.checkpoint_id);
  json.member("checkpoint_id_type", to_string(meta.checkpoint_id_type));
  json.member("save_id", meta.save_id);
  json.member("load_id", meta.load_id);
  json.member("modules", meta.modules);
  json.end();
}

void write_source(Json& json, const Columns& columns) {
  json.key("source");
  if (!columns.source) return json.value(nullptr);
  json.begin_object();
  json.member("kind", to_string(columns.source->kind));
  json.member("length", columns.source->length);
  json.member("digest", fmt::format("{:016x}", columns.source->digest));
  json.member("modified_ns", columns.source->modified_ns);
  json.member("modified_recently", columns.source->modified_recently);
  json.key("etag");
  columns.source->etag.empty() ? json.value(nullptr) : json.value(columns.source->etag);
  json.end();
}

void write_counts(Json& json, const MetadataView& metadata, const Survey& all) {
  json.member("fqns", metadata.size());
  json.member("tensors", all.tensors);
  json.member("bytes_items", all.bytes_items);
  json.member("opaque_values", all.opaque);
  json.member("chunks", all.chunks);
  json.member("bytes", all.bytes);
  json.member("stored_bytes", all.stored);
  json.key("chunk_layouts").begin_object();
  for (const auto& [layout, count] : all.layouts) json.member(layout, count);
  json.end();
  json.key("dtypes").begin_array(Json::Style::Lines);
  for (const auto& [dtype, sum] : all.dtypes) {
    json.begin_object();
    json.member("dtype", dtype);
    json.member("tensors", sum.tensors);
    json.member("bytes", sum.bytes);
    json.end();
  }
  json.end();
}

void write_files(Json& json, const MetadataView& metadata, const Survey& all) {
  json.key("files").begin_array(Json::Style::Lines);
  for (std::uint32_t i = 0; i < all.files.size(); ++i) {
    const auto name = metadata.file_name(i);
    json.begin_object();
    json.member("relative_path", name ? std::optional(*name) : std::nullopt);
    json.member("items", all.files[i].items);
    json.member("stored_bytes", all.files[i].bytes);
    json.end();
  }
  json.end();
}

void write_opaque(Json& json, const MetadataView& metadata) {
  json.key("opaque").begin_array(Json::Style::Lines);
  for (std::size_t i = 0; i < metadata.columns().opaque.size(); ++i) {
    const auto record = opaque_record(metadata, i);
    if (!record) continue;
    json.begin_object();
    json.member("kind", to_string(record->kind));
    json.member("name", record->name);
    json.member("position", record->position);
    json.member("pickle_bytes", record->pickle.size());
    json.member("globals", globals_of(*record));
    json.end();
  }
  json.end();
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const Survey& all) {
  const MetadataView metadata = opened.file.view();
  const Columns& columns = metadata.columns();
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("format_version", std::array{columns.format_major, columns.format_minor});
  json.member("file_bytes", opened.file.bytes().size());
  json.member("fragment_rank", columns.fragment_rank >= 0 ? std::optional(columns.fragment_rank) : std::nullopt);
  write_counts(json, metadata, all);
  json.member("has_storage_data", columns.has_storage_data);
  write_files(json, metadata, all);
  json.member("has_planner_data", columns.has_planner_data);
  json.member("planner_paths", all.paths);
  json.member("version", metadata.version());
  write_storage_meta(json, metadata);
  json.member("metadata_class", metadata.metadata_class());
  json.member("storage_info_class", metadata.storage_info_class());
  write_opaque(json, metadata);
  write_source(json, columns);
  json.end();
}

}  // namespace

Result<Exit> show_checkpoint(Context& context, const dcp::OpenedCheckpoint& opened, bool all) {
  const auto everything = survey(opened);
  if (!everything) return tl::unexpected(everything.error());
  if (context.globals.json) {
    print_json(context, opened, *everything);
    return Exit::Yes;
  }
  const std::size_t most = all ? SIZE_MAX : kShown;
  const MetadataView metadata = opened.file.view();
  context.out.print("{}\n\n", printable(opened.path.string()));
  print_facts(context, opened, *everything);
  print_dtypes(context.out, *everything);
  print_files(context.out, metadata, *everything, most);
  print_opaque(context.out, metadata, most);
  return Exit::Yes;
}

}  // namespace flatpoint::tool
