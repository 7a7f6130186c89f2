// flatpoint plan - which bytes does a rank need, and how does the load spread over all of them?
#include <charconv>
#include <memory>

#include "arguments.hpp"
#include "checkpoint.hpp"
#include "describe.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "table.hpp"
#include "wanted_file.hpp"

namespace flatpoint::tool {
namespace {

struct Arguments {
  std::string checkpoint;
  std::string mesh;
  std::string placements;
  std::optional<std::uint32_t> rank;
  std::string wanted;
  bool all_ranks = false;
  bool partial = false;
  std::uint64_t gap = 0;
};

/// "8x4" as numbers; the planner says what is wrong with them.
Result<Size> parse_mesh(std::string_view text) {
  Size mesh;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (;;) {
    std::int64_t number = 0;
    const auto [after, error] = std::from_chars(at, end, number);
    if (error != std::errc() || (after != end && *after != 'x')) {
      return fail(ErrorCode::InvalidArgument, fmt::format("--mesh: expected numbers like 8x4, not '{}'", text));
    }
    mesh.push_back(number);
    if (after == end) return mesh;
    at = after + 1;
  }
}

Result<MeshPlanner> mesh_planner(const MetadataView& metadata, const Arguments& arguments, const LoadOptions& options) {
  const auto mesh = parse_mesh(arguments.mesh);
  if (!mesh) return tl::unexpected(mesh.error());
  const auto placements = parse_placements(arguments.placements);
  if (!placements) return tl::unexpected(placements.error());
  return MeshPlanner::create(metadata, *mesh, *placements, options);
}

std::string file_text(const MetadataView& metadata, std::uint32_t file) {
  const auto name = metadata.file_name(file);
  return name ? printable(*name) : fmt::format("file {}", file);
}

std::string amplification_text(std::uint64_t stored, std::uint64_t needed) {
  if (needed == 0) return "nothing is needed";
  return fmt::format("read amplification {:.2f} (bytes stored for each byte needed)",
                     static_cast<double>(stored) / static_cast<double>(needed));
}

/// The reads of one file, summed up.
struct FileRow {
  std::uint32_t file;
  std::uint64_t items = 0;
  std::uint64_t reads = 0;
  std::uint64_t bytes = 0;
};

std::vector<FileRow> by_file(const LoadPlan& plan) {
  std::vector<FileRow> rows;
  for (const FileRead& read : plan.reads()) {
    if (rows.empty() || rows.back().file != read.file) rows.push_back({read.file});
    rows.back().items += read.item_count;
    rows.back().bytes += read.length;
    ++rows.back().reads;
  }
  return rows;
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

void print_issues(Context& context, std::span<const LoadIssue> issues) {
  for (const LoadIssue& issue : issues) {
    context.out.print("{} {}: {}\n", issue.fatal ? "error" : "note", to_string(issue.kind),
                      printable(issue.message, Backslash::Keep));
  }
}

void print(Context& context, const MetadataView& metadata, const LoadPlan& plan) {
  constexpr std::array kColumns{Column{"file"}, Column{"items", Align::Right}, Column{"reads", Align::Right},
                                Column{"bytes", Align::Right}};
  const auto rows = by_file(plan);
  if (!rows.empty()) {
    print_table(context.out, kColumns, rows.size(), [&](std::uint64_t i, Cells& cells) {
      cells.add(file_text(metadata, rows[i].file));
      cells.add(grouped(rows[i].items));
      cells.add(grouped(rows[i].reads));
      cells.add(human_size(rows[i].bytes));
    });
    context.out.write("\n");
  }
  context.out.print("{} in {} of {}\n", counted(plan.size(), "item", "items"),
                    counted(plan.reads().size(), "read", "reads"), counted(plan.file_count(), "file", "files"));
  context.out.print("needed {}, stored {}, read {}: {}\n", human_size(plan.needed_bytes()),
                    human_size(plan.stored_bytes()), human_size(plan.read_bytes()),
                    amplification_text(plan.stored_bytes(), plan.needed_bytes()));
  print_unexpected(context, metadata, plan.unexpected());
  print_issues(context, plan.issues());
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
  json.end();
}

void write_issues(Json& json, std::span<const LoadIssue> issues) {
  json.key("issues").begin_array(Json::Style::Lines);
  for (const LoadIssue& issue : issues) {
    json.begin_object();
    json.member("kind", to_string(issue.kind));
    json.member("fatal", issue.fatal);
    json.member("fqn", issue.fqn);
    json.member("message", issue.message);
    json.end();
  }
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

void print(Context& context, const MetadataView& metadata, const LoadBalance& balance) {
  constexpr std::array kColumns{Column{"rank", Align::Right}, Column{"items", Align::Right},
                                Column{"files", Align::Right}, Column{"needed", Align::Right},
                                Column{"stored", Align::Right}};
  print_table(context.out, kColumns, balance.ranks.size(), [&](std::uint64_t rank, Cells& cells) {
    const RankLoad& load = balance.ranks[rank];
    cells.add(grouped(rank));
    cells.add(grouped(load.items));
    cells.add(grouped(load.files));
    cells.add(human_size(load.needed_bytes));
    cells.add(human_size(load.stored_bytes));
  });
  const RankLoad& total = balance.total;
  context.out.print("\n{} of {}: {}\n", counted(total.items, "item", "items"), counted(total.files, "file", "files"),
                    amplification_text(total.stored_bytes, total.needed_bytes));
  const RankLoad& rank = balance.ranks[balance.most_loaded_rank];
  const double mean = static_cast<double>(total.stored_bytes) / static_cast<double>(balance.ranks.size());
  context.out.print("most loaded rank: {} with {}{}\n", balance.most_loaded_rank, human_size(rank.stored_bytes),
                    mean > 0 ? fmt::format(", {:.2f} of the mean", static_cast<double>(rank.stored_bytes) / mean) : "");
  if (total.files > 0) {
    const FileLoad& file = balance.files[balance.most_loaded_file];
    context.out.print("most loaded file: {} with {} for {}\n", file_text(metadata, balance.most_loaded_file),
                      human_size(file.bytes), counted(file.ranks, "rank", "ranks"));
  }
  if (balance.chunks_unstored > 0) {
    context.out.print("{} without storage information, counted for each rank\n",
                      counted(balance.chunks_unstored, "chunk", "chunks"));
  }
  print_issues(context, balance.issues);
}

void write_load(Json& json, const RankLoad& load) {
  json.member("items", load.items);
  json.member("files", load.files);
  json.member("needed_bytes", load.needed_bytes);
  json.member("stored_bytes", load.stored_bytes);
}

void print_json(Context& context, const dcp::OpenedCheckpoint& opened, const LoadBalance& balance) {
  const MetadataView metadata = opened.file.view();
  Json json(context.out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("loadable", balance.loadable());
  write_issues(json, balance.issues);
  write_load(json, balance.total);
  json.member("read_amplification", balance.read_amplification());
  json.member("most_loaded_rank", balance.most_loaded_rank);
  if (balance.total.files > 0) json.member("most_loaded_file", *metadata.file_name(balance.most_loaded_file));
  json.member("chunks_unstored", balance.chunks_unstored);
  json.key("ranks").begin_array(Json::Style::Lines);
  for (const RankLoad& load : balance.ranks) {
    json.begin_object();
    write_load(json, load);
    json.end();
  }
  json.end();
  json.key("file_loads").begin_array(Json::Style::Lines);
  for (std::uint32_t file = 0; file < balance.files.size(); ++file) {
    json.begin_object();
    json.member("relative_path", metadata.file_name(file) ? *metadata.file_name(file) : std::string_view());
    json.member("bytes", balance.files[file].bytes);
    json.member("ranks", balance.files[file].ranks);
    json.end();
  }
  json.end();
  json.end();
}

Result<Exit> run_balance(const Arguments& arguments, const dcp::OpenedCheckpoint& opened, Context& context) {
  auto planner = mesh_planner(opened.file.view(), arguments, {});
  if (!planner) return tl::unexpected(planner.error());
  const auto balance = planner->balance();
  if (!balance) return tl::unexpected(balance.error());
  context.globals.json ? print_json(context, opened, *balance) : print(context, opened.file.view(), *balance);
  return balance->loadable() ? Exit::Yes : Exit::No;
}

Result<LoadPlan> make_plan(const Arguments& arguments, const MetadataView& metadata) {
  const LoadOptions options{!arguments.partial, arguments.gap};
  if (!arguments.wanted.empty()) {
    const auto file = WantedFile::read(arguments.wanted);
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
  if (!arguments.wanted.empty()) return !mesh && !placements && !rank && !arguments.all_ranks;
  return mesh && placements && rank != arguments.all_ranks;
}

Result<Exit> run(const Arguments& arguments, Context& context) {
  if (!asks_one_thing(arguments)) {
    return fail(ErrorCode::InvalidArgument,
                "give --wanted FILE, or --mesh and --placements with --rank R or --all-ranks");
  }
  const auto opened = open(context, arguments.checkpoint);
  if (!opened) return tl::unexpected(opened.error());
  if (arguments.all_ranks) return run_balance(arguments, *opened, context);
  const auto plan = make_plan(arguments, opened->file.view());
  if (!plan) return tl::unexpected(plan.error());
  context.globals.json ? print_json(context, *opened, *plan) : print(context, opened->file.view(), *plan);
  return plan->loadable() ? Exit::Yes : Exit::No;
}

Run declare(Command& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_checkpoint(command, arguments->checkpoint);
  command.add_option("--mesh", arguments->mesh, "Ranks per dimension of the device mesh: 8x4").type_name("MESH");
  command.add_option("--placements", arguments->placements, "A placement per dimension of the mesh: S0,R")
      .type_name("LIST");
  command.add_option("--rank", arguments->rank, "The rank that loads").type_name("R");
  command.add_flag("--all-ranks", arguments->all_ranks, "How the load spreads over all ranks of the mesh");
  command.add_option("--wanted", arguments->wanted, "What a rank wants, as JSON").type_name("FILE");
  command.add_flag("--partial", arguments->partial, "FQNs that the checkpoint lacks are no error");
  command.add_option("--gap", arguments->gap, "Read ranges at most this far apart at once")
      .type_name("BYTES")
      .shows_default("0");
  return [arguments](Context& context) { return run(*arguments, context); };
}

}  // namespace

extern const Verb kPlan;
const Verb kPlan{"plan", "Which bytes a rank needs, or the load of all ranks",
                 "  flatpoint plan ckpt/ --mesh 8x4 --placements S0,R --rank 3\n"
                 "  flatpoint plan ckpt/ --mesh 8x4 --placements S0,R --all-ranks\n"
                 "  flatpoint plan ckpt/ --wanted wanted.json --json\n"
                 "where wanted.json is [{\"fqn\": \"w\", \"size\": [8, 4], \"dtype\": \"bfloat16\", \"boxes\": [[[0, "
                 "0], [4, 4]]]},\n"
                 "{\"fqn\": \"step\"}]: boxes are offsets and sizes, and an FQN without a size is bytes.\n",
                 declare};

}  // namespace flatpoint::tool
