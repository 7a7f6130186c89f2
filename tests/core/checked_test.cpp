// The arithmetic that every bounds check rests on, at the ends of its types.
#include "base/checked.hpp"

#include <array>
#include <boost/test/unit_test.hpp>

using namespace flatpoint::base;

BOOST_AUTO_TEST_SUITE(checked)

constexpr std::uint64_t kMost = ~std::uint64_t{0};

static_assert(in_range(0, 0, 0) && in_range(5, 0, 5) && in_range(0, 5, 5) && in_range(2, 3, 5) &&
              in_range(kMost, 0, kMost));
static_assert(!in_range(0, 1, 0) && !in_range(6, 0, 5) && !in_range(3, 3, 5) && !in_range(0, 6, 5));
static_assert(!in_range(kMost, 1, kMost) && !in_range(1, kMost, kMost) && !in_range(kMost, 2, 5) &&
              !in_range(2, kMost, 5));

BOOST_AUTO_TEST_CASE(products_and_sums) {
  std::uint64_t product = 0;
  BOOST_TEST((multiply(1ULL << 32, (1ULL << 32) - 1, product) && product == 0xFFFFFFFF00000000));
  BOOST_TEST(!multiply(1ULL << 32, 1ULL << 32, product));
  BOOST_TEST(!multiply(kMost, 2, product));
  BOOST_TEST((multiply(kMost, 0, product) && product == 0));
  std::int64_t sum = 0;
  BOOST_TEST((add(INT64_MAX - 1, 1, sum) && sum == INT64_MAX));
  BOOST_TEST(!add(INT64_MAX, 1, sum));
  BOOST_TEST(!add(INT64_MIN, -1, sum));
  BOOST_TEST(wrapping_subtract(3, 5) == -2);
  BOOST_TEST(wrapping_subtract(INT64_MIN, 1) == INT64_MAX);
  BOOST_TEST(wrapping_subtract(INT64_MAX, -1) == INT64_MIN);
}

BOOST_AUTO_TEST_CASE(numbers_at_any_address) {
  alignas(8) std::array<std::byte, 16> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  for (std::size_t at = 0; at < 8; ++at) {
    BOOST_TEST(static_cast<int>(read_once_as<std::uint8_t>(bytes.data() + at)) == static_cast<int>(at));
    BOOST_TEST(read_once_as<std::uint16_t>(bytes.data() + at) == at + ((at + 1) << 8));
    BOOST_TEST(read_once_as<std::uint64_t>(bytes.data() + at) == 0x0706050403020100 + at * 0x0101010101010101);
  }
  struct Row {
    std::uint32_t a;
    std::uint8_t b[8];
  };
  const auto row = read_once_as<Row>(bytes.data() + 3);
  BOOST_TEST((row.a == 0x06050403 && row.b[0] == 7 && row.b[7] == 14));
}

BOOST_AUTO_TEST_SUITE_END()
