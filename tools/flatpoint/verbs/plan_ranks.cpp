// The half of `flatpoint plan` about all ranks of a mesh.
#include <algorithm>

#include "plan.hpp"
#include "table.hpp"

namespace flatpoint::tool {
namespace {

void write_load(Json& json, const RankLoad& load) {
  json.member("items", load.items);
  json.member("files", load.files);
  json.member("needed_bytes", load.needed_bytes);
  json.member("stored_bytes", load.stored_bytes);
}

/// A row of the matrix: bytes by file.
std::vector<std::uint64_t> bytes_by_file(const LoadPlan& plan, std::uint32_t files) {
  std::vector<std::uint64_t> bytes(files, 0);
  for (const FileRead& read : plan.reads()) bytes[read.file] += read.length;
  return bytes;
}

/// Calls visit(rank, bytes by file) for the first `ranks` ranks.
template <class Visit>
Result<void> for_each_rank(MeshPlanner& planner, std::uint32_t files, std::uint32_t ranks, Visit&& visit) {
  LoadPlan plan;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    if (auto done = planner.plan(rank, plan); !done) return done;
    visit(rank, bytes_by_file(plan, files));
  }
  return {};
}

/// The files that somebody reads.
std::vector<std::uint32_t> files_read(const LoadBalance& balance) {
  std::vector<std::uint32_t> files;
  for (std::uint32_t file = 0; file < balance.files.size(); ++file) {
    if (balance.files[file].ranks > 0) files.push_back(file);
  }
  return files;
}

Result<void> print_matrix_table(Output& out, const MetadataView& metadata, MeshPlanner& planner,
                                std::vector<std::uint32_t> files, std::size_t most) {
  const std::size_t all_files = files.size();
  files.resize(std::min(files.size(), most));
  const auto ranks = static_cast<std::uint32_t>(std::min<std::size_t>(planner.rank_count(), most));
  std::vector<std::vector<std::uint64_t>> rows;
  auto done =
      for_each_rank(planner, metadata.file_count(), ranks, [&](std::uint32_t, std::vector<std::uint64_t> bytes) {
        std::vector<std::uint64_t> row;
        for (const std::uint32_t file : files) row.push_back(bytes[file]);
        rows.push_back(std::move(row));
      });
  if (!done) return done;
  std::vector<std::string> titles;
  for (const std::uint32_t file : files) titles.push_back(file_text(metadata, file));
  std::vector<Column> columns{Column{"rank", Align::Right}};
  for (const std::string& title : titles) columns.push_back({title, Align::Right});
  print_table(out, columns, rows.size(), [&](std::uint64_t rank, Cells& cells) {
    cells.add(grouped(rank));
    for (const std::uint64_t bytes : rows[rank]) cells.add(bytes == 0 ? "." : human_size(bytes));
  });
  print_rest(out, planner.rank_count(), ranks, "rank");
  print_rest(out, all_files, files.size(), "file");
  return {};
}

}  // namespace

std::string file_text(const MetadataView& metadata, std::uint32_t file) {
  const auto name = metadata.file_name(file);
  return name ? printable(*name) : fmt::format("file {}", file);
}

std::string amplification_text(std::uint64_t stored, std::uint64_t needed) {
  if (needed == 0) return "nothing is needed";
  return fmt::format("read amplification {:.2f} (bytes stored for each byte needed)",
                     static_cast<double>(stored) / static_cast<double>(needed));
}

void print_rest(Output& out, std::size_t count, std::size_t shown, std::string_view what) {
  if (count > shown)
    out.print("... {} more {}{}; --full shows them\n", grouped(count - shown), what, count - shown == 1 ? "" : "s");
}

void print_issues(Output& out, std::span<const LoadIssue> issues, std::size_t most) {
  const std::size_t shown = std::min(issues.size(), most);
  for (const LoadIssue& issue : issues.first(shown)) {
    out.print("{} {}: {}\n", issue.fatal ? "error" : "note", to_string(issue.kind),
              printable(issue.message, Backslash::Keep));
  }
  print_rest(out, issues.size(), shown, "issue");
}

void write_issues(Json& json, std::span<const LoadIssue> issues) {
  json.member("issue_count", issues.size());
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

void print_balance(Output& out, const MetadataView& metadata, const LoadBalance& balance, std::size_t most) {
  constexpr std::array kColumns{Column{"rank", Align::Right}, Column{"items", Align::Right},
                                Column{"files", Align::Right}, Column{"needed", Align::Right},
                                Column{"stored", Align::Right}};
  const std::size_t shown = std::min(balance.ranks.size(), most);
  print_table(out, kColumns, shown, [&](std::uint64_t rank, Cells& cells) {
    const RankLoad& load = balance.ranks[rank];
    cells.add(grouped(rank));
    cells.add(grouped(load.items));
    cells.add(grouped(load.files));
    cells.add(human_size(load.needed_bytes));
    cells.add(human_size(load.stored_bytes));
  });
  print_rest(out, balance.ranks.size(), shown, "rank");
  const RankLoad& total = balance.total;
  out.print("\n{} of {}: {}\n", counted(total.items, "item", "items"), counted(total.files, "file", "files"),
            amplification_text(total.stored_bytes, total.needed_bytes));
  const RankLoad& rank = balance.ranks[balance.most_loaded_rank];
  const double mean = static_cast<double>(total.stored_bytes) / static_cast<double>(balance.ranks.size());
  out.print("most loaded rank: {} with {}{}\n", balance.most_loaded_rank, human_size(rank.stored_bytes),
            mean > 0 ? fmt::format(", {:.2f} of the mean", static_cast<double>(rank.stored_bytes) / mean) : "");
  if (total.files > 0) {
    const FileLoad& file = balance.files[balance.most_loaded_file];
    out.print("most loaded file: {} with {} for {}\n", file_text(metadata, balance.most_loaded_file),
              human_size(file.bytes), counted(file.ranks, "rank", "ranks"));
  }
  if (balance.chunks_unstored > 0) {
    out.print("{} without storage information, counted for each rank\n",
              counted(balance.chunks_unstored, "chunk", "chunks"));
  }
  print_issues(out, balance.issues, most);
}

void print_balance_json(Context& context, const dcp::OpenedCheckpoint& opened, const LoadBalance& balance) {
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
  for (std::size_t rank = 0; rank < balance.ranks.size(); ++rank) {
    json.begin_object();
    json.member("rank", rank);
    write_load(json, balance.ranks[rank]);
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

Result<void> print_matrix(Context& context, const dcp::OpenedCheckpoint& opened, MeshPlanner& planner,
                          const LoadBalance& balance, MatrixForm form, std::size_t most) {
  const MetadataView metadata = opened.file.view();
  Output& out = context.out;
  const auto files = files_read(balance);
  const auto name = [&](std::uint32_t file) { return metadata.file_name(file) ? *metadata.file_name(file) : "?"; };
  if (form == MatrixForm::Table) {
    auto done = print_matrix_table(out, metadata, planner, files, most);
    if (done) print_issues(out, balance.issues, most);
    return done;
  }
  if (form == MatrixForm::Tsv) {
    out.write("rank");
    for (const std::uint32_t file : files) out.print("\t{}", printable(name(file)));
    out.write("\n");
    return for_each_rank(planner, metadata.file_count(), planner.rank_count(),
                         [&](std::uint32_t rank, const std::vector<std::uint64_t>& bytes) {
                           out.print("{}", rank);
                           for (const std::uint32_t file : files) out.print("\t{}", bytes[file]);
                           out.write("\n");
                         });
  }
  Json json(out);
  json.begin_object(Json::Style::Lines);
  write_checkpoint(json, opened);
  json.member("loadable", balance.loadable());
  write_issues(json, balance.issues);
  json.key("files").begin_array(Json::Style::Lines);
  for (const std::uint32_t file : files) json.value(name(file));
  json.end();
  json.key("ranks").begin_array(Json::Style::Lines);
  auto done = for_each_rank(planner, metadata.file_count(), planner.rank_count(),
                            [&](std::uint32_t rank, const std::vector<std::uint64_t>& bytes) {
                              json.begin_object();
                              json.member("rank", rank);
                              json.key("bytes").begin_array();
                              for (const std::uint32_t file : files) json.value(bytes[file]);
                              json.end();
                              json.end();
                            });
  json.end();
  json.end();
  return done;
}

}  // namespace flatpoint::tool
