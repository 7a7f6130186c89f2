#include "flatpoint/overlap.hpp"

#include <boost/test/unit_test.hpp>

#include "metadata_json.hpp"

using namespace flatpoint;
using nlohmann::json;

namespace {

std::vector<std::uint32_t> chunks(const TensorView& tensor, const Size& offsets, const Size& sizes,
                                  const OverlapIndex* index = nullptr) {
  std::vector<std::uint32_t> found;
  for (Overlaps hit(tensor, offsets, sizes, index); !hit.done(); hit.next()) found.push_back(hit.chunk());
  return found;
}

MetadataFile one(const Size& size, const json& boxes) {
  return tests::file_from({{"entries", {{{"fqn", "w"}, {"size", size}, {"chunks", boxes}}}}});
}

// 0 1 | 2     rows of 3 and 5, columns of 4, 4 and 2
const json kGrid = {{{0, 0}, {3, 4}}, {{0, 4}, {3, 4}}, {{0, 8}, {3, 2}},
                    {{3, 0}, {5, 4}}, {{3, 4}, {5, 4}}, {{3, 8}, {5, 2}}};

// No grid: a left half, and a right half of two.
const json kTee = {{{0, 0}, {8, 5}}, {{0, 5}, {3, 5}}, {{3, 5}, {5, 5}}};

}  // namespace

BOOST_AUTO_TEST_SUITE(overlap)

BOOST_AUTO_TEST_CASE(a_hit_has_its_place_in_tensor_chunk_and_box) {
  const auto file = one({8, 10}, kGrid);
  const Size offsets = {2, 5}, sizes = {4, 2};
  Overlaps hit(tests::tensor_at(file, 0), offsets, sizes);
  BOOST_TEST(!hit.done());
  BOOST_TEST(hit.chunk() == 1U);
  BOOST_TEST((Size{hit.begin(0), hit.begin(1)} == Size{2, 5}));
  BOOST_TEST((Size{hit.chunk_offset(0), hit.chunk_offset(1)} == Size{2, 1}));
  BOOST_TEST((Size{hit.box_offset(0), hit.box_offset(1)} == Size{0, 0}));
  BOOST_TEST((Size{hit.length(0), hit.length(1)} == Size{1, 2}));
  hit.next();
  BOOST_TEST(hit.chunk() == 4U);
  BOOST_TEST((Size{hit.chunk_offset(0), hit.box_offset(0), hit.length(0)} == Size{0, 1, 3}));
  hit.next();
  BOOST_TEST(hit.done());
}

BOOST_AUTO_TEST_CASE(grids_and_rows_answer_in_ascending_order) {
  const auto grid = one({8, 10}, kGrid);
  const TensorView tensor = tests::tensor_at(grid, 0);
  BOOST_TEST((tensor.row().chunk_layout == ChunkLayout::Grid));
  BOOST_TEST((chunks(tensor, {0, 0}, {8, 10}) == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}));
  BOOST_TEST((chunks(tensor, {3, 4}, {1, 5}) == std::vector<std::uint32_t>{4, 5}));
  BOOST_TEST(chunks(tensor, {8, 0}, {0, 10}).empty());
  const auto tee = one({8, 10}, kTee);
  BOOST_TEST((tests::tensor_at(tee, 0).row().chunk_layout == ChunkLayout::Explicit));
  BOOST_TEST((chunks(tests::tensor_at(tee, 0), {2, 4}, {2, 2}) == std::vector<std::uint32_t>{0, 1, 2}));
  BOOST_TEST((chunks(tests::tensor_at(tee, 0), {4, 5}, {2, 2}) == std::vector<std::uint32_t>{2}));
}

BOOST_AUTO_TEST_CASE(an_empty_box_overlaps_where_it_lies_strictly_inside) {
  const auto file = one({8, 10}, kGrid);
  BOOST_TEST((chunks(tests::tensor_at(file, 0), {1, 1}, {0, 2}) == std::vector<std::uint32_t>{0}));
  BOOST_TEST(chunks(tests::tensor_at(file, 0), {3, 1}, {0, 2}).empty());
}

BOOST_AUTO_TEST_CASE(scalars_always_overlap) {
  const auto whole = one({}, {{json::array(), json::array()}});
  BOOST_TEST(chunks(tests::tensor_at(whole, 0), {}, {}).size() == 1U);
  const auto none = one({}, json::array());
  BOOST_TEST(chunks(tests::tensor_at(none, 0), {}, {}).empty());
  const auto twice = one({}, {{json::array(), json::array()}, {json::array(), json::array()}});
  BOOST_TEST(chunks(tests::tensor_at(twice, 0), {}, {}).size() == 2U);
}

BOOST_AUTO_TEST_CASE(works_up_to_255_dimensions) {
  constexpr std::size_t kRank = 255;
  Size size(kRank, 2);
  json boxes = json::array();
  for (std::int64_t i = 0; i < 2; ++i) {
    Size offsets(kRank, 0), sizes(kRank, 2);
    offsets[200] = i;
    sizes[200] = 1;
    boxes.push_back({offsets, sizes});
  }
  const auto grid = one(size, boxes);
  Size offsets(kRank, 0);
  offsets[200] = 1;
  BOOST_TEST((chunks(tests::tensor_at(grid, 0), Size(kRank, 0), size) == std::vector<std::uint32_t>{0, 1}));
  BOOST_TEST((chunks(tests::tensor_at(grid, 0), offsets, Size(kRank, 1)) == std::vector<std::uint32_t>{1}));
  boxes.push_back(boxes[1]);  // no grid any more
  const auto rows = one(size, boxes);
  const OverlapIndex index(tests::tensor_at(rows, 0));
  BOOST_TEST((chunks(tests::tensor_at(rows, 0), offsets, Size(kRank, 1)) == std::vector<std::uint32_t>{1, 2}));
  BOOST_TEST(chunks(tests::tensor_at(rows, 0), offsets, Size(kRank, 1), &index).size() == 2U);
}

BOOST_AUTO_TEST_CASE(an_index_of_a_grid_stays_empty) {
  const auto grid = one({8, 10}, kGrid);
  BOOST_TEST(OverlapIndex(tests::tensor_at(grid, 0)).empty());
  const auto tee = one({8, 10}, kTee);
  const OverlapIndex index(tests::tensor_at(tee, 0));
  BOOST_TEST(!index.empty());
  const Size offsets = {4, 6}, sizes = {1, 1};
  const Overlaps hit(index, offsets, sizes);
  BOOST_TEST(hit.chunk() == 2U);
  BOOST_TEST(hit.chunk_offset(1) == 1);
}

BOOST_AUTO_TEST_CASE(an_index_of_nothing_has_no_hits) {
  const OverlapIndex index;
  BOOST_TEST(Overlaps(index, {}, {}).done());
}

BOOST_AUTO_TEST_CASE(many_equal_boxes_neither_recurse_nor_vanish) {
  constexpr std::uint32_t kCount = 5000;
  Size boxes;
  for (std::uint32_t i = 0; i < kCount; ++i) boxes.insert(boxes.end(), {1, 1, 2, 2});
  const OverlapIndex index(2, kCount, boxes);
  const Size offsets = {2, 2}, sizes = {9, 9};
  std::uint32_t found = 0;
  for (Overlaps hit(index, offsets, sizes); !hit.done(); hit.next()) ++found;
  BOOST_TEST(found == kCount);
}

BOOST_AUTO_TEST_SUITE_END()
