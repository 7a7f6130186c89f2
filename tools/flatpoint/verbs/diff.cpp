// flatpoint diff - what two checkpoints' metadata say differently.
#include "flatpoint/diff.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/data_diff.hpp"
#include "progress.hpp"
#include "table.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string a;
  std::string b;
  std::vector<std::string> only;
  std::vector<std::string> ignore;
  bool data = false;
  bool largest = false;
  bool strict = false;
  bool stat = false;
  std::uint32_t depth = 0;  // names per module; 0: all but the last
};

constexpr std::array kAspects{Aspect::Type,     Aspect::Dtype, Aspect::Shape,    Aspect::Properties,
                              Aspect::Sharding, Aspect::Data,  Aspect::Location, Aspect::Order,
                              Aspect::Planner,  Aspect::Meta,  Aspect::Save};

/// What is known of values that differ, by position in A.
using Values = std::map<std::uint32_t, data::ValueDifference>;

Aspects parse(const std::vector<std::string>& names) {
  Aspects aspects = 0;
  for (const Aspect aspect : kAspects) {
    if (std::find(names.begin(), names.end(), to_string(aspect)) != names.end()) aspects = aspects | aspect;
  }
  return aspects;
}

Aspects wanted(const Arguments& arguments) {
  Aspects aspects = arguments.only.empty() ? kAllAspects : parse(arguments.only);
  if (arguments.data || arguments.largest) aspects = aspects | Aspect::Data;
  return aspects & ~parse(arguments.ignore);
}

/// Adds an entry to those that differ, which are in A's order, or an aspect to it.
void add_changed(std::vector<ChangedEntry>& changed, std::uint32_t a, std::uint32_t b, Aspect aspect) {
  const auto at = std::ranges::lower_bound(changed, a, {}, &ChangedEntry::a);
  if (at != changed.end() && at->a == a) {
    at->aspects = at->aspects | aspect;
  } else {
    changed.insert(at, {a, b, static_cast<Aspects>(aspect)});
  }
}

/// The values of one FQN in both, where they can be compared: as its type, and a tensor's dtype and size, are the same.
Result<data::ValueDifference> compare_entry(const data::Reader& a, const EntryView& x, const data::Reader& b,
                                            const EntryView& y, const data::CompareOptions& options) {
  data::ValueDifference same;
  const auto s = x.tensor();
  const auto t = y.tensor();
  if (s && t) {
    if (dtype_text(*s) != dtype_text(*t) || !std::ranges::equal(s->size(), t->size())) return same;
    return data::compare(a, *s, b, *t, options);
  }
  if (s || t || x.type() != y.type() || !x.bytes_storage() || !y.bytes_storage()) return same;
  const auto equal = data::equal_items(a, x, b, y);
  if (!equal) return tl::unexpected(equal.error());
  same.same = *equal;
  return same;
}

/// Adds the FQNs whose values differ to those that do.
Result<Values> compare_values(const Context& context, const dcp::OpenedCheckpoint& opened_a,
                              const dcp::OpenedCheckpoint& opened_b, bool all, Diff& diff) {
  const auto a = open_data(context, opened_a);
  if (!a) return tl::unexpected(a.error());
  const auto b = open_data(context, opened_b);
  if (!b) return tl::unexpected(b.error());
  const MetadataView metadata = opened_a.file.view();
  const auto bytes_of = [&](std::uint32_t i) {
    const auto entry = metadata.entry(i);
    const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Absent);
    return tensor ? tensor_bytes(*tensor).value_or(0) : 0;
  };
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) total += bytes_of(i);
  Values values;
  Progress progress;
  std::uint64_t done = 0;
  const data::CompareOptions options{all, [&](std::uint64_t bytes) { progress.show(done + bytes, total); }};
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto x = metadata.entry(i);
    const auto y = x ? opened_b.file.view().find(x->fqn()) : Lookup<EntryView>(LookupStatus::Corrupt);
    if (!x || y.corrupt()) return tl::unexpected(corrupt(opened_a, fmt::format("entry {}", i)));
    if (y) {
      const auto difference = compare_entry(*a, *x, *b, *y, options);
      if (!difference) return tl::unexpected(difference.error());
      if (!difference->same) {
        add_changed(diff.changed, i, y->position(), Aspect::Data);
        values.emplace(i, *difference);
      }
    }
    progress.show(done += bytes_of(i), total);
  }
  return values;
}

/// Takes the ids of the save, which differ between any two, off what counts, unless they were asked for.
std::vector<FileDifference> take_ids(Diff& diff, const Arguments& arguments) {
  std::vector<FileDifference> ids;
  if (arguments.strict || holds(parse(arguments.only), Aspect::Save)) return ids;
  const auto first = std::ranges::stable_partition(
      diff.file, [](const FileDifference& difference) { return difference.aspect != Aspect::Save; });
  ids.assign(std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()));
  diff.file.erase(first.begin(), first.end());
  return ids;
}

std::string summary(const EntryView& entry) {
  const auto tensor = entry.tensor();
  if (!tensor) return std::string(to_string(entry.type()));
  return fmt::format("{} {}, {}", dtype_text(*tensor), list_text(tensor->size()),
                     counted(tensor->chunk_count(), "chunk", "chunks"));
}

std::string properties_text(const TensorView& tensor) {
  const TensorProperties p = tensor.properties();
  return fmt::format("{}, {}, requires_grad={}, pin_memory={}, strides={}", tensor.layout_name(),
                     name_of(p.memory_format), p.requires_grad, p.pin_memory,
                     p.strides ? list_text(*p.strides) : std::string("None"));
}

/// How the chunks of a tensor are cut: "64 chunks of [512, 4096]", or "64 chunks" where they differ.
std::string sharding_text(const TensorView& tensor) {
  std::string text = counted(tensor.chunk_count(), "chunk", "chunks");
  const auto first = tensor.chunk_by_row(0);
  if (first && tensor.row().chunk_layout != ChunkLayout::Explicit)
    text += fmt::format(", the first of {}", list_text(first->to_value().sizes));
  return text;
}

/// One difference of an entry: its name, and what both files say. Empty where that is too long to say.
struct Saying {
  Aspect aspect;
  std::string a;
  std::string b;
};

std::vector<Saying> sayings_of(const EntryView& x, const EntryView& y, const ChangedEntry& changed) {
  std::vector<Saying> sayings;
  const auto s = x.tensor();
  const auto t = y.tensor();
  for (const Aspect aspect : kAspects) {
    if (!holds(changed.aspects, aspect)) continue;
    Saying saying{aspect, {}, {}};
    switch (aspect) {
      case Aspect::Type: saying = {aspect, std::string(to_string(x.type())), std::string(to_string(y.type()))}; break;
      case Aspect::Dtype: saying = {aspect, dtype_text(*s), dtype_text(*t)}; break;
      case Aspect::Shape: saying = {aspect, list_text(s->size()), list_text(t->size())}; break;
      case Aspect::Properties: saying = {aspect, properties_text(*s), properties_text(*t)}; break;
      case Aspect::Sharding: saying = {aspect, sharding_text(*s), sharding_text(*t)}; break;
      default: break;
    }
    sayings.push_back(std::move(saying));
  }
  return sayings;
}

/// "data", or "data of 3 elements, by 0.25 at most" where that was asked for.
std::string data_line(const Values& values, std::uint32_t a) {
  const data::ValueDifference& value = values.at(a);
  if (value.elements == 0) return "data";
  std::string line = fmt::format("data of {}", counted(value.elements, "element", "elements"));
  if (value.largest) line += fmt::format(", by {:.6g} at most", *value.largest);
  return line;
}

std::string line_of(const Saying& saying, const ChangedEntry& changed, const Values& values) {
  if (saying.aspect == Aspect::Data) return data_line(values, changed.a);
  if (saying.aspect == Aspect::Location)
    return fmt::format("location of {}", counted(changed.chunks, "chunk", "chunks"));
  if (saying.a.empty() && saying.b.empty()) return std::string(to_string(saying.aspect));
  return fmt::format("{} {} -> {}", to_string(saying.aspect), printable(saying.a, Backslash::Keep),
                     printable(saying.b, Backslash::Keep));
}

/// Differences of the FQNs of one module.
struct ModuleRow {
  std::uint64_t removed = 0;
  std::uint64_t added = 0;
  std::uint64_t changed = 0;
  std::map<std::string_view, std::uint64_t> aspects;  // of the changed ones
};

using Modules = std::map<std::string_view, ModuleRow>;

Modules by_module(const MetadataView& a, const MetadataView& b, const Diff& diff, std::uint32_t depth) {
  Modules modules;
  const auto row = [&](const Lookup<EntryView>& entry) -> ModuleRow& {
    return modules[entry ? module_of(entry->fqn(), depth) : std::string_view()];
  };
  for (const std::uint32_t i : diff.removed) ++row(a.entry(i)).removed;
  for (const std::uint32_t i : diff.added) ++row(b.entry(i)).added;
  for (const ChangedEntry& changed : diff.changed) {
    ModuleRow& module = row(a.entry(changed.a));
    ++module.changed;
    for (const Aspect aspect : kAspects) {
      if (holds(changed.aspects, aspect)) ++module.aspects[to_string(aspect)];
    }
  }
  return modules;
}

void print_modules(Output& out, const Modules& modules) {
  static constexpr std::array kColumns{Column{"module", Align::Left, true}, Column{"removed", Align::Right},
                                       Column{"added", Align::Right}, Column{"changed", Align::Right},
                                       Column{"in what"}};
  if (modules.empty()) return;
  auto row = modules.begin();
  print_table(out, kColumns, modules.size(), [&](std::uint64_t i, Cells& cells) {
    if (i == 0) row = modules.begin();
    const auto& [name, module] = *row++;
    cells.add(name.empty() ? std::string("(none)") : printable(name));
    for (const std::uint64_t count : {module.removed, module.added, module.changed})
      cells.add(count == 0 ? std::string() : grouped(count));
    std::string what;
    for (const auto& [aspect, count] : module.aspects)
      what += fmt::format("{}{} {}", what.empty() ? "" : ", ", aspect, grouped(count));
    cells.add(what);
  });
}

void print_difference(Output& out, const FileDifference& difference) {
  out.print("* {}", difference.what);
  if (!difference.a.empty())
    out.print("  {} -> {}", printable(difference.a, Backslash::Keep), printable(difference.b, Backslash::Keep));
  out.write("\n");
}

/// "1 removed, 0 added, 0 changed, 0 of the whole; values were not compared", or "the same; ...".
void print_summary(Output& out, const Diff& diff, std::size_t ids, bool with_values) {
  if (diff.same()) {
    out.write("the same");
  } else {
    out.print("{} removed, {} added, {} changed, {} of the whole", grouped(diff.removed.size()),
              grouped(diff.added.size()), grouped(diff.changed.size()), grouped(diff.file.size()));
  }
  if (ids > 0) out.write("; other ids of the save (--strict counts them)");
  out.write(with_values ? "; values were compared\n" : "; values were not compared\n");
}

void print(Context& context, const MetadataView& a, const MetadataView& b, const Diff& diff, const Values& values) {
  for (const std::uint32_t i : diff.removed) {
    if (const auto entry = a.entry(i))
      context.out.print(
          "{}\n", context.out.painted(Colour::Red, fmt::format("- {}  {}", printable(entry->fqn()), summary(*entry))));
  }
  for (const std::uint32_t i : diff.added) {
    if (const auto entry = b.entry(i))
      context.out.print("{}\n", context.out.painted(Colour::Green,
                                                    fmt::format("+ {}  {}", printable(entry->fqn()), summary(*entry))));
  }
  for (const ChangedEntry& changed : diff.changed) {
    const auto x = a.entry(changed.a);
    const auto y = b.entry(changed.b);
    if (!x || !y || context.out.closed()) continue;
    context.out.print("{}", context.out.painted(Colour::Yellow, fmt::format("~ {}", printable(x->fqn()))));
    const char* separator = "  ";
    for (const Saying& saying : sayings_of(*x, *y, changed)) {
      context.out.print("{}{}", separator, line_of(saying, changed, values));
      separator = "; ";
    }
    context.out.write("\n");
  }
}

void write_names(Json& json, std::string_view name, const MetadataView& metadata,
                 const std::vector<std::uint32_t>& positions) {
  json.key(name).begin_array(Json::Style::Lines);
  for (const std::uint32_t i : positions) {
    if (const auto entry = metadata.entry(i)) json.value(entry->fqn());
  }
  json.end();
}

void write_differences(Json& json, std::string_view name, const std::vector<FileDifference>& differences) {
  json.key(name).begin_array(Json::Style::Lines);
  for (const FileDifference& difference : differences) {
    json.begin_object();
    json.member("aspect", to_string(difference.aspect));
    json.member("what", difference.what);
    json.member("a", difference.a);
    json.member("b", difference.b);
    json.end();
  }
  json.end();
}

void write_modules(Json& json, const Modules& modules) {
  json.key("modules").begin_array(Json::Style::Lines);
  for (const auto& [name, module] : modules) {
    json.begin_object();
    json.member("module", name);
    json.member("removed", module.removed);
    json.member("added", module.added);
    json.member("changed", module.changed);
    json.key("aspects").begin_object();
    for (const auto& [aspect, count] : module.aspects) json.member(aspect, count);
    json.end();
    json.end();
  }
  json.end();
}

void write_value(Json& json, const data::ValueDifference& value) {
  if (value.elements > 0) json.member("elements", value.elements);
  if (!value.largest) return;
  if (std::isfinite(*value.largest)) {
    json.member("largest", *value.largest);
  } else {
    json.member("largest", fmt::format("{}", *value.largest));
  }
}

void print_json(Context& context, const MetadataView& a, const MetadataView& b, const Diff& diff,
                const std::vector<FileDifference>& ids, const std::optional<Modules>& modules,
                const std::optional<Values>& values) {
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  json.member("same", diff.same());
  json.member("values_compared", values.has_value());
  write_differences(json, "file", diff.file);
  write_differences(json, "save_ids", ids);
  if (modules) {
    write_modules(json, *modules);
    json.end();
    return;
  }
  write_names(json, "removed", a, diff.removed);
  write_names(json, "added", b, diff.added);
  json.key("changed").begin_array(Json::Style::Lines);
  for (const ChangedEntry& changed : diff.changed) {
    const auto x = a.entry(changed.a);
    const auto y = b.entry(changed.b);
    if (!x || !y || context.out.closed()) continue;
    json.begin_object();
    json.member("fqn", x->fqn());
    for (const Saying& saying : sayings_of(*x, *y, changed)) {
      json.key(to_string(saying.aspect)).begin_object();
      if (saying.aspect == Aspect::Location) json.member("chunks", changed.chunks);
      if (saying.aspect == Aspect::Data) write_value(json, values->at(changed.a));
      if (!saying.a.empty() || !saying.b.empty()) json.member("a", saying.a), json.member("b", saying.b);
      json.end();
    }
    json.end();
  }
  json.end();
  json.end();
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  const auto a = open(context, arguments.a);
  if (!a) return tl::unexpected(a.error());
  const auto b = open(context, arguments.b);
  if (!b) return tl::unexpected(b.error());
  const MetadataView x = a->file.view();
  const MetadataView y = b->file.view();
  auto result = diff(x, y, wanted(arguments));
  if (!result) return tl::unexpected(result.error());
  std::optional<Values> values;
  if (holds(wanted(arguments), Aspect::Data)) {
    auto compared = compare_values(context, *a, *b, arguments.largest, *result);
    if (!compared) return tl::unexpected(std::move(compared.error()));
    values = std::move(*compared);
  }
  const auto ids = take_ids(*result, arguments);
  const auto modules = arguments.stat ? std::optional(by_module(x, y, *result, arguments.depth)) : std::nullopt;
  if (context.globals.json) {
    print_json(context, x, y, *result, ids, modules, values);
  } else {
    print_summary(context.out, *result, ids.size(), values.has_value());
    for (const FileDifference& difference : result->file) print_difference(context.out, difference);
    modules ? print_modules(context.out, *modules) : print(context, x, y, *result, values.value_or(Values()));
  }
  return result->same() ? Exit::Yes : Exit::No;
}

void add_aspects(Command& command, const char* name, std::vector<std::string>& aspects, const char* help) {
  std::vector<std::string> names;
  for (const Aspect aspect : kAspects) names.emplace_back(to_string(aspect));
  command.add_option(name, aspects, help).type_name("ASPECT").separated_by(',').one_of(std::move(names));
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("A", arguments->a, "A checkpoint's folder, a .metadata or a flatpoint file").required();
  command.add_option("B", arguments->b, "Another one").required();
  add_aspects(
      command, "--only", arguments->only,
      "What counts, by default all but data and save of: type, dtype, shape, properties, sharding, data (values),\n"
      "location, order, planner, meta, save (the ids that a save gets anew)");
  add_aspects(command, "--ignore", arguments->ignore, "What does not count");
  command.add_flag("--data", arguments->data,
                   "Compare values, too: by checksums where both have them (import --checksums), else by reading");
  command.add_flag("--largest", arguments->largest,
                   "Likewise, and tell how many elements differ and by how much at most, which reads all that differs");
  command.add_flag("--strict", arguments->strict, "Count the ids of the save, too");
  command.add_flag("--stat", arguments->stat, "Numbers per module instead of a line per FQN");
  command.add_option("--depth", arguments->depth, "With --stat: names per module; by default all but the last")
      .type_name("N");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kDiff;
const Verb kDiff{"diff", "Compare what two metadata files say; exit 0 the same, 1 different",
                 "  flatpoint diff step_1000/ step_2000/ --ignore location\n"
                 "  flatpoint diff step_1000/ step_2000/ --stat --depth 3\n"
                 "  flatpoint diff ckpt/ resharded/ --only data --largest\n"
                 "  flatpoint diff ckpt/.metadata ckpt/.metadata.flatpoint\n"
                 "  flatpoint diff a.flatpoint b.flatpoint --only dtype,shape --json\n",
                 declare};

}  // namespace flatpoint::tool
