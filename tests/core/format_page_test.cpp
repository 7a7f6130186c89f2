// docs/format.md shows a whole file byte by byte, and the file is still that.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>

#include "core/format_example.hpp"

BOOST_AUTO_TEST_CASE(the_worked_example_of_the_format_page) {
  std::ifstream in(FLATPOINT_FORMAT_PAGE, std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  BOOST_TEST_REQUIRE(page.size() > 1000U);
  const std::string example = flatpoint::test::format_example();
  BOOST_TEST(page.ends_with("\n\n" + example), "docs/format.md should end with what print_format_example prints:\n"
                                                   << example);
}
