// flatpoint plan - which bytes does a rank need, and how does the load spread over all of them?
#include "plan.hpp"

#include <algorithm>
#include <charconv>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "glob.hpp"
#include "mesh.hpp"
#include "table.hpp"
#include "wanted_file.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  std::string mesh;
  std::vector<std::string> patterns;
  std::vector<std::string> placements;
  std::optional<std::uint32_t> rank;
  std::string wanted;
  bool all_ranks = false;
  bool by_file = false;
  bool tsv = false;
  bool full = false;
  bool partial = false;
  std::uint64_t gap = 0;
};

/// "S0,R", or "PATTERN=S0,R".
struct PatternPlacements {
  std::optional<std::string> pattern;
  std::vector<Placement> placements;
};

Result<PatternPlacements> parse_pattern_placements(std::string_view text) {
  // Shard(dim=0) has an equals sign as well.
  std::size_t equals = std::string_view::npos;
  for (std::size_t i = 0, depth = 0; i < text.size() && equals == std::string_view::npos; ++i) {
    depth += text[i] == '(';
    depth -= text[i] == ')' && depth > 0;
    if (text[i] == '=' && depth == 0) equals = i;
  }
  PatternPlacements made;
  if (equals != std::string_view::npos) made.pattern = text.substr(0, equals);
  auto placements = parse_placements(made.pattern ? text.substr(equals + 1) : text);
  if (!placements) return tl::unexpected(std::move(placements.error()));
  made.placements = std::move(*placements);
  return made;
}

bool is_wanted(const Arguments& arguments, std::string_view fqn) {
  return arguments.patterns.empty() || std::ranges::any_of(arguments.patterns, [&](const std::string& pattern) {
           return glob_matches(pattern, fqn);
         });
}

/// The placements of the first pattern that matches, else those without a pattern.
class PlacementRules {
 public:
  static Result<PlacementRules> create(const std::vector<std::string>& texts) {
    PlacementRules made;
    for (const std::string& text : texts) {
      auto rule = parse_pattern_placements(text);
      if (!rule) return fail_at("--placements", std::move(rule.error()));
      if (rule->pattern) {
        made.rules_.push_back(std::move(*rule));
      } else if (made.rest_) {
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("--placements: '{}': a second one without a pattern", text));
      } else {
        made.rest_ = std::move(rule->placements);
      }
    }
    return made;
  }

  [[nodiscard]] std::optional<std::span<const Placement>> of(std::string_view fqn) const {
    for (const PatternPlacements& rule : rules_) {
      if (glob_matches(*rule.pattern, fqn)) return rule.placements;
    }
    return rest_ ? std::optional<std::span<const Placement>>(*rest_) : std::nullopt;
  }

 private:
  std::vector<PatternPlacements> rules_;
  std::optional<std::vector<Placement>> rest_;
};

Result<MeshPlanner> mesh_planner(const MetadataView& metadata, const Arguments& arguments, const LoadOptions& options) {
  const auto mesh = parse_mesh(arguments.mesh);
  if (!mesh) return tl::unexpected(mesh.error());
  const auto rules = PlacementRules::create(arguments.placements);
  if (!rules) return tl::unexpected(rules.error());
  std::string without;  // an FQN that no rule speaks of
  std::uint64_t wanted = 0;
  const PlacementsOf placements_of = [&](std::string_view fqn) -> std::optional<std::span<const Placement>> {
    if (!is_wanted(arguments, fqn)) return std::nullopt;
    ++wanted;
    const auto placements = rules->of(fqn);
    if (!placements && without.empty()) without = fqn;
    return placements;
  };
  auto planner = MeshPlanner::create(metadata, *mesh, placements_of, options);
  if (planner && !without.empty())
    return fail(ErrorCode::InvalidArgument,
                fmt::format("--placements: none for FQN '{}': give one without a pattern for the rest", without));
  if (planner && wanted == 0 && !arguments.patterns.empty())
    return fail(ErrorCode::NotFound, "no FQN matches the patterns");
  return planner;
}

/// A few of them: a state dict may leave out all of the optimizer.
void print_unexpected(Context& context, const MetadataView& metadata, std::span<const std::uint32_t> positions) {
  constexpr std::size_t kShown = 10;
  for (const std::uint32_t position : positions.first(std::min(kShown, positions.size()))) {
    const auto entry = metadata.entry(position);
    if (entry) context.out.print("note unexpected: FQN '{}' is not wanted\n", printable(entry->fqn()));
  }
  if (positions.size() > kShown) context.out.print("... and {} more\n", grouped(positions.size() - kShown));
}

void print(Context& context, const MetadataView& metadata, const LoadPlan& plan, std::size_t most) {
  constexpr std::array kColumns{Column{"file"}, Column{"byte offset", Align::Right}, Column{"length", Align::Right},
                                Column{"items", Align::Right}};
  const auto reads = plan.reads();
  if (!reads.empty()) {
    const std::size_t shown = std::min(reads.size(), most);
    print_table(context.out, kColumns, shown, [&](std::uint64_t i, Cells& cells) {
      cells.add(file_text(metadata, reads[i].file));
      cells.add(std::to_string(reads[i].byte_offset));
      cells.add(std::to_string(reads[i].length));
      cells.add(grouped(reads[i].item_count));
    });
    print_rest(context.out, reads.size(), shown, "read");
    context.out.write("\n");
  }
  context.out.print("{} in {} of {}\n", counted(plan.size(), "item", "items"),
                    counted(plan.reads().size(), "read", "reads"), counted(plan.file_count(), "file", "files"));
  context.out.print("needed {}, stored {}, read {}: {}\n", human_size(plan.needed_bytes()),
                    human_size(plan.stored_bytes()), human_size(plan.read_bytes()),
                    amplification_text(plan.stored_bytes(), plan.needed_bytes()));
  print_unexpected(context, metadata, plan.unexpected());
  print_issues(context.out, plan.issues(), most);
}

/// The bytes of a file that are an item's elements: `length` of them from `byte_offset` on, and for each step, the
/// outermost first, all of that `count` times, `bytes` apart.
struct ItemData {
  struct Step {
    std::uint64_t count;
    std::uint64_t bytes;
  };
  std::uint64_t byte_offset;
  std::uint64_t length;
  std::vector<Step> steps;
};

/// Unset where the metadata does not know, or there are no elements.
std::optional<ItemData> data_of(const MetadataView& metadata, const ReadItemView& item) {
  const auto entry = metadata.find(item.fqn());
  const auto tensor = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Absent);
  const auto chunk = tensor ? tensor->chunk_by_row(item.chunk()) : Lookup<ChunkView>(LookupStatus::Absent);
  const auto data = chunk ? chunk->data() : Lookup<ChunkData>(LookupStatus::Absent);
  const auto lengths = item.lengths();
  if (!data || std::ranges::find(lengths, 0) != lengths.end()) return std::nullopt;
  std::uint64_t stride = item_size(tensor->dtype());
  ItemData found{data->byte_offset, stride, {}};
  bool is_one_run = true;  // of all dimensions behind this one
  for (std::size_t d = lengths.size(); d-- > 0;) {
    const auto length = static_cast<std::uint64_t>(lengths[d]);
    const auto size = static_cast<std::uint64_t>(chunk->size(static_cast<std::uint8_t>(d)));
    found.byte_offset += static_cast<std::uint64_t>(item.storage_offsets()[d]) * stride;
    if (is_one_run) {
      found.length *= length;
    } else if (length > 1) {
      found.steps.insert(found.steps.begin(), {length, stride});
    }
    is_one_run = is_one_run && length == size;
    stride *= size;
  }
  return found;
}

void write_data(Json& json, const ItemData& data) {
  json.key("data").begin_object();
  json.member("byte_offset", data.byte_offset);
  json.member("length", data.length);
  json.key("steps").begin_array();
  for (const ItemData::Step& step : data.steps) {
    json.begin_object();
    json.member("count", step.count);
    json.member("bytes", step.bytes);
    json.end();
  }
  json.end();
  json.end();
}

void write_item(Json& json, const MetadataView& metadata, const ReadItemView& view) {
  const ReadItem item = view.to_value();
  const bool is_bytes = item.type == LoadItemType::Bytes;
  json.begin_object();
  json.member("type", is_bytes ? "BYTE_IO" : "TENSOR");
  json.member("fqn", view.fqn());
  if (!is_bytes) {
    json.member("box", view.box());
    json.member("dest_index", *item.dest_index.offset);
    json.member("storage_index", *item.storage_index.offset);
  }
  json.member("dest_offsets", item.dest_offsets);
  json.member("storage_offsets", item.storage_offsets);
  json.member("lengths", item.lengths);
  json.member("relative_path", *metadata.file_name(view.file()));
  json.member("byte_offset", view.byte_offset());
  json.member("length", view.length());
  if (const auto data = is_bytes ? std::nullopt : data_of(metadata, view)) write_data(json, *data);
  json.end();
}

void write_unexpected(Json& json, const MetadataView& metadata, const LoadPlan& plan) {
  json.key("unexpected").begin_array();
  for (const std::uint32_t position : plan.unexpected()) {
    if (const auto entry = metadata.entry(position)) json.value(entry->fqn());
  }
  json.end();
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const LoadPlan& plan) {
  const MetadataView metadata = opened.file.view();
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("loadable", plan.loadable());
  json.member("files", plan.file_count());
  json.member("needed_bytes", plan.needed_bytes());
  json.member("stored_bytes", plan.stored_bytes());
  json.member("read_bytes", plan.read_bytes());
  write_issues(json, plan.issues());
  write_unexpected(json, metadata, plan);
  json.key("reads").begin_array(Json::Style::Lines);
  for (const FileRead& read : plan.reads()) {
    json.begin_object();
    json.member("relative_path", *metadata.file_name(read.file));
    json.member("byte_offset", read.byte_offset);
    json.member("length", read.length);
    json.member("item_begin", read.item_begin);
    json.member("item_count", read.item_count);
    json.end();
  }
  json.end();
  json.key("items").begin_array(Json::Style::Lines);
  for (std::uint32_t i = 0; i < plan.size() && !context.out.closed(); ++i) write_item(json, metadata, plan.item(i));
  json.end();
  json.end();
}

Result<Exit> run_balance(const Arguments& arguments, const dcp::OpenedCheckpoint& opened, Context& context) {
  auto planner = mesh_planner(opened.file.view(), arguments, {.max_gap = arguments.gap});
  if (!planner) return tl::unexpected(planner.error());
  const auto balance = planner->balance();
  if (!balance) return tl::unexpected(balance.error());
  const std::size_t most = arguments.full ? SIZE_MAX : kPlanRows;
  if (arguments.by_file) {
    const MatrixForm form = context.globals.json ? MatrixForm::Json
                            : arguments.tsv      ? MatrixForm::Tsv
                                                 : MatrixForm::Table;
    auto done = print_matrix(context, opened, *planner, *balance, form, most);
    if (!done) return tl::unexpected(std::move(done.error()));
  } else if (context.globals.json) {
    print_balance_json(context, opened, *balance);
  } else {
    print_balance(context.out, opened.file.view(), *balance, most);
  }
  return balance->loadable() ? Exit::Yes : Exit::No;
}

Result<LoadPlan> make_plan(const Arguments& arguments, const MetadataView& metadata) {
  const LoadOptions options{!arguments.partial, arguments.gap};
  if (!arguments.wanted.empty()) {
    const auto file = read_wanted_file(arguments.wanted);
    if (!file) return tl::unexpected(file.error());
    return plan_load(metadata, file->wanted(), options);
  }
  auto planner = mesh_planner(metadata, arguments, options);
  if (!planner) return tl::unexpected(planner.error());
  return planner->plan(*arguments.rank);
}

bool asks_one_thing(const Arguments& arguments) noexcept {
  const bool mesh = !arguments.mesh.empty();
  const bool placements = !arguments.placements.empty();
  const bool rank = arguments.rank.has_value();
  if (arguments.by_file && !arguments.all_ranks) return false;
  if (arguments.tsv && !arguments.by_file) return false;
  if (!arguments.wanted.empty())
    return !mesh && !placements && !rank && !arguments.all_ranks && arguments.patterns.empty();
  return mesh && placements && rank != arguments.all_ranks;
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  if (!asks_one_thing(arguments)) {
    return fail(ErrorCode::InvalidArgument,
                "give --wanted FILE, or --mesh and --placements with --rank R or --all-ranks (and with that --by-file "
                "[--tsv])");
  }
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  if (arguments.all_ranks) return run_balance(arguments, *opened, context);
  const auto plan = make_plan(arguments, opened->file.view());
  if (!plan) return tl::unexpected(plan.error());
  context.globals.json ? print_json(context, *opened, *plan)
                       : print(context, opened->file.view(), *plan, arguments.full ? SIZE_MAX : kPlanRows);
  return plan->loadable() ? Exit::Yes : Exit::No;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("--mesh", arguments->mesh, "Ranks per dimension of the device mesh: 8x4").type_name("MESH");
  command.add_option("PATTERN", arguments->patterns,
                     "Only FQNs that match one of these: *, ?, [a-z]; * matches dots too");
  command
      .add_option("--placements", arguments->placements,
                  "A placement per dimension of the mesh: S0,R; 'PATTERN=S1,R' for some FQNs, of which the first\n"
                  "that matches counts")
      .type_name("LIST");
  command.add_option("--rank", arguments->rank, "The rank that loads").type_name("R");
  command.add_flag("--all-ranks", arguments->all_ranks, "How the load spreads over all ranks of the mesh");
  command.add_flag("--by-file", arguments->by_file, "With --all-ranks: the bytes that each rank reads of each file");
  command.add_flag("--tsv", arguments->tsv, "With --by-file: numbers between tabs");
  command.add_flag("--full", arguments->full, "Every row of a long table");
  command.add_option("--wanted", arguments->wanted, "What a rank wants, as JSON").type_name("FILE");
  command.add_flag("--partial", arguments->partial, "FQNs that the checkpoint lacks are no error");
  command.add_option("--gap", arguments->gap, "Read ranges at most this far apart at once")
      .type_name("BYTES")
      .shows_default("0");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kPlan;
const Verb kPlan{
    "plan", "Which bytes a rank needs, or the load of all ranks",
    "  flatpoint plan ckpt/ --mesh 8x4 --placements S0,R --rank 3\n"
    "  flatpoint plan ckpt/ --mesh 8x4 --placements S0,R --all-ranks\n"
    "  flatpoint plan ckpt/ 'model.*' --mesh 8 --placements S0 --placements '*.o_proj.*=S1' --all-ranks --by-file\n"
    "  flatpoint plan ckpt/ --wanted wanted.json --json\n"
    "where wanted.json is [{\"fqn\": \"w\", \"size\": [8, 4], \"dtype\": \"bfloat16\", \"boxes\": [[[0, "
    "0], [4, 4]]]},\n"
    "{\"fqn\": \"step\"}]: boxes are offsets and sizes, and an FQN without a size is bytes.\n",
    declare};

}  // namespace flatpoint::tool
