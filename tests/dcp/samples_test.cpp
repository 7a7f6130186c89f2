// Every real file: what the importer says of it is what plain unpickling by torch says (expected.json beside it).
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "dcp/import.hpp"
#include "describe.hpp"
#include "flatpoint/verify.hpp"
#include "support.hpp"

using namespace flatpoint;
using test::Json;

namespace {

/// Pairs in DCP's order instead of an object.
Json pairs(const Json& object) {
  if (!object.is_object()) return object;
  Json out = Json::array();
  for (const auto& [key, value] : object.items()) out.push_back({key, value});
  return out;
}

/// "module.Name" of expected.json as the file keeps it.
std::string class_name(std::string dotted) {
  dotted[dotted.rfind('.')] = ' ';
  return dotted;
}

std::filesystem::path expected_beside(const std::filesystem::path& sample) {
  const std::string stem = sample.filename() == ".metadata" ? "" : sample.stem().string() + ".";
  return sample.parent_path() / (stem + "expected.json");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(samples)

BOOST_DATA_TEST_CASE(says_what_torch_says, boost::unit_test::data::make(test::sample_pickles()), sample) {
  const auto imported = dcp::import_file(sample);
  BOOST_TEST_REQUIRE(imported.has_value(), (imported ? "" : imported.error().message));
  BOOST_TEST(imported->findings.empty());
  const auto file = MetadataFile::from_bytes(imported->bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  BOOST_TEST(verify(*file).sound());

  // Where none stands there, Python 3.11 cannot load the file (pathlib._local); the test below covers it.
  if (!std::filesystem::exists(expected_beside(sample))) return;
  std::ifstream in(expected_beside(sample));
  const Json expected = Json::parse(in);
  const Json actual = test::describe(*file);
  BOOST_TEST((actual["root"] == class_name(expected["root"])));
  BOOST_TEST((actual["version"] == expected["version"]));
  BOOST_TEST((actual["storage_meta"] == expected["storage_meta"]), actual["storage_meta"] << expected["storage_meta"]);
  BOOST_TEST((actual["planner_data"] == pairs(expected["planner_data"])));
  BOOST_TEST((actual["state_dict_metadata"] == pairs(expected["state_dict_metadata"])));
  BOOST_TEST((actual["storage_data"] == expected["storage_data"]), actual["storage_data"] << expected["storage_data"]);
  BOOST_TEST(actual["storage_info_class"].is_null());
  std::vector<std::string> attributes;
  for (const Json& record : actual["opaque"]) {
    BOOST_TEST((record["kind"] == "Attribute"));
    attributes.push_back(record["name"]);
  }
  std::vector<std::string> expected_attributes;
  for (const auto& [name, value] : expected["extra_attrs"].items()) expected_attributes.push_back(name);
  BOOST_TEST(attributes == expected_attributes, boost::test_tools::per_element());
}

// Python 3.13 pickles paths as pathlib._local.PosixPath of one text; everything else is as Python 3.12 wrote it.
BOOST_DATA_TEST_CASE(python_3_13, boost::unit_test::data::make({"t215", "t24"}), era) {
  const auto describe = [&](const std::string& python) {
    const auto imported = dcp::import_file(test::samples() / "legacy" / (era + ("_py" + python + "_p4")) / ".metadata");
    return test::describe(*MetadataFile::from_bytes(imported->bytes.bytes()));
  };
  BOOST_TEST((describe("3.13.0") == describe("3.12.1")));
}

BOOST_DATA_TEST_CASE(the_fast_lane_changes_nothing, boost::unit_test::data::make(test::sample_pickles()), sample) {
  const std::string pickle = test::read_file(sample);
  BOOST_TEST((test::import_through(dcp::Lane::Open, pickle) == test::import_through(dcp::Lane::Closed, pickle)));
}

BOOST_AUTO_TEST_SUITE_END()
