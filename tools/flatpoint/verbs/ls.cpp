// flatpoint ls - a line per FQN.
#include <algorithm>
#include <memory>
#include <numeric>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "glob.hpp"
#include "table.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  std::vector<std::string> patterns;
  std::string sort = "name";
  bool details = false;
};

struct Row {
  std::uint32_t position;              // in the sorted order
  std::optional<std::uint64_t> bytes;  // of the tensor; of bytes, what is stored
};

constexpr std::array kColumns{
    Column{"FQN"},   Column{"dtype"}, Column{"shape"}, Column{"chunks", Align::Right}, Column{"size", Align::Right},
    Column{"layout"}};

constexpr std::array kDetailedColumns{Column{"FQN"},
                                      Column{"dtype"},
                                      Column{"shape"},
                                      Column{"strides"},
                                      Column{"chunks", Align::Right},
                                      Column{"bytes", Align::Right},
                                      Column{"stored", Align::Right},
                                      Column{"layout"},
                                      Column{"properties"}};

/// The positions of the entries that match a pattern, sorted; every one where there is no pattern.
Result<std::vector<std::uint32_t>> matching(const dcp::OpenedCheckpoint& opened,
                                            const std::vector<std::string>& patterns) {
  const MetadataView metadata = opened.file.view();
  std::vector<std::uint32_t> positions;
  if (patterns.empty()) {
    positions.resize(metadata.size());
    std::iota(positions.begin(), positions.end(), 0U);
    return positions;
  }
  for (const std::string& pattern : patterns) {
    const auto range = metadata.prefix(literal_prefix(pattern));
    if (range.corrupt()) return tl::unexpected(corrupt(opened, "a name"));
    if (range.absent()) continue;
    for (std::uint32_t i = range->begin; i < range->end; ++i) {
      const auto entry = metadata.entry(i);
      if (!entry) return tl::unexpected(corrupt(opened, fmt::format("entry {}", i)));
      if (glob_matches(pattern, entry->fqn())) positions.push_back(i);
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  return positions;
}

/// Puts sorted positions into DCP's order.
void order_as_dcp(const MetadataView& metadata, std::vector<std::uint32_t>& positions) {
  std::vector<std::uint32_t> place(metadata.size(), 0);
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    if (const auto entry = metadata.entry_in_dcp_order(i)) place[entry->position()] = i;
  }
  std::sort(positions.begin(), positions.end(), [&](std::uint32_t a, std::uint32_t b) { return place[a] < place[b]; });
}

Result<std::vector<Row>> collect(const dcp::OpenedCheckpoint& opened, const Arguments& arguments) {
  auto positions = matching(opened, arguments.patterns);
  if (!positions) return tl::unexpected(positions.error());
  const MetadataView metadata = opened.file.view();
  if (arguments.sort == "dcp") order_as_dcp(metadata, *positions);

  std::vector<Row> rows;
  rows.reserve(positions->size());
  for (const std::uint32_t position : *positions) {
    const auto entry = metadata.entry(position);
    const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Corrupt);
    if (tensor.corrupt()) return tl::unexpected(corrupt(opened, fmt::format("entry {}", position)));
    Row row{position, std::nullopt};
    if (tensor) {
      row.bytes = tensor_bytes(*tensor);
    } else if (entry->type() == StorageType::Bytes) {
      row.bytes = stored(*entry).bytes;
    }
    rows.push_back(row);
  }
  if (arguments.sort == "size") {
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.bytes > b.bytes; });
  }
  return rows;
}

std::string properties_text(const TensorView& tensor) {
  std::string text;
  const auto add = [&](std::string_view word) { text += fmt::format("{}{}", text.empty() ? "" : ", ", word); };
  if (tensor.requires_grad()) add("requires_grad");
  if (tensor.pin_memory()) add("pinned");
  if (tensor.memory_format() != MemoryFormat::Contiguous) add(name_of(tensor.memory_format()));
  if (tensor.layout_name() != "strided") add(printable(tensor.layout_name()));
  return text;
}

std::string strides_text(const TensorView& tensor) {
  const auto strides = tensor.properties().strides;
  return strides ? list_text(*strides) : std::string("-");
}

void fill_details(const EntryView& entry, const Row& row, Cells& cells) {
  const auto tensor = entry.tensor();
  const auto count = [](std::optional<std::uint64_t> known) { return known ? grouped(*known) : std::string("-"); };
  cells.add(printable(entry.fqn()));
  cells.add(tensor ? dtype_text(*tensor) : std::string(to_string(entry.type())));
  cells.add(tensor ? list_text(tensor->size()) : std::string());
  cells.add(tensor ? strides_text(*tensor) : std::string());
  cells.add(tensor ? grouped(tensor->chunk_count()) : std::string());
  cells.add(count(row.bytes));
  cells.add(grouped(stored(entry).bytes));
  cells.add(tensor ? to_string(entry.row().chunk_layout) : std::string_view());
  cells.add(tensor ? properties_text(*tensor) : std::string());
}

void fill(const EntryView& entry, const Row& row, Cells& cells) {
  const auto tensor = entry.tensor();
  cells.add(printable(entry.fqn()));
  cells.add(tensor ? dtype_text(*tensor) : std::string(to_string(entry.type())));
  cells.add(tensor ? list_text(tensor->size()) : std::string());
  cells.add(tensor ? grouped(tensor->chunk_count()) : std::string());
  cells.add(row.bytes ? human_size(*row.bytes) : std::string("-"));
  cells.add(tensor ? to_string(entry.row().chunk_layout) : std::string_view());
}

std::uint64_t total_bytes(const std::vector<Row>& rows) {
  return std::accumulate(rows.begin(), rows.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Row& row) { return sum + row.bytes.value_or(0); });
}

void print(Context& context, const MetadataView& metadata, const std::vector<Row>& rows, const Arguments& arguments) {
  const std::span<const Column> columns = arguments.details ? std::span<const Column>(kDetailedColumns) : kColumns;
  if (!rows.empty()) {
    print_table(context.out, columns, rows.size(), [&](std::uint64_t i, Cells& cells) {
      const auto entry = metadata.entry(rows[i].position);
      if (!entry) return;  // it was sound when it was collected
      arguments.details ? fill_details(*entry, rows[i], cells) : fill(*entry, rows[i], cells);
    });
    context.out.write("\n");
  }
  const std::string all = counted(metadata.size(), "FQN", "FQNs");
  const std::string shown = arguments.patterns.empty() ? all : fmt::format("{} of {}", grouped(rows.size()), all);
  context.out.print("{}, {}\n", shown, human_size(total_bytes(rows)));
}

void write_entry(Json& json, const EntryView& entry, const Row& row) {
  const auto tensor = entry.tensor();
  json.begin_object();
  json.member("fqn", entry.fqn());
  json.member("type", to_string(entry.type()));
  if (tensor) {
    json.member("dtype", tensor->dtype_name());
    json.member("shape", tensor->size());
    json.member("chunks", tensor->chunk_count());
    json.member("chunk_layout", to_string(entry.row().chunk_layout));
  }
  json.member("bytes", row.bytes);
  json.member("stored_bytes", stored(entry).bytes);
  json.end();
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const std::vector<Row>& rows) {
  const MetadataView metadata = opened.file.view();
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("fqns", metadata.size());
  json.member("bytes", total_bytes(rows));
  json.key("entries").begin_array(Json::Style::Lines);
  for (const Row& row : rows) {
    if (context.out.closed()) break;
    if (const auto entry = metadata.entry(row.position)) write_entry(json, *entry, row);
  }
  json.end();
  json.end();
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  const auto rows = collect(*opened, arguments);
  if (!rows) return tl::unexpected(rows.error());
  if (context.globals.json) {
    print_json(context, *opened, *rows);
  } else {
    print(context, opened->file.view(), *rows, arguments);
  }
  return rows->empty() && !arguments.patterns.empty() ? Exit::No : Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("PATTERN", arguments->patterns,
                     "Only FQNs that match one of these: *, ?, [a-z]; * matches dots too");
  command.add_option("--sort", arguments->sort, "name, size (largest first) or dcp (the order in DCP's dictionary)")
      .type_name("ORDER")
      .one_of({"name", "size", "dcp"})
      .shows_default(arguments->sort);
  command.add_flag("-l,--long", arguments->details, "Exact bytes, bytes in files, strides and properties");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kLs;
const Verb kLs{"ls", "List FQNs: dtype, shape, chunks, size",
               "  flatpoint ls ckpt/\n"
               "  flatpoint ls ckpt/ 'model.layers.0.*' '*.bias' --sort size\n"
               "  flatpoint ls ckpt/ --json | jq '.entries[].fqn'\n",
               declare};

}  // namespace flatpoint::tool
