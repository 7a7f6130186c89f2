// What cuts: ends, planner paths, grids; and what overlaps.
#include <boost/test/unit_test.hpp>
#include <limits>
#include <string>
#include <vector>

#include "columns/boxes.hpp"
#include "columns/byte_ranges.hpp"
#include "columns/ends.hpp"
#include "columns/grid.hpp"
#include "columns/planner_path.hpp"
#include "columns/transform_lists.hpp"

using namespace flatpoint;
using namespace flatpoint::columns;

namespace {

using Numbers = std::vector<std::uint32_t>;

/// The pieces by number, and in order, as "begin+size".
std::string pieces(const Numbers& ends, std::size_t size, bool by_number) {
  std::string text;
  const auto add = [&](Piece piece) { text += std::to_string(piece.begin) + "+" + std::to_string(piece.size) + " "; };
  if (!by_number) return each_piece(std::span<const std::uint32_t>(ends), size, add) ? text : text + "broken";
  for (std::size_t i = 0; i <= ends.size(); ++i) {
    const auto piece = piece_at(std::span<const std::uint32_t>(ends), i, size);
    piece ? add(*piece) : static_cast<void>(text += "none ");
  }
  return text;
}

/// The components that a path cuts off an FQN, joined by '|'; "?" where it cannot, "+" where some are left.
std::string cut_up_name(std::string_view fqn, const std::vector<std::uint16_t>& counts) {
  std::vector<PathElementRow> path;
  for (const std::uint16_t count : counts) path.push_back({count, 0, 0});
  std::string text;
  auto rest = FqnRest::of(fqn, path);
  for (const std::uint16_t count : counts) {
    const auto taken = rest.take(count);
    if (!taken) return text + "?";
    text += std::string(*taken) + "|";
  }
  return rest.at_end ? text : text + "+";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cutting)

BOOST_AUTO_TEST_CASE(ends_cut_into_pieces) {
  for (const bool by_number : {false, true}) {
    BOOST_TEST(pieces({}, 0, by_number) == (by_number ? "none " : ""));
    BOOST_TEST(pieces({2, 2, 5}, 5, by_number) == (by_number ? "0+2 2+0 2+3 none " : "0+2 2+0 2+3 "));
  }
  // Broken ends: by number, each piece is judged alone; in order, what was taken is no longer than the whole.
  BOOST_TEST(pieces({4, 1, 4}, 4, true) == "0+4 none 1+3 none ");
  BOOST_TEST(pieces({4, 1, 4}, 4, false) == "0+4 broken");
  BOOST_TEST(pieces({3, 9}, 8, true) == "0+3 none none ");
  BOOST_TEST(pieces({3, 9}, 8, false) == "0+3 broken");
}

BOOST_AUTO_TEST_CASE(transform_lists_are_pieces_of_texts) {
  const std::vector<std::uint8_t> bytes{'a', 'b', 'c'};
  const Numbers ends{1, 3};
  const std::vector<TransformListRow> lists{{0, SequenceType::List, {}}, {2, SequenceType::Tuple, {}}};
  Columns columns;
  columns.transform_names = {bytes, ends};
  columns.transform_lists = lists;
  std::string text;
  const auto take = [&](std::span<const std::string_view> texts, SequenceType type) {
    text += type == SequenceType::Tuple ? "(" : "[";
    for (const std::string_view each : texts) text += std::string(each) + ",";
  };
  BOOST_TEST(each_transform_list(columns, take));
  BOOST_TEST(text == "[(a,bc,");
  BOOST_TEST(transform_list(columns, 1)->size == 2U);
  BOOST_TEST(!transform_list(columns, 2).has_value());
  const std::vector<TransformListRow> too_long{{3, SequenceType::List, {}}};
  columns.transform_lists = too_long;
  BOOST_TEST(!each_transform_list(columns, take));
  BOOST_TEST(!transform_list(columns, 0).has_value());
}

BOOST_AUTO_TEST_CASE(paths_cut_an_fqn) {
  BOOST_TEST(cut_up_name("a.b.c", {1, 1, 1}) == "a|b|c|");
  BOOST_TEST(cut_up_name("a.b.c", {2, 1}) == "a.b|c|");
  BOOST_TEST(cut_up_name("a.b.c", {3}) == "a.b.c|");
  BOOST_TEST(cut_up_name("a..c", {1, 1, 1}) == "a||c|");
  BOOST_TEST(cut_up_name("a.", {1, 1}) == "a||");
  BOOST_TEST(cut_up_name("", {1}) == "|");
  BOOST_TEST(cut_up_name("", {}) == "");
  BOOST_TEST(cut_up_name("a", {}) == "+");
  BOOST_TEST(cut_up_name("a.b", {1}) == "a|+");
  BOOST_TEST(cut_up_name("a.b", {3}) == "?");
  BOOST_TEST(cut_up_name("a.b", {2, 1}) == "a.b|?");
  BOOST_TEST(cut_up_name("a.b", {1, 0}) == "a|?");
}

BOOST_AUTO_TEST_CASE(index_texts_are_those_of_str) {
  for (const char* text : {"0", "7", "-1", "10", "9223372036854775807", "-9223372036854775808"})
    BOOST_TEST(is_index_text(text), text);
  for (const char* text : {"", "-", "-0", "00", "01", "-01", "+1", " 1", "1 ", "1_0", "9223372036854775808", "x"})
    BOOST_TEST(!is_index_text(text), text);
}

// Against the plain comparison of every cell.
BOOST_AUTO_TEST_CASE(grids_know_the_cells_that_overlap) {
  const std::vector<std::int64_t> splits{0, 3, 3, 4, 9};
  const GridAxis axes[] = {
      {splits, 0, 4, 0, 0, false}, {{}, 0, 4, 3, 10, true}, {{}, 0, 4, 5, 10, true},  // the last cells are empty
      {{}, 0, 1, 7, 7, true},      {{}, 0, 2, 0, 0, true},
  };
  for (const GridAxis& axis : axes) {
    for (std::int64_t begin = -2; begin < 12; ++begin) {
      for (std::int64_t end = begin; end < 14; ++end) {
        const auto [first, last] = axis.overlapping(begin, end);
        for (std::int64_t cell = 0; cell < axis.count; ++cell) {
          const auto at = static_cast<std::uint64_t>(cell);
          const std::int64_t point = axis.point(at);
          const bool overlaps = point < axis.point(at + 1) && overlap(point, axis.point(at + 1), begin, end);
          const bool is_inside = first <= cell && cell <= last;
          BOOST_TEST((!overlaps || is_inside), "cell " << cell << " of [" << begin << ", " << end << ")");
        }
      }
    }
  }
  BOOST_TEST(base::even_point(4, std::numeric_limits<std::int64_t>::max() / 2, 100) == 100);
}

BOOST_AUTO_TEST_CASE(byte_ranges_overlap) {
  const std::vector<ByteRange> ranges{{0, 0, 10}, {0, 2, 4}, {0, 3, 12}, {0, 11, 11}, {0, 12, 13}, {1, 12, 13}};
  std::string text;
  each_overlap(
      std::span<const ByteRange>(ranges), [](const ByteRange& range) { return range; },
      [&](const ByteRange& range, const ByteRange& before) {
        text += std::to_string(range.begin) + " in " + std::to_string(before.begin) + ", ";
      });
  BOOST_TEST(text == "2 in 0, 3 in 0, ");
}

BOOST_AUTO_TEST_SUITE_END()
