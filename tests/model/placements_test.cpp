// Placements as text.
#include <boost/test/unit_test.hpp>

#include "flatpoint/sharding.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(placements)

void check(std::string_view text, const std::vector<Placement>& expected) {
  BOOST_TEST_CONTEXT(text) {
    const auto placements = parse_placements(text);
    BOOST_REQUIRE_MESSAGE(placements, (placements ? "" : placements.error().message));
    BOOST_TEST((*placements == expected));
  }
}

BOOST_AUTO_TEST_CASE(as_a_person_writes_them) {
  check("S0,R", {Shard{0}, Replicate{}});
  check("S(0)", {Shard{0}});
  check("SS0/2, S0", {StridedShard{0, 2}, Shard{0}});
  check(" R ,S-1,P", {Replicate{}, Shard{-1}, Partial{}});
  check("SS(1/4)", {StridedShard{1, 4}});
}

BOOST_AUTO_TEST_CASE(as_torch_prints_them) {
  check("(Shard(dim=0), Replicate())", {Shard{0}, Replicate{}});
  check("(Shard(dim=1),)", {Shard{1}});
  check("_StridedShard(dim=0, sf=2), Partial(sum)", {StridedShard{0, 2}, Partial{}});
  check("_S(0, 2), S(0), P(max), R", {StridedShard{0, 2}, Shard{0}, Partial{}, Replicate{}});
}

BOOST_AUTO_TEST_CASE(text_and_value_go_both_ways) {
  for (const Placement& placement :
       {Placement(Shard{2}), Placement(StridedShard{-1, 3}), Placement(Replicate{}), Placement(Partial{})}) {
    check(to_string(placement), {placement});
  }
}

BOOST_AUTO_TEST_CASE(errors_name_the_token) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"S0,X1", "X1"},
      {"", ""},
      {"S0,,R", ""},
      {"S", "S"},
      {"S0/2", "S0/2"},
      {"SS0", "SS0"},
      {"R1", "R1"},
      {"S(0", "S(0"},
      {"S0)", "S0)"},
      {"s0", "s0"},
      {"P3", "P3"},
      {"SS0/x", "SS0/x"},
      {"S(dim=x)", "S(dim=x)"},
      {"S0 R", "S0 R"},
      {"S99999999999999999999", "S99999999999999999999"},
      {"SS0/2/3", "SS0/2/3"},
      {"()", ""},
      {"R(1)", "R(1)"},
      {"S0,", ""},
  };
  for (const auto& [text, token] : cases) {
    BOOST_TEST_CONTEXT(text) {
      const auto placements = parse_placements(text);
      BOOST_REQUIRE(!placements);
      BOOST_TEST((placements.error().code == ErrorCode::InvalidArgument));
      BOOST_TEST(
          placements.error().message.starts_with("\"" + std::string(token) + "\" in \"" + std::string(text) + "\""));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
