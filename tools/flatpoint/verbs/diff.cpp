// flatpoint diff - what two checkpoints' metadata say differently.
#include "flatpoint/diff.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "text.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string a;
  std::string b;
  std::vector<std::string> only;
  std::vector<std::string> ignore;
};

constexpr std::array kAspects{Aspect::Type,     Aspect::Dtype, Aspect::Shape,   Aspect::Properties, Aspect::Sharding,
                              Aspect::Location, Aspect::Order, Aspect::Planner, Aspect::Meta};

Aspects parse(const std::vector<std::string>& names) {
  Aspects aspects = 0;
  for (const Aspect aspect : kAspects) {
    if (std::find(names.begin(), names.end(), to_string(aspect)) != names.end()) aspects = aspects | aspect;
  }
  return aspects;
}

Aspects wanted(const Arguments& arguments) {
  return (arguments.only.empty() ? kAllAspects : parse(arguments.only)) & ~parse(arguments.ignore);
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

std::string line_of(const Saying& saying, const ChangedEntry& changed) {
  if (saying.aspect == Aspect::Location)
    return fmt::format("location of {}", counted(changed.chunks, "chunk", "chunks"));
  if (saying.a.empty() && saying.b.empty()) return std::string(to_string(saying.aspect));
  return fmt::format("{} {} -> {}", to_string(saying.aspect), printable(saying.a, Backslash::Keep),
                     printable(saying.b, Backslash::Keep));
}

void print(Context& context, const MetadataView& a, const MetadataView& b, const Diff& diff) {
  for (const std::uint32_t i : diff.removed) {
    if (const auto entry = a.entry(i)) context.out.print("- {}  {}\n", printable(entry->fqn()), summary(*entry));
  }
  for (const std::uint32_t i : diff.added) {
    if (const auto entry = b.entry(i)) context.out.print("+ {}  {}\n", printable(entry->fqn()), summary(*entry));
  }
  for (const ChangedEntry& changed : diff.changed) {
    const auto x = a.entry(changed.a);
    const auto y = b.entry(changed.b);
    if (!x || !y || context.out.closed()) continue;
    context.out.print("~ {}", printable(x->fqn()));
    const char* separator = "  ";
    for (const Saying& saying : sayings_of(*x, *y, changed)) {
      context.out.print("{}{}", separator, line_of(saying, changed));
      separator = "; ";
    }
    context.out.write("\n");
  }
  for (const FileDifference& difference : diff.file) {
    context.out.print("* {}", difference.what);
    if (!difference.a.empty())
      context.out.print("  {} -> {}", printable(difference.a, Backslash::Keep),
                        printable(difference.b, Backslash::Keep));
    context.out.write("\n");
  }
  if (diff.same()) return context.out.write("the same\n");
  context.out.print("{} removed, {} added, {} changed, {} of the whole\n", grouped(diff.removed.size()),
                    grouped(diff.added.size()), grouped(diff.changed.size()), grouped(diff.file.size()));
}

void write_names(Json& json, std::string_view name, const MetadataView& metadata,
                 const std::vector<std::uint32_t>& positions) {
  json.key(name).begin_array(Json::Style::Lines);
  for (const std::uint32_t i : positions) {
    if (const auto entry = metadata.entry(i)) json.value(entry->fqn());
  }
  json.end();
}

void print_json(Context& context, const MetadataView& a, const MetadataView& b, const Diff& diff) {
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  json.member("same", diff.same());
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
      if (!saying.a.empty() || !saying.b.empty()) json.member("a", saying.a), json.member("b", saying.b);
      json.end();
    }
    json.end();
  }
  json.end();
  json.key("file").begin_array(Json::Style::Lines);
  for (const FileDifference& difference : diff.file) {
    json.begin_object();
    json.member("aspect", to_string(difference.aspect));
    json.member("what", difference.what);
    json.member("a", difference.a);
    json.member("b", difference.b);
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
  const auto result = diff(a->file.view(), b->file.view(), wanted(arguments));
  if (!result) return tl::unexpected(result.error());
  context.globals.json ? print_json(context, a->file.view(), b->file.view(), *result)
                       : print(context, a->file.view(), b->file.view(), *result);
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
      "What counts, by default all of: type, dtype, shape, properties, sharding, location, order, planner, meta");
  add_aspects(command, "--ignore", arguments->ignore, "What does not count");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kDiff;
const Verb kDiff{"diff", "Compare what two metadata files say; exit 0 the same, 1 different",
                 "  flatpoint diff step_1000/ step_2000/ --ignore location,meta\n"
                 "  flatpoint diff ckpt/.metadata ckpt/.metadata.flatpoint\n"
                 "  flatpoint diff a.flatpoint b.flatpoint --only dtype,shape --json\n",
                 declare};

}  // namespace flatpoint::tool
