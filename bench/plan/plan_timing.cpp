// bench/plan/plan_timing.cpp - times flatpoint's planner on a `.metadata`. plan.py runs it beside torch and prints the
// table.
//
// plan_timing rank METADATA WORLD RANK: a rank's plan, all ranks' plans, the balance; everything sharded on dimension
// 0. plan_timing boxes METADATA BOXES: one tensor's plan; BOXES holds per box offsets and sizes as int64. plan_timing
// coverage METADATA: coverage of every tensor, from explicit boxes and from the file.
//
// Prints one JSON object: medians and minima in nanoseconds.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "flatpoint/coverage.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"

using namespace flatpoint;

namespace {

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "plan_timing: %s\n", message.c_str());
  std::exit(1);
}

template <class T>
T value(Result<T> result) {
  if (!result) die(result.error().message);
  return std::move(*result);
}

MetadataFile import_metadata(const char* path) {
  return value(MetadataFile::from_buffer(std::move(value(dcp::import_file(path)).bytes)));
}

/// CPU time of this thread: what neighbours on the same machine take does not count.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// Runs `work` for about half a second, at least 5 and at most 200 times after one warm-up.
void time(const char* name, const std::function<void()>& work) {
  std::vector<double> laps;
  work();
  const double start = now();
  while (laps.size() < 5 || (laps.size() < 200 && now() - start < 5e8)) {
    const double begin = now();
    work();
    laps.push_back(now() - begin);
  }
  std::sort(laps.begin(), laps.end());
  std::printf("\"%s\": {\"median\": %.0f, \"min\": %.0f, \"n\": %zu}, ", name, laps[laps.size() / 2], laps[0],
              laps.size());
}

/// Everything that a rank of a one-dimensional mesh holds under Shard(0), in DCP's order: what a loader has at hand.
class WantedAll {
 public:
  WantedAll(const MetadataView& metadata, std::int64_t world, std::int64_t rank) {
    for (std::uint32_t i = 0; i < metadata.size(); ++i) {
      const auto entry = metadata.entry_in_dcp_order(i);
      Wanted one;
      one.fqn = names_.emplace_back(entry->fqn());
      one.type = entry->type();
      if (const auto tensor = entry->tensor()) {
        one.size = numbers_.emplace_back(tensor->size().begin(), tensor->size().end());
        one.dtype = tensor->dtype();
        const std::vector<std::int64_t> mesh = {world};
        const std::vector<Placement> placements = {tensor->ndim() == 0 ? Placement(Replicate{}) : Placement(Shard{0})};
        const auto box = value(local_box(one.size, mesh, placements, rank));
        Size values = box.offsets;
        values.insert(values.end(), box.sizes.begin(), box.sizes.end());
        one.boxes = numbers_.emplace_back(std::move(values));
        one.box_count = 1;
      }
      wanted.push_back(one);
    }
  }
  std::vector<Wanted> wanted;

 private:
  std::deque<std::string> names_;
  std::deque<Size> numbers_;
};

void rank_plans(const MetadataView& metadata, std::int64_t world, std::uint32_t rank) {
  const WantedAll all(metadata, world, rank);
  const std::vector<std::int64_t> mesh = {world};
  const std::vector<Placement> placements = {Shard{0}};
  time("plan_boxes", [&] { value(plan_load(metadata, all.wanted)); });
  time("plan_mesh", [&] { value(value(MeshPlanner::create(metadata, mesh, placements)).plan(rank)); });
  LoadPlan plan;
  time("all_plans", [&] {
    auto planner = value(MeshPlanner::create(metadata, mesh, placements));
    for (std::uint32_t r = 0; r < planner.rank_count(); ++r) {
      if (const auto done = planner.plan(r, plan); !done) die(done.error().message);
    }
  });
  time("balance", [&] { value(value(MeshPlanner::create(metadata, mesh, placements)).balance()); });
  plan = value(plan_load(metadata, all.wanted));
  std::printf("\"items\": %u, \"reads\": %zu, \"needed_bytes\": %llu", plan.size(), plan.reads().size(),
              static_cast<unsigned long long>(plan.needed_bytes()));
}

void plan_boxes(const MetadataView& metadata, const char* path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  Size boxes(bytes.size() / sizeof(std::int64_t));
  std::copy_n(bytes.data(), boxes.size() * sizeof(std::int64_t), reinterpret_cast<char*>(boxes.data()));
  const auto tensor = metadata.entry(0)->tensor();
  const std::size_t ndim = tensor->ndim();
  Wanted one;
  one.fqn = tensor->fqn();
  one.size = tensor->size();
  one.boxes = boxes;
  one.box_count = static_cast<std::uint32_t>(boxes.size() / (2 * ndim));
  time("plan", [&] { value(plan_load(metadata, {&one, 1})); });
  const OverlapIndex index(*tensor);
  std::size_t hits = 0;
  time("overlaps", [&] {
    hits = 0;
    for (std::size_t at = 0; at < boxes.size(); at += 2 * ndim) {
      const auto box = std::span(boxes).subspan(at, 2 * ndim);
      for (Overlaps hit(*tensor, box.first(ndim), box.last(ndim), &index); !hit.done(); hit.next()) ++hits;
    }
  });
  std::printf("\"items\": %u, \"hits\": %zu, \"indexed\": %s", value(plan_load(metadata, {&one, 1})).size(), hits,
              index.empty() ? "false" : "true");
}

void coverage(const MetadataView& metadata) {
  struct Boxes {
    Size size;
    Size boxes;
    std::uint32_t count;
  };
  std::vector<Boxes> tensors;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto tensor = metadata.entry_in_dcp_order(i)->tensor();
    if (!tensor) continue;
    Boxes& to =
        tensors.emplace_back(Boxes{Size(tensor->size().begin(), tensor->size().end()), {}, tensor->chunk_count()});
    for (std::uint32_t chunk = 0; chunk < to.count; ++chunk) {
      const auto box = tensor->chunk(chunk)->to_value();
      to.boxes.insert(to.boxes.end(), box.offsets.begin(), box.offsets.end());
      to.boxes.insert(to.boxes.end(), box.sizes.begin(), box.sizes.end());
    }
  }
  std::size_t tiled = 0;
  time("boxes", [&] {
    tiled = 0;
    for (const Boxes& t : tensors) tiled += check_coverage(t.size, t.count, t.boxes).tiles;
  });
  time("stored", [&] { value(check_coverage(metadata)); });
  std::printf("\"tensors\": %zu, \"tiled\": %zu", tensors.size(), tiled);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[1] : "";
  if (argc != (command == "rank" ? 5 : command == "boxes" ? 4 : command == "coverage" ? 3 : 0))
    die("see the head of its source");
  const MetadataFile file = import_metadata(argv[2]);
  std::printf("{");
  if (command == "rank") rank_plans(file.view(), std::atoll(argv[3]), static_cast<std::uint32_t>(std::atoll(argv[4])));
  if (command == "boxes") plan_boxes(file.view(), argv[3]);
  if (command == "coverage") coverage(file.view());
  std::printf("}\n");
}
