// MetadataIndex, case by case as torch's frozen dataclass.
#include "flatpoint/metadata_index.hpp"

#include <boost/test/unit_test.hpp>
#include <unordered_set>

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(metadata_index)

BOOST_AUTO_TEST_CASE(the_hint_takes_no_part) {
  const MetadataIndex bare{"a", Size{1, 2}, std::nullopt};
  const MetadataIndex hinted{"a", Size{1, 2}, 7};
  BOOST_TEST((bare == hinted));
  BOOST_TEST(std::hash<MetadataIndex>()(bare) == std::hash<MetadataIndex>()(hinted));
}

BOOST_AUTO_TEST_CASE(no_offset_differs_from_an_empty_one) {
  const MetadataIndex bytes{"a", std::nullopt, std::nullopt};
  const MetadataIndex scalar{"a", Size{}, std::nullopt};
  BOOST_TEST((bytes != scalar));
  BOOST_TEST(std::hash<MetadataIndex>()(bytes) != std::hash<MetadataIndex>()(scalar));
}

BOOST_AUTO_TEST_CASE(fqn_and_every_offset_count) {
  const MetadataIndex one{"a", Size{1, -2}, std::nullopt};
  BOOST_TEST((one != MetadataIndex{"b", Size{1, -2}, std::nullopt}));
  BOOST_TEST((one != MetadataIndex{"a", Size{1, 2}, std::nullopt}));
  BOOST_TEST((one != MetadataIndex{"a", Size{1, -2, 0}, std::nullopt}));
  BOOST_TEST((MetadataIndex{std::string("a\0b", 3), {}, {}} != MetadataIndex{"a", {}, {}}));
}

BOOST_AUTO_TEST_CASE(hashes_spread_over_offsets) {
  std::unordered_set<MetadataIndex> set;
  std::unordered_set<std::size_t> hashes;
  for (std::int64_t i = 0; i < 1000; ++i) {
    for (const auto* fqn : {"a", "b"}) {
      const MetadataIndex index{fqn, Size{i, 0}, i};
      BOOST_TEST(set.insert(index).second);
      hashes.insert(std::hash<MetadataIndex>()(index));
      BOOST_TEST(!set.insert(MetadataIndex{fqn, Size{i, 0}, std::nullopt}).second);
    }
  }
  BOOST_TEST(hashes.size() == 2000U);
}

BOOST_AUTO_TEST_SUITE_END()
