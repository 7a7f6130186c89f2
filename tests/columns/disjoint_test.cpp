// Overlaps against the plain comparison of every pair.
#include "columns/disjoint.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>

using namespace flatpoint::columns;

namespace {

struct Box {
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> sizes;
  auto operator<=>(const Box&) const = default;
};

bool overlap(const Box& a, const Box& b) {
  for (std::size_t d = 0; d < a.offsets.size(); ++d) {
    if (std::max(a.offsets[d], b.offsets[d]) >= std::min(a.offsets[d] + a.sizes[d], b.offsets[d] + b.sizes[d]))
      return false;
  }
  return true;
}

/// Cuts a box into pieces at random places, one after the other: any guillotine tiling, few of them grids.
void cut_up(std::mt19937& random, Box box, int depth, std::vector<Box>& out) {
  const std::size_t d = random() % box.offsets.size();
  if (depth == 0 || box.sizes[d] < 2) return out.push_back(std::move(box));
  const std::int64_t left = 1 + static_cast<std::int64_t>(random()) % (box.sizes[d] - 1);
  Box right = box;
  box.sizes[d] = left;
  right.offsets[d] += left;
  right.sizes[d] -= left;
  cut_up(random, std::move(box), depth - 1, out);
  cut_up(random, std::move(right), depth - 1, out);
}

std::vector<std::int64_t> flat_of(std::vector<Box>& boxes) {
  std::sort(boxes.begin(), boxes.end());
  std::vector<std::int64_t> flat;
  for (const Box& box : boxes) {
    flat.insert(flat.end(), box.offsets.begin(), box.offsets.end());
    flat.insert(flat.end(), box.sizes.begin(), box.sizes.end());
  }
  return flat;
}

std::optional<OverlapFinder::Pair> find(std::vector<Box>& boxes) {
  const auto flat = flat_of(boxes);
  return OverlapFinder().find(flat, boxes[0].offsets.size());
}

/// Bars along all three dimensions that pass each other without touching: any cut runs through most of one kind.
std::vector<Box> crossing_bars(std::int64_t n) {
  std::vector<Box> boxes;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      boxes.push_back({{0, 2 * i, 2 * j + 1}, {2 * n, 1, 1}});
      boxes.push_back({{2 * i + 1, 0, 2 * j}, {1, 2 * n, 1}});
      boxes.push_back({{2 * i, 2 * j + 1, 0}, {1, 1, 2 * n}});
    }
  }
  return boxes;
}

std::uint64_t steps_of(std::vector<Box> boxes, bool overlapping = false) {
  const auto flat = flat_of(boxes);
  OverlapFinder finder;
  BOOST_TEST(finder.find(flat, boxes[0].offsets.size()).has_value() == overlapping);
  return finder.steps();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(disjoint)

BOOST_AUTO_TEST_CASE(random_boxes_as_every_pair_says) {
  std::mt19937 random(1);
  int overlapping = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::size_t ndim = 1 + random() % 4;
    std::vector<Box> boxes(2 + random() % 30);
    const std::uint64_t extent = 2 + random() % 30;
    for (Box& box : boxes) {
      for (std::size_t d = 0; d < ndim; ++d) {
        box.offsets.push_back(static_cast<std::int64_t>(random() % extent));
        box.sizes.push_back(static_cast<std::int64_t>(random() % 4));
      }
    }
    const auto found = find(boxes);
    bool expected = false;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      for (std::size_t j = i + 1; j < boxes.size(); ++j) expected |= overlap(boxes[i], boxes[j]);
    }
    BOOST_TEST(found.has_value() == expected);
    if (found) BOOST_TEST((found->first < found->second && overlap(boxes[found->first], boxes[found->second])));
    overlapping += expected;
  }
  BOOST_TEST(overlapping > 500);
  BOOST_TEST(overlapping < 3500);
}

BOOST_AUTO_TEST_CASE(tilings_do_not_overlap_until_one_box_grows) {
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const std::size_t ndim = 1 + random() % 3;
    std::vector<Box> boxes;
    cut_up(random, {std::vector<std::int64_t>(ndim, 0), std::vector<std::int64_t>(ndim, 1000)}, 7, boxes);
    BOOST_TEST(!find(boxes).has_value());
    if (boxes.size() < 2) continue;
    Box& grown = boxes[random() % boxes.size()];
    std::size_t d = 0;
    while (d < ndim && grown.offsets[d] == 0) ++d;
    if (d == ndim) continue;
    --grown.offsets[d];
    ++grown.sizes[d];
    const auto found = find(boxes);
    BOOST_REQUIRE(found.has_value());
    BOOST_TEST(overlap(boxes[found->first], boxes[found->second]));
  }
}

BOOST_AUTO_TEST_CASE(pinwheels_have_no_clean_cut) {
  std::vector<Box> boxes;
  for (std::int64_t x = 0; x < 300; x += 3) {
    for (std::int64_t y = 0; y < 300; y += 3) {
      boxes.push_back({{x, y}, {2, 1}});
      boxes.push_back({{x + 2, y}, {1, 2}});
      boxes.push_back({{x + 1, y + 2}, {2, 1}});
      boxes.push_back({{x, y + 1}, {1, 2}});
      boxes.push_back({{x + 1, y + 1}, {1, 1}});
    }
  }
  BOOST_TEST(!find(boxes).has_value());
  boxes.push_back({{150, 150}, {2, 2}});
  BOOST_TEST(find(boxes).has_value());
}

BOOST_AUTO_TEST_CASE(work_grows_little_faster_than_the_boxes) {
  // Four times as many boxes: n log^2 n gives less than six times the work, n^1.5 would give eight, pairs sixteen.
  std::vector<std::uint64_t> steps;
  for (const std::int64_t n : {20, 40, 80, 160}) steps.push_back(steps_of(crossing_bars(n)));
  for (std::size_t i = 1; i < steps.size(); ++i) BOOST_TEST(steps[i] < 6 * steps[i - 1]);
  BOOST_TEST(steps.back() < 300 * std::uint64_t{3 * 160 * 160});

  // Columns and rows of a plane, thin in two ways at once.
  const auto thin = [](std::int64_t n) {
    std::vector<Box> boxes;
    for (std::int64_t i = 0; i < n; ++i) {
      boxes.push_back({{0, i}, {n, 1}});
      boxes.push_back({{n + i, 0}, {1, n}});
      boxes.push_back({{i, n + i}, {n, 1}});
    }
    return boxes;
  };
  BOOST_TEST(steps_of(thin(16'000)) < 6 * steps_of(thin(4'000)));
}

BOOST_AUTO_TEST_CASE(one_overlap_among_crossing_bars) {
  auto boxes = crossing_bars(12);
  boxes.push_back({{11, 7, 3}, {2, 2, 2}});
  const auto found = find(boxes);
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST(overlap(boxes[found->first], boxes[found->second]));
}

/// As many pairs of dimensions as make following them all more work than comparing pairs.
BOOST_AUTO_TEST_CASE(boxes_that_differ_along_many_dimensions) {
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<Box> boxes(40);
    for (Box& box : boxes) {
      for (int d = 0; d < 30; ++d) {
        box.offsets.push_back(static_cast<std::int64_t>(random() % 2));
        box.sizes.push_back(3 + static_cast<std::int64_t>(random() % 3));
      }
    }
    if (round % 2 == 0) {  // apart along the last dimension only
      for (std::size_t i = 0; i < boxes.size(); ++i) boxes[i].offsets[29] = 10 * static_cast<std::int64_t>(i);
    }
    const auto flat = flat_of(boxes);
    OverlapFinder finder;
    BOOST_TEST(finder.find(flat, 30).has_value() == (round % 2 != 0));
    BOOST_TEST(finder.steps() < 4 * 40 * 40);
  }
}

BOOST_AUTO_TEST_CASE(boxes_that_make_no_sense_hold_nothing) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  std::vector<Box> boxes{
      {{-5, 0}, {3, 2}}, {{0, 0}, {-1, 4}}, {{0, 0}, {4, 4}}, {{1, 1}, {kMin, 1}}, {{kMin, 0}, {3, 3}}};
  BOOST_TEST(!find(boxes).has_value());
  boxes.push_back({{2, 2}, {kMax, kMax}});
  BOOST_TEST(find(boxes).has_value());
}

BOOST_AUTO_TEST_CASE(many_boxes_that_are_the_same) {
  std::vector<Box> boxes(100, {{5, 5}, {2, 3}});
  BOOST_TEST(find(boxes).has_value());
}

BOOST_AUTO_TEST_CASE(numbers_at_the_end_of_int64) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::vector<Box> boxes{{{0, 0}, {kMax, 1}}, {{0, 1}, {kMax, kMax - 1}}, {{0, 3}, {0, 0}}};
  BOOST_TEST(!find(boxes).has_value());
  boxes.push_back({{kMax - 1, kMax - 1}, {1, 1}});
  BOOST_TEST(find(boxes).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
