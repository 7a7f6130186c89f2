// Planning over files that break their promises: errors and odd answers, never a crash or a blow-up.
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>

#include "flatpoint/coverage.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"
#include "metadata_json.hpp"

using namespace flatpoint;
using nlohmann::json;

namespace {

const std::vector<std::int64_t> kMesh = {2, 3};
const std::vector<Placement> kPlacements = {Shard{0}, Shard{1}};

json sample() {
  json grid = json::array();
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 2; ++j) grid.push_back({{i * 3, j * 5}, {3, 5}});
  }
  json even = json::array();
  for (int i = 0; i < 4; ++i) even.push_back({{i * 2}, {2}});
  return {{"files", {"a", "b", "c"}},
          {"entries",
           {{{"fqn", "a.bytes"}, {"storage", {{1, 0, 50}}}},
            {{"fqn", "b.even"},
             {"size", {8}},
             {"chunks", even},
             {"storage", {{0, 0, 8}, {1, 50, 8}, {2, 0, 9}, {0, 20, 8}}}},
            {{"fqn", "c.grid"}, {"size", {9, 10}}, {"chunks", grid}},
            {{"fqn", "d.rows"}, {"size", {8, 10}}, {"chunks", {{{0, 0}, {8, 5}}, {{0, 5}, {3, 5}}, {{3, 5}, {5, 5}}}}},
            {{"fqn", "e.whole"}, {"size", {4, 4}}, {"chunks", {{{0, 0}, {4, 4}}}}},
            {{"fqn", "f.scalar"}, {"size", json::array()}, {"chunks", {{json::array(), json::array()}}}}}}};
}

/// A copy of a file whose bytes may be changed; columns lie where they lay.
class Altered {
 public:
  explicit Altered(const MetadataFile& file) : bytes_(file.bytes().size()) {
    std::memcpy(bytes_.mutable_bytes().data(), file.bytes().data(), bytes_.size());
    file_.emplace(MetadataFile::from_bytes(bytes_.bytes()).value());
  }
  [[nodiscard]] MetadataView view() const { return file_->view(); }
  [[nodiscard]] std::span<std::byte> bytes() { return bytes_.mutable_bytes(); }
  /// An element of a column, writable.
  template <class T>
  T& at(std::span<const T> column, std::size_t i) {
    return const_cast<T&>(column[i]);
  }

 private:
  Buffer bytes_;
  std::optional<MetadataFile> file_;
};

/// Asks everything that planning can answer.
std::size_t plan_everything(const MetadataView& metadata) {
  std::size_t answers = 0;
  if (const auto report = check_coverage(metadata)) answers += report->findings.size();
  std::vector<Wanted> wanted;
  std::deque<Size> boxes;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry(i);
    if (!entry) continue;
    Wanted one;
    one.fqn = entry->fqn();
    one.type = entry->type();
    if (const auto tensor = entry->tensor()) {
      one.size = tensor->size();
      Size& values = boxes.emplace_back(one.size.size(), 0);
      values.insert(values.end(), one.size.begin(), one.size.end());
      one.boxes = values;
      one.box_count = 1;
    }
    wanted.push_back(one);
  }
  if (const auto plan = plan_load(metadata, wanted)) {
    for (std::uint32_t i = 0; i < plan->size(); ++i) answers += plan->item(i).to_value().lengths.size();
  }
  auto planner = MeshPlanner::create(metadata, kMesh, kPlacements);
  if (!planner) return answers;
  for (std::uint32_t rank = 0; rank < planner->rank_count(); ++rank) {
    if (const auto plan = planner->plan(rank)) answers += plan->size();
  }
  if (const auto balance = planner->balance()) answers += balance->ranks.size();
  return answers;
}

std::string error_of_plan(const MetadataView& metadata, std::string_view fqn, const Size& size) {
  Size box(size.size(), 0);
  box.insert(box.end(), size.begin(), size.end());
  Wanted one{.fqn = fqn, .type = StorageType::Tensor, .size = size, .box_count = 1, .boxes = box, .dtype = {}};
  const auto plan = plan_load(metadata, {&one, 1});
  return plan ? "" : std::string(to_string(plan.error().code)) + ": " + plan.error().message;
}

std::string error_of_mesh(const MetadataView& metadata) {
  auto planner = MeshPlanner::create(metadata, kMesh, kPlacements);
  if (!planner) return planner.error().message;
  const auto plan = planner->plan(0);
  const auto balance = planner->balance();
  BOOST_TEST(plan.has_value() == balance.has_value());
  return plan ? "" : plan.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(broken_files)

BOOST_AUTO_TEST_CASE(random_bytes_change) {
  const auto file = tests::file_from(sample());
  std::mt19937 random(1);  // NOLINT: the same every time
  std::size_t answers = 0;
  for (int round = 0; round < 3000; ++round) {
    Altered altered(file);
    for (int change = 0; change < 3; ++change) {
      const auto at = std::uniform_int_distribution<std::size_t>(0, altered.bytes().size() - 1)(random);
      altered.bytes()[at] = static_cast<std::byte>(random());
    }
    answers += plan_everything(altered.view());
  }
  BOOST_TEST(answers > 0U);
}

BOOST_AUTO_TEST_CASE(random_numbers_change) {
  const auto file = tests::file_from(sample());
  constexpr std::int64_t kOdd[] = {0,
                                   1,
                                   -1,
                                   3,
                                   1LL << 32,
                                   1LL << 62,
                                   std::numeric_limits<std::int64_t>::max(),
                                   std::numeric_limits<std::int64_t>::min()};
  std::mt19937 random(2);  // NOLINT: the same every time
  std::size_t answers = 0;
  for (int round = 0; round < 3000; ++round) {
    Altered altered(file);
    const Columns& columns = altered.view().columns();
    const auto pick = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    for (int change = 0; change < 2; ++change) {
      const std::int64_t odd = kOdd[pick(std::size(kOdd))];
      switch (pick(5)) {
        case 0: altered.at(columns.sizes, pick(columns.sizes.size())) = odd; break;
        case 1: altered.at(columns.boxes, pick(columns.boxes.size())) = odd; break;
        case 2:
          altered.at(columns.chunk_files, pick(columns.chunk_files.size())) = static_cast<std::uint32_t>(odd);
          break;
        case 3:
          altered.at(columns.chunk_byte_offsets, pick(columns.chunk_byte_offsets.size())) =
              static_cast<std::uint64_t>(odd);
          break;
        default:
          altered.at(columns.chunk_lengths, pick(columns.chunk_lengths.size())) = static_cast<std::uint64_t>(odd);
      }
    }
    answers += plan_everything(altered.view());
  }
  BOOST_TEST(answers > 0U);
}

BOOST_AUTO_TEST_CASE(a_file_number_beyond_the_files) {
  Altered altered(tests::file_from(sample()));
  const auto row = altered.view().find("b.even")->row();
  altered.at(altered.view().columns().chunk_files, row.chunk_begin + 1) = 7;
  BOOST_TEST(error_of_plan(altered.view(), "b.even", {8}) == "corrupt: FQN 'b.even': chunk 1 lies in file 7 of 3");
  BOOST_TEST(!error_of_mesh(altered.view()).empty());
}

BOOST_AUTO_TEST_CASE(a_range_beyond_64_bits) {
  Altered altered(tests::file_from(sample()));
  const auto row = altered.view().find("b.even")->row();
  altered.at(altered.view().columns().chunk_byte_offsets, row.chunk_begin) = ~std::uint64_t{0};
  BOOST_TEST(error_of_plan(altered.view(), "b.even", {8}) ==
             "corrupt: FQN 'b.even': chunk 0 lies at byte 18446744073709551615 with 8 bytes, beyond 64 bits");
}

BOOST_AUTO_TEST_CASE(chunks_of_negative_size) {
  Altered altered(tests::file_from(sample()));
  const auto row = altered.view().find("d.rows")->row();
  altered.at(altered.view().columns().boxes, row.box_begin) = 3;
  altered.at(altered.view().columns().boxes, row.box_begin + 2) = -2;  // ends before it begins
  BOOST_TEST(error_of_plan(altered.view(), "d.rows", {8, 10}) ==
             "corrupt: FQN 'd.rows': the checkpoint states chunks of negative size");
  BOOST_TEST(error_of_mesh(altered.view()) ==
             "FQN 'd.rows' of size [8, 10]: the checkpoint states chunks of negative size");
}

/// Its points are all at the size, and its chunks empty: a box that holds the point inside overlaps each of them.
BOOST_AUTO_TEST_CASE(an_even_grid_of_negative_size) {
  Altered altered(tests::file_from(sample()));
  const auto entry = altered.view().find("b.even");
  altered.at(altered.view().columns().sizes, entry->row().size_begin) = -5;
  const auto tensor = entry->tensor();
  BOOST_REQUIRE(tensor.found());
  const auto hits = [&](std::int64_t begin, std::int64_t length) {
    const Size offsets = {begin};
    const Size sizes = {length};
    std::size_t count = 0;
    for (Overlaps hit(*tensor, offsets, sizes); !hit.done(); hit.next()) ++count;
    return count;
  };
  BOOST_TEST(hits(-10, 8) == 4U);
  BOOST_TEST(hits(-10, 5) == 0U);
  BOOST_TEST(hits(-5, 8) == 0U);
  BOOST_TEST(hits(-6, 2) == 4U);
}

BOOST_AUTO_TEST_CASE(entries_that_share_rows) {
  Altered altered(tests::file_from(sample()));
  const auto& entries = altered.view().columns().entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    altered.at(entries, i) = entries[2];  // the grid, six times its rows
  }
  const std::string expected = "FQN 'c.grid': its rows belong to other FQNs as well";
  BOOST_TEST(check_coverage(altered.view()).error().message == expected);
  BOOST_TEST(MeshPlanner::create(altered.view(), kMesh, kPlacements).error().message == expected);
}

BOOST_AUTO_TEST_CASE(after_an_error_a_plan_is_empty) {
  const auto file = tests::file_from(sample());
  auto planner = MeshPlanner::create(file.view(), kMesh, kPlacements).value();
  LoadPlan plan;
  BOOST_TEST(planner.plan(1, plan).has_value());
  BOOST_TEST(plan.size() > 0U);
  BOOST_TEST(!planner.plan(6, plan).has_value());
  BOOST_TEST(plan.size() == 0U);
  BOOST_TEST(planner.plan(1, plan).has_value());
  const auto& files = file.view().columns().chunk_files;
  const_cast<std::uint32_t&>(files[0]) = 99;
  BOOST_TEST(!planner.plan(0, plan).has_value());
  BOOST_TEST(plan.size() == 0U);
  BOOST_TEST(plan.reads().empty());
  BOOST_TEST(plan.issues().empty());
}

BOOST_AUTO_TEST_SUITE_END()
