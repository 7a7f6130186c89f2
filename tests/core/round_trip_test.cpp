// Random metadata goes through draft, bytes and views, and comes back as it was; how a draft was laid out leaves no
// trace.
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "flatpoint/verify.hpp"
#include "support/random_model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(round_trip)

void check(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Model model = random_model(random);
  const Buffer bytes = encoded(model);
  for (int i = 0; i < 2; ++i) {
    const Buffer other = encoded(model, &random);
    BOOST_TEST(std::ranges::equal(bytes.bytes(), other.bytes()));
  }
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  for (const std::string& difference : differences(*file, model)) BOOST_ERROR(difference);
  for (const BrokenRule& broken : verify(*file).broken_rules) BOOST_ERROR(broken.rule << ": " << broken.message);
}

BOOST_AUTO_TEST_CASE(random_metadata_comes_back_as_it_was) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) { check(seed); }
  }
}

BOOST_AUTO_TEST_SUITE_END()
