// flatpoint ls - a line per FQN.
#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <numeric>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "delimited.hpp"
#include "describe.hpp"
#include "glob.hpp"
#include "table.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  std::vector<std::string> patterns;
  std::vector<std::string> dtypes;
  std::vector<std::string> files;
  std::uint64_t min_size = 0;
  std::string sort = "name";
  bool details = false;
  bool tree = false;
  std::optional<std::uint32_t> depth;
  bool csv = false;
  bool tsv = false;

  [[nodiscard]] bool filters() const { return !patterns.empty() || !dtypes.empty() || !files.empty() || min_size > 0; }
};

struct Row {
  std::uint32_t position;              // in the sorted order
  std::optional<std::uint64_t> bytes;  // of the tensor; of bytes, what is stored
};

constexpr std::array kColumns{
    Column{"FQN", Align::Left, true}, Column{"dtype"}, Column{"shape"}, Column{"chunks", Align::Right},
    Column{"size", Align::Right},     Column{"layout"}};

constexpr std::array kDetailedColumns{Column{"FQN", Align::Left, true},
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

/// "64", "1.5M", "2GiB": bytes, by powers of 1,024.
Result<std::uint64_t> parse_size(std::string_view text) {
  const auto invalid =
      fail(ErrorCode::InvalidArgument, fmt::format("expected a size such as 64, 512K or 1.5GiB, not '{}'", text));
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.ends_with("iB")) unit.remove_suffix(2);
  if (unit.ends_with("B")) unit.remove_suffix(1);
  constexpr std::string_view kUnits = "KMGTPE";
  if (error != std::errc() || unit.size() > 1 || !(number >= 0)) return invalid;
  const std::size_t power = unit.empty() ? 0 : kUnits.find(static_cast<char>(unit[0] & ~0x20)) + 1;
  if (!unit.empty() && kUnits.find(static_cast<char>(unit[0] & ~0x20)) == std::string_view::npos) return invalid;
  for (std::size_t i = 0; i < power; ++i) number *= 1024;
  if (number >= 18'446'744'073'709'551'615.0) return invalid;
  return static_cast<std::uint64_t>(number);
}

/// Which of the data files match a pattern.
std::vector<bool> files_matching(const MetadataView& metadata, const std::vector<std::string>& patterns) {
  std::vector<bool> matches(metadata.file_count(), false);
  for (std::uint32_t file = 0; file < matches.size(); ++file) {
    const auto name = metadata.file_name(file);
    matches[file] =
        name && std::ranges::any_of(patterns, [&](const std::string& pattern) { return glob_matches(pattern, *name); });
  }
  return matches;
}

/// Whether an item of the entry lies in one of the files.
bool lies_in(const EntryView& entry, const std::vector<bool>& files) {
  const auto is_one = [&](const Lookup<StorageInfoView>& storage) {
    return storage && storage->file() < files.size() && files[storage->file()];
  };
  const auto tensor = entry.tensor();
  if (!tensor) return is_one(entry.bytes_storage());
  for (std::uint32_t i = 0; i < tensor->chunk_count(); ++i) {
    if (const auto chunk = tensor->chunk_by_row(i); chunk && is_one(chunk->storage())) return true;
  }
  return false;
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

  const std::vector<bool> files = files_matching(metadata, arguments.files);
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
    const std::string dtype = tensor ? dtype_text(*tensor) : std::string(to_string(entry->type()));
    if (!arguments.dtypes.empty() && std::ranges::count(arguments.dtypes, dtype) == 0) continue;
    if (row.bytes.value_or(0) < arguments.min_size) continue;
    if (!arguments.files.empty() && !lies_in(*entry, files)) continue;
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

/// Sums of rows, as `show` has them: bytes are those of tensors.
struct Totals {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_items = 0;
  std::uint64_t stored_in_bytes_items = 0;
};

Totals totals_of(const MetadataView& metadata, const std::vector<Row>& rows) {
  Totals totals;
  for (const Row& row : rows) {
    const auto entry = metadata.entry(row.position);
    if (entry && entry->type() == StorageType::Bytes) {
      ++totals.bytes_items;
      totals.stored_in_bytes_items += row.bytes.value_or(0);
    } else {
      totals.bytes += row.bytes.value_or(0);
    }
  }
  return totals;
}

/// Sums of a module, and of everything below it.
struct Module {
  std::uint64_t tensors = 0;
  std::uint64_t others = 0;
  std::uint64_t bytes = 0;  // of tensors
};

/// Every module of the rows by name, down to `depth` names.
std::map<std::string_view, Module> modules_of(const MetadataView& metadata, const std::vector<Row>& rows,
                                              std::uint32_t depth) {
  std::map<std::string_view, Module> modules;
  for (const Row& row : rows) {
    const auto entry = metadata.entry(row.position);
    if (!entry) continue;
    const std::string_view fqn = entry->fqn();
    std::uint32_t level = 0;
    for (std::size_t end = fqn.find('.'); level < depth && end != std::string_view::npos;
         end = fqn.find('.', end + 1)) {
      Module& module = modules[fqn.substr(0, end)];
      const bool is_tensor = entry->type() == StorageType::Tensor;
      ++(is_tensor ? module.tensors : module.others);
      if (is_tensor) module.bytes += row.bytes.value_or(0);
      ++level;
    }
  }
  return modules;
}

/// Sorted so that a module comes before those inside of it: '.' before every other character.
bool before_as_path(std::string_view a, std::string_view b) {
  return std::ranges::lexicographical_compare(a, b, [](char x, char y) {
    const auto rank = [](char c) { return c == '.' ? 0 : 1 + static_cast<unsigned char>(c); };
    return rank(x) < rank(y);
  });
}

std::vector<std::pair<std::string_view, Module>> tree_of(const MetadataView& metadata, const std::vector<Row>& rows,
                                                         const Arguments& arguments) {
  const auto modules = modules_of(metadata, rows, arguments.depth.value_or(UINT32_MAX));
  std::vector<std::pair<std::string_view, Module>> tree(modules.begin(), modules.end());
  std::ranges::sort(tree, before_as_path, [](const auto& module) { return module.first; });
  return tree;
}

void print_tree(Context& context, const MetadataView& metadata, const std::vector<Row>& rows,
                const Arguments& arguments) {
  static constexpr std::array kTreeColumns{Column{"module", Align::Left, true}, Column{"tensors", Align::Right},
                                           Column{"others", Align::Right}, Column{"size", Align::Right}};
  const auto tree = tree_of(metadata, rows, arguments);
  if (tree.empty()) return;
  print_table(context.out, kTreeColumns, tree.size(), [&](std::uint64_t i, Cells& cells) {
    const auto& [name, module] = tree[i];
    const auto level = static_cast<std::size_t>(std::ranges::count(name, '.'));
    const std::size_t last = name.rfind('.');
    cells.add(std::string(2 * level, ' ') + printable(last == std::string_view::npos ? name : name.substr(last + 1)));
    cells.add(grouped(module.tensors));
    cells.add(module.others > 0 ? grouped(module.others) : std::string());
    cells.add(human_size(module.bytes));
  });
  context.out.write("\n");
}

void print_delimited(Context& context, const MetadataView& metadata, const std::vector<Row>& rows, char separator) {
  Delimited lines(context.out, separator);
  for (const char* title : {"fqn", "type", "dtype", "shape", "chunks", "bytes", "stored_bytes", "chunk_layout"})
    lines.field(title);
  lines.end_row();
  for (const Row& row : rows) {
    const auto entry = metadata.entry(row.position);
    if (!entry || context.out.closed()) continue;
    const auto tensor = entry->tensor();
    lines.field(printable(entry->fqn())).field(to_string(entry->type()));
    lines.field(tensor ? dtype_text(*tensor) : std::string()).field(tensor ? list_text(tensor->size()) : std::string());
    lines.field(tensor ? std::to_string(tensor->chunk_count()) : std::string());
    lines.field(row.bytes ? std::to_string(*row.bytes) : std::string()).field(std::to_string(stored(*entry).bytes));
    lines.field(tensor ? to_string(entry->row().chunk_layout) : std::string_view());
    lines.end_row();
  }
}

void print(Context& context, const MetadataView& metadata, const std::vector<Row>& rows, const Arguments& arguments) {
  const std::span<const Column> columns = arguments.details ? std::span<const Column>(kDetailedColumns) : kColumns;
  if (arguments.tree) {
    print_tree(context, metadata, rows, arguments);
  } else if (!rows.empty()) {
    print_table(context.out, columns, rows.size(), [&](std::uint64_t i, Cells& cells) {
      const auto entry = metadata.entry(rows[i].position);
      if (!entry) return;  // it was sound when it was collected
      arguments.details ? fill_details(*entry, rows[i], cells) : fill(*entry, rows[i], cells);
    });
    context.out.write("\n");
  }
  const std::string all = counted(metadata.size(), "FQN", "FQNs");
  const std::string shown = arguments.filters() ? fmt::format("{} of {}", grouped(rows.size()), all) : all;
  const Totals totals = totals_of(metadata, rows);
  context.out.print("{}, {}", shown, human_size(totals.bytes));
  if (totals.bytes_items > 0) {
    context.out.print(" in tensors, {} in {}", human_size(totals.stored_in_bytes_items),
                      counted(totals.bytes_items, "bytes item", "bytes items"));
  }
  context.out.write("\n");
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

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const std::vector<Row>& rows,
                const Arguments& arguments) {
  const MetadataView metadata = opened.file.view();
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("fqns", metadata.size());
  const Totals totals = totals_of(metadata, rows);
  json.member("bytes", totals.bytes);
  json.member("bytes_items", totals.bytes_items);
  json.member("stored_in_bytes_items", totals.stored_in_bytes_items);
  if (arguments.tree) {
    json.key("modules").begin_array(Json::Style::Lines);
    for (const auto& [name, module] : tree_of(metadata, rows, arguments)) {
      json.begin_object();
      json.member("module", name);
      json.member("tensors", module.tensors);
      json.member("others", module.others);
      json.member("bytes", module.bytes);
      json.end();
    }
    json.end();
    json.end();
    return;
  }
  json.key("entries").begin_array(Json::Style::Lines);
  for (const Row& row : rows) {
    if (context.out.closed()) break;
    if (const auto entry = metadata.entry(row.position)) write_entry(json, *entry, row);
  }
  json.end();
  json.end();
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  if (arguments.tsv && arguments.tree) return fail(ErrorCode::InvalidArgument, "--tree and --tsv exclude each other");
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  const auto rows = collect(*opened, arguments);
  if (!rows) return tl::unexpected(rows.error());
  if (context.globals.json) {
    print_json(context, *opened, *rows, arguments);
  } else if (arguments.csv || arguments.tsv) {
    print_delimited(context, opened->file.view(), *rows, arguments.csv ? ',' : '\t');
  } else {
    print(context, opened->file.view(), *rows, arguments);
  }
  return rows->empty() && arguments.filters() ? Exit::No : Exit::Yes;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("PATTERN", arguments->patterns,
                     "Only FQNs that match one of these: *, ?, [a-z]; * matches dots too");
  command
      .add_option("--dtype", arguments->dtypes, "Only these: bfloat16, float32, ... (bytes and opaque are some, too)")
      .type_name("DTYPE")
      .separated_by(',');
  command
      .add_option_function(
          "--min-size",
          [arguments](std::string_view text) {
            return parse_size(text).map([&](std::uint64_t size) { arguments->min_size = size; });
          },
          "Only what has as many bytes: 64K, 1.5GiB")
      .type_name("SIZE");
  command.add_option("--file", arguments->files, "Only what lies in data files that match: '__3_*'")
      .type_name("PATTERN");
  command.add_option("--sort", arguments->sort, "name, size (largest first) or dcp (the order in DCP's dictionary)")
      .type_name("ORDER")
      .one_of({"name", "size", "dcp"})
      .shows_default(arguments->sort);
  Option& details =
      command.add_flag("-l,--long", arguments->details, "Exact bytes, bytes in files, strides and properties");
  Option& tree =
      command.add_flag("--tree", arguments->tree, "Modules with their sums instead of FQNs").excludes(details);
  command.add_option("--depth", arguments->depth, "With --tree: so many names of an FQN").type_name("N");
  Option& csv = command.add_flag("--csv", arguments->csv, "A line per FQN, fields between commas").excludes(tree);
  command.add_flag("--tsv", arguments->tsv, "The same between tabs").excludes(csv);
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kLs;
const Verb kLs{"ls", "List FQNs: dtype, shape, chunks, size",
               "  flatpoint ls ckpt/\n"
               "  flatpoint ls ckpt/ 'model.layers.0.*' '*.bias' --sort size\n"
               "  flatpoint ls ckpt/ --dtype float32 --min-size 1M --file '__3_*'\n"
               "  flatpoint ls ckpt/ --tree --depth 3\n"
               "  flatpoint ls ckpt/ --json | jq '.entries[].fqn'\n",
               declare};

}  // namespace flatpoint::tool
