// Answers cases that pytest writes: a line of JSON in, ["name", arguments...], a line of JSON out.
#include <iostream>
#include <map>
#include <set>

#include "flatpoint/coverage.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"
#include "metadata_json.hpp"

using nlohmann::json;
using namespace flatpoint;

namespace {

Size flat(const json& boxes) {
  Size values;
  for (const auto& box : boxes) {
    for (const auto& part : box) {
      for (const auto& value : part) values.push_back(value);
    }
  }
  return values;
}

json hit_json(const Overlaps& hit, std::size_t ndim, std::uint32_t chunk) {
  json begin = json::array(), in_chunk = json::array(), in_box = json::array(), lengths = json::array();
  for (std::size_t d = 0; d < ndim; ++d) {
    begin.push_back(hit.begin(d));
    in_chunk.push_back(hit.chunk_offset(d));
    in_box.push_back(hit.box_offset(d));
    lengths.push_back(hit.length(d));
  }
  return {chunk, begin, in_chunk, in_box, lengths};
}

const char* layout_name(ChunkLayout layout) {
  constexpr const char* kNames[] = {"whole", "explicit", "grid", "even"};
  return kNames[static_cast<std::size_t>(layout)];
}

// Chunks of a tensor against boxes: per box the hits, with chunks numbered in DCP's order; without and with an index.
json overlaps(const json& arguments) {
  const auto file = tests::file_from({{"entries", {arguments[1]}}});
  const TensorView tensor = tests::tensor_at(file, 0);
  const OverlapIndex index(tensor);
  json answer = {
      {"layout", layout_name(tensor.row().chunk_layout)}, {"plain", json::array()}, {"indexed", json::array()}};
  for (const auto& box : arguments[2]) {
    const Size offsets = box[0], sizes = box[1];
    for (const auto& [name, with] :
         {std::pair("plain", static_cast<const OverlapIndex*>(nullptr)), std::pair("indexed", &index)}) {
      json hits = json::array();
      for (Overlaps hit(tensor, offsets, sizes, with); !hit.done(); hit.next()) {
        hits.push_back(hit_json(hit, tensor.ndim(), tests::dcp_number(tensor, hit.chunk())));
      }
      answer[name].push_back(hits);
    }
  }
  return answer;
}

json coverage_json(const Coverage& coverage) {
  json findings = json::array();
  constexpr const char* kKinds[] = {"outside", "overlap", "hole", "empty_inside"};
  for (const auto& f : coverage.findings) {
    findings.push_back(
        {kKinds[static_cast<std::size_t>(f.kind)], f.chunk, f.other, f.box.offsets, f.box.sizes, to_string(f)});
  }
  return {{"tiles", coverage.tiles}, {"findings", findings}};
}

// The same chunks as a list and as a file keeps them (there chunks are numbered by rows).
json coverage(const json& arguments) {
  const auto file = tests::file_from({{"entries", {arguments[1]}}});
  const TensorView tensor = tests::tensor_at(file, 0);
  const Size size = arguments[1].at("size");
  const Size boxes = flat(arguments[1].at("chunks"));
  const auto count = static_cast<std::uint32_t>(arguments[1].at("chunks").size());
  return {{"layout", layout_name(tensor.row().chunk_layout)},
          {"list", coverage_json(check_coverage(size, count, boxes))},
          {"file", coverage_json(check_coverage(tensor))}};
}

json coverage_of_file(const json& arguments) {
  const auto file = tests::file_from(arguments[1]);
  const auto report = check_coverage(file.view());
  if (!report) return {{"error", report.error().message}};
  json findings = json::array();
  for (const Finding& finding : report->findings) findings.push_back({finding.kind, finding.message});
  return {{"tensors", report->tensors},
          {"not_tiled", report->not_tiled},
          {"not_judged", report->not_judged},
          {"findings", findings},
          {"suppressed", report->suppressed}};
}

json index_json(const MetadataIndex& index) {
  return {index.fqn, index.offset ? json(*index.offset) : json(), index.index ? json(*index.index) : json()};
}

json plan_json(const MetadataView& metadata, const LoadPlan& plan) {
  json items = json::array(), reads = json::array(), issues = json::array(), unexpected = json::array();
  for (std::uint32_t i = 0; i < plan.size(); ++i) {
    const auto view = plan.item(i);
    const ReadItem item = view.to_value();
    items.push_back({item.type == LoadItemType::Bytes ? "BYTE_IO" : "TENSOR", index_json(item.dest_index),
                     item.dest_offsets, index_json(item.storage_index), item.storage_offsets, item.lengths,
                     std::string(*metadata.file_name(view.file())), view.byte_offset(), view.length()});
  }
  for (const FileRead& read : plan.reads()) {
    reads.push_back(
        {std::string(*metadata.file_name(read.file)), read.byte_offset, read.length, read.item_begin, read.item_count});
  }
  for (const LoadIssue& issue : plan.issues())
    issues.push_back({to_string(issue.kind), issue.fatal, issue.fqn, issue.message});
  for (const std::uint32_t position : plan.unexpected()) unexpected.push_back(metadata.entry(position)->fqn());
  return {{"items", items},
          {"reads", reads},
          {"issues", issues},
          {"unexpected", unexpected},
          {"loadable", plan.loadable()},
          {"files", plan.file_count()},
          {"needed_bytes", plan.needed_bytes()},
          {"stored_bytes", plan.stored_bytes()},
          {"read_bytes", plan.read_bytes()}};
}

// A `.metadata` of torch by its path, or metadata as JSON.
MetadataFile file_of(const json& source) {
  if (!source.is_string()) return tests::file_from(source);
  auto imported = dcp::import_file(source.get<std::string>());
  return std::move(MetadataFile::from_buffer(std::move(imported.value().bytes)).value());
}

LoadOptions options_from(const json& options) {
  return {options.value("strict", true), options.value("max_gap", std::uint64_t{0})};
}

// Metadata, wanted FQNs ({"fqn", "size", "dtype", "boxes"} or {"fqn"} for bytes), options.
json load_plan(const json& arguments) {
  const auto file = file_of(arguments[1]);
  std::deque<std::string> names;
  std::deque<Size> numbers;
  std::vector<Wanted> wanted;
  for (const auto& one : arguments[2]) {
    Wanted& to = wanted.emplace_back();
    to.fqn = names.emplace_back(one.at("fqn"));
    if (!one.contains("size")) {
      to.type = StorageType::Bytes;
      continue;
    }
    to.size = numbers.emplace_back(one.at("size"));
    to.boxes = numbers.emplace_back(flat(one.at("boxes")));
    to.box_count = one.value("box_count", static_cast<std::uint32_t>(one.at("boxes").size()));
    if (one.contains("dtype")) to.dtype = scalar_type_from_name(one.at("dtype").get<std::string>());
  }
  const auto made = plan_load(file.view(), wanted, options_from(arguments[3]));
  if (!made) return {{"error", {to_string(made.error().code), made.error().message}}};
  return plan_json(file.view(), *made);
}

// Metadata, mesh, placements, ranks, options: the ranks' plans, one after the other in the memory of the one before.
json mesh_plans(const json& arguments) {
  const auto file = file_of(arguments[1]);
  const auto placements = parse_placements(arguments[3].get<std::string>());
  auto planner = MeshPlanner::create(file.view(), arguments[2].get<Size>(), *placements, options_from(arguments[5]));
  if (!planner) return {{"error", {to_string(planner.error().code), planner.error().message}}};
  json plans = json::array();
  LoadPlan reused;
  for (const std::uint32_t rank : arguments[4]) {
    const auto done = planner->plan(rank, reused);
    if (!done) return {{"error", {to_string(done.error().code), done.error().message}}};
    plans.push_back(plan_json(file.view(), reused));
  }
  return plans;
}

json rank_load_json(const RankLoad& load) { return {load.items, load.needed_bytes, load.stored_bytes, load.files}; }

// Metadata, mesh, placements: the balance, and what the plans of all ranks add up to.
json balance(const json& arguments) {
  const auto file = file_of(arguments[1]);
  const auto placements = parse_placements(arguments[3].get<std::string>());
  auto planner = MeshPlanner::create(file.view(), arguments[2].get<Size>(), *placements);
  if (!planner) return {{"error", {to_string(planner.error().code), planner.error().message}}};
  const auto made = planner->balance();
  if (!made) return {{"error", {to_string(made.error().code), made.error().message}}};
  json ranks = json::array(), files = json::array(), from_plans = json::array();
  json issues = json::array(), issues_from_plans = json::array();
  const auto add_issue = [](json& to, const LoadIssue& issue) {
    to.push_back({to_string(issue.kind), issue.fatal, issue.fqn});
  };
  for (const LoadIssue& issue : made->issues) add_issue(issues, issue);
  for (const RankLoad& load : made->ranks) ranks.push_back(rank_load_json(load));
  for (const FileLoad& load : made->files) files.push_back({load.bytes, load.ranks});
  std::vector<FileLoad> file_loads(file.view().file_count());
  for (std::uint32_t rank = 0; rank < planner->rank_count(); ++rank) {
    const auto plan = planner->plan(rank);
    for (const LoadIssue& issue : plan->issues()) add_issue(issues_from_plans, issue);
    from_plans.push_back(
        rank_load_json({plan->size(), plan->needed_bytes(), plan->stored_bytes(), plan->file_count()}));
    std::set<std::uint32_t> seen;
    for (std::uint32_t i = 0; i < plan->size(); ++i) {
      file_loads[plan->item(i).file()].bytes += plan->item(i).length();
      if (seen.insert(plan->item(i).file()).second) ++file_loads[plan->item(i).file()].ranks;
    }
  }
  json files_from_plans = json::array();
  for (const FileLoad& load : file_loads) files_from_plans.push_back({load.bytes, load.ranks});
  return {{"ranks", ranks},
          {"files", files},
          {"total", rank_load_json(made->total)},
          {"most_loaded_rank", made->most_loaded_rank},
          {"most_loaded_file", made->most_loaded_file},
          {"chunks_unstored", made->chunks_unstored},
          {"loadable", made->loadable()},
          {"issues", issues},
          {"issues_from_plans", issues_from_plans},
          {"read_amplification", made->read_amplification()},
          {"ranks_from_plans", from_plans},
          {"files_from_plans", files_from_plans}};
}

}  // namespace

int main() {
  const std::map<std::string, json (*)(const json&)> answers = {
      {"overlaps", overlaps},   {"coverage", coverage},     {"coverage_of_file", coverage_of_file},
      {"load_plan", load_plan}, {"mesh_plans", mesh_plans}, {"balance", balance}};
  std::string line;
  while (std::getline(std::cin, line)) {
    const json arguments = json::parse(line);
    std::cout << answers.at(arguments[0])(arguments).dump() << '\n';
  }
}
