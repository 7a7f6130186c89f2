// Look-ups, overlaps, coverage and plans against counting elements.
#include "reference/reference.hpp"

#include <set>

#include "flatpoint/coverage.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"

using namespace flatpoint;
using namespace flatpoint::reference;

namespace {

using Issue = std::tuple<std::string, bool, std::string>;  // kind, fatal, FQN

std::optional<Place> place_of(const Lookup<StorageInfoView>& storage, const MetadataFile& file) {
  if (!storage) return std::nullopt;
  for (std::uint32_t i = 0; i < file.view().file_count(); ++i) {
    if (*file.view().file_name(i) == storage->relative_path())
      return Place{i, storage->byte_offset(), storage->length()};
  }
  BOOST_FAIL("a file that the checkpoint does not have");
  return std::nullopt;
}

/// The number in the file of a file of the checkpoint; there they are numbered by first use.
std::optional<Place> renumbered(std::optional<Place> place, const Checkpoint& checkpoint, const MetadataFile& file) {
  for (std::uint32_t i = 0; place && i < file.view().file_count(); ++i) {
    if (*file.view().file_name(i) == checkpoint.files[place->file]) {
      place->file = i;
      return place;
    }
  }
  return place;
}

/// What one rank wants of a tensor, of which chunk, and what is wrong with that.
struct Expected {
  std::map<Size, int> reads;  // per element wanted, from how many stored chunks
  std::set<Issue> issues;
};

Expected expect_of(const Entry& entry, const Chunk& wanted) {
  Expected out;
  std::size_t held = 0;
  for_each_element(wanted.offsets, wanted.sizes, [&](const Size& element) {
    out.reads[element] = 0;
    for (const Chunk& chunk : entry.chunks) {
      if (!chunk.holds(element)) continue;
      ++held;
      out.reads[element] += place_at(entry, chunk.offsets).has_value();
    }
  });
  if (held < out.reads.size()) out.issues.emplace("uncovered", false, entry.fqn);
  for (const Chunk& chunk : entry.chunks) {
    if (overlaps_as_torch(chunk, wanted) && !place_at(entry, chunk.offsets))
      out.issues.emplace("no_storage", true, entry.fqn);
  }
  return out;
}

std::set<Issue> issues_of(std::span<const LoadIssue> issues) {
  std::set<Issue> out;
  for (const LoadIssue& issue : issues) out.emplace(to_string(issue.kind), issue.fatal, issue.fqn);
  return out;
}

/// Follows each item, element by element, from the chunk to what is wanted.
std::map<std::string, std::map<Size, int>> reads_of(const LoadPlan& plan, const Checkpoint& checkpoint,
                                                    const MetadataFile& file) {
  std::map<std::string, std::map<Size, int>> reads;
  for (std::uint32_t i = 0; i < plan.size(); ++i) {
    const ReadItemView view = plan.item(i);
    const ReadItem item = view.to_value();
    const auto entry = std::ranges::find(checkpoint.entries, item.storage_index.fqn, &Entry::fqn);
    const Place at{view.file(), view.byte_offset(), view.length()};
    if (item.type == LoadItemType::Bytes) {
      BOOST_TEST((renumbered(entry->place, checkpoint, file) == at));
      continue;
    }
    BOOST_TEST((renumbered(place_at(*entry, *item.storage_index.offset), checkpoint, file) == at));
    for_each_element(zeros(item.lengths), item.lengths, [&](const Size& element) {
      Size in_chunk = element, in_box = element;
      for (std::size_t d = 0; d < element.size(); ++d) {
        in_chunk[d] += (*item.storage_index.offset)[d] + item.storage_offsets[d];
        in_box[d] += (*item.dest_index.offset)[d] + item.dest_offsets[d];
      }
      BOOST_TEST((in_chunk == in_box));
      ++reads[entry->fqn][in_box];
    });
  }
  return reads;
}

Placement placement_of(const MeshDim& dim) {
  if (dim.dim < 0) return Replicate{};
  return dim.split_factor > 1 ? Placement(StridedShard{dim.dim, dim.split_factor}) : Placement(Shard{dim.dim});
}

/// What one rank reads, and what is wrong with that. Nothing where what it holds of some tensor is no box.
struct RankReads {
  std::set<Issue> issues;
  std::map<std::string, std::map<Size, int>> reads;
};
std::optional<RankReads> expect_of_rank(const Checkpoint& checkpoint, const std::vector<MeshDim>& mesh,
                                        std::int64_t rank) {
  RankReads out;
  for (const Entry& entry : checkpoint.entries) {
    if (entry.kind == Kind::Opaque) out.issues.emplace("type_mismatch", true, entry.fqn);
    if (entry.kind == Kind::Bytes && !entry.place) out.issues.emplace("no_storage", true, entry.fqn);
    if (entry.kind != Kind::Tensor) continue;
    const auto wanted = box_of(entry.size, indices_of(entry.size, mesh, rank));
    if (!wanted) return std::nullopt;
    Expected expected = expect_of(entry, *wanted);
    out.issues.merge(expected.issues);
    std::erase_if(expected.reads, [](const auto& read) { return read.second == 0; });
    if (!expected.reads.empty()) out.reads[entry.fqn] = expected.reads;
  }
  return out;
}

bool is_fatal(const Issue& issue) { return std::get<1>(issue); }

}  // namespace

BOOST_AUTO_TEST_SUITE(reference_answers)

BOOST_AUTO_TEST_CASE(look_ups) {
  Random random(1);
  int absent = 0, found = 0;
  for (int round = 0; round < 2000; ++round) {
    const Checkpoint checkpoint = random_checkpoint(random, pick(random, 1, 4), 20);
    const MetadataFile file = checkpoint.write();
    for (const Entry& entry : checkpoint.entries) {
      const auto view = file.view().find(entry.fqn);
      BOOST_REQUIRE(view.found());
      BOOST_TEST(view->tensor().found() == (entry.kind == Kind::Tensor));
      const auto bytes = file.view().find(MetadataIndex{entry.fqn, {}, {}});
      BOOST_TEST((place_of(bytes, file) == renumbered(entry.place, checkpoint, file)));
      if (entry.kind != Kind::Tensor) continue;
      const auto tensor = *view->tensor();
      BOOST_TEST(tensor.chunk_count() == entry.chunks.size());
      for (std::uint32_t i = 0; i < entry.chunks.size(); ++i) {
        const ChunkStorageMetadata chunk = tensor.chunk(i)->to_value();
        BOOST_TEST((chunk.offsets == entry.chunks[i].offsets && chunk.sizes == entry.chunks[i].sizes));
        BOOST_TEST((place_of(tensor.chunk(i)->storage(), file) ==
                    renumbered(place_at(entry, chunk.offsets), checkpoint, file)));
      }
      for (int probe = 0; probe < 6; ++probe) {
        Size offset = entry.size;
        for (std::int64_t& n : offset) n = pick(random, 0, n);
        const bool exists = std::ranges::find(entry.chunks, offset, &Chunk::offsets) != entry.chunks.end();
        (exists ? found : absent)++;
        BOOST_TEST(tensor.find_chunk(offset).found() == exists);
        BOOST_TEST((place_of(file.view().find(MetadataIndex{entry.fqn, offset, {}}), file) ==
                    renumbered(place_at(entry, offset), checkpoint, file)));
      }
    }
    BOOST_TEST(file.view().find("b.0").absent());
  }
  BOOST_TEST(absent > 1000);
  BOOST_TEST(found > 1000);
}

BOOST_AUTO_TEST_CASE(overlaps) {
  Random random(2);
  for (int round = 0; round < 2500; ++round) {
    Checkpoint checkpoint{{"f"}, {random_tensor(random, "w")}};
    const Entry& entry = checkpoint.entries[0];
    const MetadataFile file = checkpoint.write();
    const TensorView tensor = tests::tensor_at(file, 0);
    const OverlapIndex index(tensor);
    for (int query = 0; query < 3; ++query) {
      Chunk box;
      for (const std::int64_t n : entry.size) {
        box.offsets.push_back(pick(random, -1, n));
        box.sizes.push_back(pick(random, 0, n + 1));
      }
      std::multiset<Size> expected;
      std::map<Size, int> elements;
      for (const Chunk& chunk : entry.chunks) {
        if (!overlaps_as_torch(chunk, box)) continue;
        expected.insert(chunk.offsets);
        for_each_element(box.offsets, box.sizes, [&](const Size& e) { elements[e] += chunk.holds(e); });
      }
      std::erase_if(elements, [](const auto& element) { return element.second == 0; });
      for (const OverlapIndex* with : {static_cast<const OverlapIndex*>(nullptr), &index}) {
        std::multiset<Size> hits;
        std::map<Size, int> shared;
        for (Overlaps hit(tensor, box.offsets, box.sizes, with); !hit.done(); hit.next()) {
          hits.insert(tensor.chunk_by_row(hit.chunk())->to_value().offsets);
          Size begin, length;
          for (std::size_t d = 0; d < entry.size.size(); ++d) {
            begin.push_back(hit.begin(d));
            length.push_back(hit.length(d));
          }
          for_each_element(begin, length, [&](const Size& e) { ++shared[e]; });
        }
        BOOST_TEST((hits == expected));
        BOOST_TEST((shared == elements));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(coverage) {
  Random random(3);
  std::map<std::string, int> seen;
  for (int round = 0; round < 4000; ++round) {
    Checkpoint checkpoint{{"f"}, {random_tensor(random, "w")}};
    const Entry& entry = checkpoint.entries[0];
    bool hole = false, overlap = false;
    for (const auto& [element, count] : holders(entry)) {
      hole |= count == 0;
      overlap |= count > 1;
    }
    // A tensor without dimensions has one element, which every chunk holds.
    const bool outside =
        std::ranges::any_of(entry.chunks, [&](const Chunk& chunk) { return reaches_outside(chunk, entry.size); });
    const MetadataFile file = checkpoint.write();
    const Coverage got = check_coverage(tests::tensor_at(file, 0), {.max_findings = 1000});
    BOOST_TEST(got.tiles == (!hole && !overlap && !outside));
    std::set<CoverageProblem> kinds;
    for (const CoverageFinding& finding : got.findings) kinds.insert(finding.kind);
    BOOST_TEST(kinds.contains(CoverageProblem::Hole) == hole);
    BOOST_TEST(kinds.contains(CoverageProblem::Overlap) == overlap);
    BOOST_TEST(kinds.contains(CoverageProblem::Outside) == outside);
    seen["hole"] += hole, seen["overlap"] += overlap, seen["outside"] += outside, seen["tiles"] += got.tiles;
  }
  for (const auto& [kind, number] : seen) BOOST_TEST_CONTEXT(kind) BOOST_TEST(number > 40);
}

BOOST_AUTO_TEST_CASE(plans_of_one_rank_and_of_all) {
  Random random(4);
  std::map<std::string, int> seen;
  for (int round = 0; round < 1500; ++round) {
    const Checkpoint checkpoint = random_checkpoint(random, pick(random, 1, 5), chance(random, 30) ? 20 : 0);
    const MetadataFile file = checkpoint.write();
    const auto mesh = random_mesh(random, round % 3 == 0 ? 60 : 0);
    Size shape;
    std::vector<Placement> placements;
    for (const MeshDim& dim : mesh) {
      shape.push_back(dim.parts);
      placements.push_back(placement_of(dim));
    }
    std::vector<std::optional<RankReads>> expected;
    for (std::int64_t rank = 0; rank < rank_count(mesh); ++rank)
      expected.push_back(expect_of_rank(checkpoint, mesh, rank));
    const bool all_boxes = std::ranges::all_of(expected, [](const auto& rank) { return rank.has_value(); });

    auto planner = MeshPlanner::create(file.view(), shape, placements);
    BOOST_REQUIRE(planner.has_value() == expected[0].has_value());
    if (!planner) {
      BOOST_TEST((planner.error().code == ErrorCode::InvalidArgument));
      ++seen["no box"];
      continue;
    }
    std::set<Issue> of_all;
    std::uint64_t items = 0;
    for (std::uint32_t rank = 0; rank < expected.size(); ++rank) {
      const auto plan = planner->plan(rank);
      BOOST_REQUIRE(plan.has_value() == expected[rank].has_value());
      if (!plan) continue;
      BOOST_TEST((issues_of(plan->issues()) == expected[rank]->issues));
      BOOST_TEST((reads_of(*plan, checkpoint, file) == expected[rank]->reads));
      BOOST_TEST(plan->loadable() == std::ranges::none_of(expected[rank]->issues, is_fatal));
      items += plan->size();
      of_all.merge(expected[rank]->issues);
    }
    const auto balance = planner->balance();
    BOOST_REQUIRE(balance.has_value() == all_boxes);
    ++seen[all_boxes ? "boxes" : "no box"];
    if (!all_boxes) continue;
    seen["strided"] += std::ranges::any_of(mesh, [](const MeshDim& dim) { return dim.split_factor > 1; });
    BOOST_TEST((issues_of(balance->issues) == of_all));
    BOOST_TEST(balance->issues.size() == of_all.size());
    BOOST_TEST(balance->loadable() == std::ranges::none_of(of_all, is_fatal));
    BOOST_TEST(balance->total.items == items);
    for (const Issue& issue : of_all) ++seen[std::get<0>(issue)];
  }
  for (const char* kind : {"no_storage", "type_mismatch", "uncovered", "boxes", "no box", "strided"})
    BOOST_TEST_CONTEXT(kind) BOOST_TEST(seen[kind] > 50);
}

BOOST_AUTO_TEST_SUITE_END()
