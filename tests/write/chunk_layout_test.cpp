// Which layout a list of boxes gets, and that the layout gives back the boxes.
#include "write/chunk_layout.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <random>
#include <set>

#include "support/model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;
using write::ChunkLayoutFinder;

namespace flatpoint {
static std::ostream& operator<<(std::ostream& out, ChunkLayout layout) {
  static constexpr const char* kNames[] = {"Whole", "Explicit", "Grid", "EvenGrid"};
  return out << kNames[static_cast<int>(layout)];
}
}  // namespace flatpoint

BOOST_AUTO_TEST_SUITE(chunk_layout)

using Boxes = std::vector<ChunkStorageMetadata>;
using Values = std::vector<std::int64_t>;

struct Found {
  ChunkLayout layout;
  Values values;
  std::vector<std::uint32_t> order;
  std::vector<std::uint32_t> chunk_of_row;
};

Found find(ChunkLayoutFinder& finder, const Size& size, const Boxes& boxes) {
  Values flat;
  for (const auto& box : boxes) {
    flat.insert(flat.end(), box.offsets.begin(), box.offsets.end());
    flat.insert(flat.end(), box.sizes.begin(), box.sizes.end());
  }
  finder.find(size, flat, static_cast<std::uint32_t>(boxes.size()));
  const auto copy = [](auto span) { return std::vector(span.begin(), span.end()); };
  return {finder.layout(), copy(finder.values()), copy(finder.order()), copy(finder.chunk_of_row())};
}

Found find(const Size& size, const Boxes& boxes) {
  ChunkLayoutFinder finder;
  return find(finder, size, boxes);
}

void check(const Size& size, const Boxes& boxes, ChunkLayout layout, const Values& values, bool reordered = false) {
  const Found found = find(size, boxes);
  BOOST_TEST(found.layout == layout);
  BOOST_TEST(found.values == values, boost::test_tools::per_element());
  BOOST_TEST(found.order.empty() == !reordered);
  BOOST_TEST(found.chunk_of_row.empty() == !reordered);
  for (std::uint32_t i = 0; i < found.order.size(); ++i) BOOST_TEST(found.chunk_of_row.at(found.order[i]) == i);
}

BOOST_AUTO_TEST_CASE(one_chunk) {
  check({4, 6}, {{{0, 0}, {4, 6}}}, ChunkLayout::Whole, {});
  check({}, {{{}, {}}}, ChunkLayout::Whole, {});
  check({0}, {{{0}, {0}}}, ChunkLayout::Whole, {});
  check({4}, {{{0}, {3}}}, ChunkLayout::Explicit, {0, 3});
  check({4}, {{{1}, {3}}}, ChunkLayout::Explicit, {1, 3});
  check({4}, {{{-1}, {4}}}, ChunkLayout::Explicit, {-1, 4});
}

BOOST_AUTO_TEST_CASE(without_dimensions) { check({}, Boxes(3), ChunkLayout::Explicit, {}); }

BOOST_AUTO_TEST_CASE(even_grids) {
  check({8}, even_grid({8}, {4}), ChunkLayout::EvenGrid, {4, 2});
  check({7}, even_grid({7}, {4}), ChunkLayout::EvenGrid, {4, 2});  // the last is shorter
  check({7, 10}, even_grid({7, 10}, {4, 1}), ChunkLayout::EvenGrid, {4, 1, 2, 10});
  check({7, 10, 3}, even_grid({7, 10, 3}, {2, 3, 3}), ChunkLayout::EvenGrid, {2, 3, 3, 4, 4, 1});
  check({5}, even_grid({5}, {4}), ChunkLayout::EvenGrid, {4, 2});  // 2 2 1 0
  check({3}, even_grid({3}, {8}), ChunkLayout::EvenGrid, {8, 1});  // five empty ones at the end
  check({0}, even_grid({0}, {3}), ChunkLayout::EvenGrid, {3, 0});
  check({0, 5}, even_grid({0, 5}, {3, 1}), ChunkLayout::EvenGrid, {3, 1, 0, 5});
  check({3, 4}, even_grid({3, 4}, {8, 1}), ChunkLayout::EvenGrid, {8, 1, 1, 4});
}

BOOST_AUTO_TEST_CASE(uneven_grids) {
  check({8}, grid({{0, 3, 8}}), ChunkLayout::Grid, {2, 0, 3, 8});
  check({8}, grid({{0, 2, 2, 8}}), ChunkLayout::Grid, {3, 0, 2, 2, 8});  // an empty cell inside
  check({9}, grid({{2, 4, 6}}), ChunkLayout::Grid, {2, 2, 4, 6});        // starts behind 0
  check({9}, grid({{0, 4, 8}}), ChunkLayout::EvenGrid, {2, 4});          // even, although it ends before the end
  check({7}, grid({{0, 4, 8}}), ChunkLayout::Grid, {2, 0, 4, 8});        // ends behind it
  check({8, 9}, grid({{0, 3, 8}, {0, 4, 9}}), ChunkLayout::Grid, {2, 2, 0, 3, 8, 0, 4, 9});
  check({8, 9}, grid({{0, 3, 8}, {0, 9}}), ChunkLayout::Grid, {2, 1, 0, 3, 8, 0, 9});
}

BOOST_AUTO_TEST_CASE(grids_in_another_order) {
  const Boxes cells = even_grid({8, 6}, {4, 2});
  Boxes shuffled;
  for (const std::size_t i : {5U, 0U, 7U, 2U, 1U, 6U, 3U, 4U}) shuffled.push_back(cells[i]);
  check({8, 6}, shuffled, ChunkLayout::EvenGrid, {4, 2, 2, 3}, true);
  const Found found = find({8, 6}, shuffled);
  BOOST_TEST(found.order == (std::vector<std::uint32_t>{5, 0, 7, 2, 1, 6, 3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_no_grid) {
  check({8}, {{{0}, {2}}, {{4}, {4}}}, ChunkLayout::Explicit, {0, 2, 4, 4});                    // a hole
  check({8}, {{{0}, {5}}, {{4}, {4}}}, ChunkLayout::Explicit, {0, 5, 4, 4});                    // an overlap
  check({8}, {{{0}, {8}}, {{0}, {8}}}, ChunkLayout::Explicit, {0, 8, 0, 8});                    // replicas
  check({8}, {{{0}, {-4}}, {{-4}, {4}}}, ChunkLayout::Explicit, {-4, 4, 0, -4}, true);          // a negative size
  check({4, 4}, {{{0, 0}, {2, 4}}, {{2, 0}, {2, 2}}, {{2, 2}, {2, 2}}}, ChunkLayout::Explicit,  // an L
        {0, 0, 2, 4, 2, 0, 2, 2, 2, 2, 2, 2});
  Boxes ragged = even_grid({4, 4}, {2, 2});
  ragged[3].sizes[1] = 1;
  BOOST_TEST(find({4, 4}, ragged).layout == ChunkLayout::Explicit);
  Boxes missing = even_grid({6, 6}, {3, 3});
  missing.pop_back();
  BOOST_TEST(find({6, 6}, missing).layout == ChunkLayout::Explicit);
  missing.push_back(missing[0]);
  BOOST_TEST(find({6, 6}, missing).layout == ChunkLayout::Explicit);
}

BOOST_AUTO_TEST_CASE(chunks_at_one_place_keep_dcps_order) {
  const Boxes boxes{{{4}, {4}}, {{0}, {4}}, {{4}, {1}}, {{4}, {0}}};
  check({8}, boxes, ChunkLayout::Explicit, {0, 4, 4, 4, 4, 1, 4, 0}, true);
}

BOOST_AUTO_TEST_CASE(numbers_at_the_ends_of_int64) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  check({kMax}, {{{0}, {kMax}}}, ChunkLayout::Whole, {});
  check({kMax}, {{{0}, {kMax - 1}}, {{kMax - 1}, {1}}}, ChunkLayout::EvenGrid, {2, kMax - 1});
  check({kMax}, {{{0}, {kMax}}, {{kMax}, {kMax}}}, ChunkLayout::Explicit, {0, kMax, kMax, kMax});  // ends behind int64
  check({5}, {{{kMin}, {kMax}}, {{-1}, {6}}}, ChunkLayout::Grid, {2, kMin, -1, 5});
  check({-3}, {{{0}, {1}}, {{1}, {1}}}, ChunkLayout::Grid, {2, 0, 1, 2});
}

BOOST_AUTO_TEST_CASE(rank_255) {
  Size size(255, 1);
  size[254] = 6;
  Size parts(255, 1);
  parts[254] = 3;
  const Found found = find(size, even_grid(size, parts));
  BOOST_TEST(found.layout == ChunkLayout::EvenGrid);
  BOOST_TEST(found.values.size() == 510U);
}

BOOST_AUTO_TEST_CASE(a_finder_keeps_nothing_between_tensors) {
  ChunkLayoutFinder finder;
  Boxes backwards = even_grid({8, 6}, {4, 2});
  std::reverse(backwards.begin(), backwards.end());
  find(finder, {8, 6}, backwards);
  const Found second = find(finder, {8}, even_grid({8}, {2}));
  BOOST_TEST(second.layout == ChunkLayout::EvenGrid);
  BOOST_TEST(second.order.empty());
  BOOST_TEST(second.chunk_of_row.empty());
  BOOST_TEST(second.values == (Values{2, 4}), boost::test_tools::per_element());
}

// It tries the order of the tensor before first.
BOOST_AUTO_TEST_CASE(a_used_finder_sorts_like_a_new_one) {
  std::mt19937 random(11);
  ChunkLayoutFinder used;
  Boxes boxes;
  for (int round = 0; round < 2000; ++round) {
    const Size size{8, 6};
    if (boxes.empty() || random() % 2 == 0) {
      boxes = even_grid(size, {4, 1 + static_cast<std::int64_t>(random() % 3)});
      std::shuffle(boxes.begin(), boxes.end(), random);
    }
    if (random() % 4 == 0) std::swap(boxes[random() % boxes.size()], boxes[random() % boxes.size()]);
    if (random() % 4 == 0) boxes[random() % boxes.size()].offsets = boxes[random() % boxes.size()].offsets;
    const Found one = find(used, size, boxes);
    ChunkLayoutFinder fresh;
    const Found other = find(fresh, size, boxes);
    BOOST_TEST(one.layout == other.layout);
    BOOST_TEST(one.values == other.values);
    BOOST_TEST(one.order == other.order);
    BOOST_TEST(one.chunk_of_row == other.chunk_of_row);
    BOOST_TEST((used.equal_offsets() == fresh.equal_offsets()));
    std::set<Size> offsets;
    for (const auto& box : boxes) offsets.insert(box.offsets);
    BOOST_TEST(used.equal_offsets().has_value() == (offsets.size() < boxes.size()));
  }
}

BOOST_AUTO_TEST_SUITE_END()
