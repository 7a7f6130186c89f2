// Forms of other torch versions, Pythons and projects (make_pickles.py): each says what its maker's object says.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "describe.hpp"
#include "flatpoint/verify.hpp"
#include "support.hpp"

using namespace flatpoint;
using test::Json;

BOOST_AUTO_TEST_SUITE(forms)

BOOST_DATA_TEST_CASE(says_what_its_maker_says, boost::unit_test::data::make(test::hand_made_names()), name) {
  const auto imported = dcp::import_file(test::hand_made(name));
  BOOST_TEST_REQUIRE(imported.has_value(), (imported ? "" : imported.error().message));
  const auto file = MetadataFile::from_bytes(imported->bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  for (const BrokenRule& broken : verify(*file).broken_rules) BOOST_ERROR(broken.rule + ": " + broken.message);

  std::ifstream in(test::hand_made(name).replace_extension(".json"));
  const Json expected = Json::parse(in);
  Json actual = test::describe(*file);
  for (Json& record : actual["opaque"]) record.erase("pickle");  // test_import_against_python.py loads them
  for (const auto& [key, value] : expected.items()) {
    BOOST_TEST((actual[key] == value), key << ":\n" << actual[key] << "\nexpected:\n" << value);
  }
}

BOOST_DATA_TEST_CASE(the_fast_lane_changes_nothing, boost::unit_test::data::make(test::hand_made_names()), name) {
  const std::string pickle = test::read_file(test::hand_made(name));
  BOOST_TEST((test::import_through(dcp::Lane::Open, pickle) == test::import_through(dcp::Lane::Closed, pickle)));
}

BOOST_AUTO_TEST_SUITE_END()
