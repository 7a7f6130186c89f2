// What has a to_string is printed by {fmt}, and by std::format where the standard library has it.
#include "flatpoint/formatters.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

namespace flatpoint {
namespace {

BOOST_AUTO_TEST_SUITE(formatters)

BOOST_AUTO_TEST_CASE(fmt_prints) {
  const Error error{ErrorCode::NotFound, "no file 'x'"};
  BOOST_TEST(::fmt::format("{}", error) == to_string(error));
  BOOST_TEST(::fmt::format("{:>12}|{:<8}|", ErrorCode::NotFound, LookupStatus::Absent) == "   not_found|absent  |");
  BOOST_TEST(::fmt::format("{} {} {}", ChunkLayout::EvenGrid, ChecksumKind::Xxh3, PathType::PosixPath) ==
             "even_grid xxh3 PosixPath");
  BOOST_TEST(::fmt::format("{}", Placement{}) == to_string(Placement{}));
  const LoadIssue issue{};
  BOOST_TEST(::fmt::format("{}", issue) == to_string(issue));
}

#ifdef __cpp_lib_format
BOOST_AUTO_TEST_CASE(std_prints) {
  BOOST_TEST(std::format("{:>12}|{}", ErrorCode::NotFound, ChunkLayout::Whole) == "   not_found|whole");
}
#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace flatpoint
