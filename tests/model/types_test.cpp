// Names, item sizes and strides. tests/torch compares the tables with torch itself.
#include "flatpoint/types.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <set>
#include <string>

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(types)

template <class Enum, class Parse>
void check_names(int count, Parse parse) {
  std::set<std::string_view> seen;
  for (int i = 0; i < 256; ++i) {
    const auto value = static_cast<Enum>(i);
    const std::string_view name = name_of(value);
    BOOST_TEST_CONTEXT("number " << i) {
      if (i >= count) {
        BOOST_TEST(name.empty());
        continue;
      }
      BOOST_TEST(seen.insert(name).second);
      BOOST_TEST((parse(name) == value));
    }
  }
  BOOST_TEST(!parse(""));
  BOOST_TEST(!parse("torch.float32"));
  BOOST_TEST(!parse("Float32"));
}

BOOST_AUTO_TEST_CASE(every_number_has_one_name_or_none) {
  check_names<ScalarType>(47, scalar_type_from_name);
  check_names<Layout>(8, layout_from_name);
  check_names<MemoryFormat>(3, memory_format_from_name);
}

BOOST_AUTO_TEST_CASE(names_are_torchs) {
  BOOST_TEST(name_of(ScalarType::Float8_e4m3fnuz) == "float8_e4m3fnuz");
  BOOST_TEST(name_of(ScalarType::Bcomplex32) == "bcomplex32");
  BOOST_TEST(name_of(Layout::Mkldnn) == "_mkldnn");
  BOOST_TEST(name_of(Layout::Jagged) == "jagged");
  BOOST_TEST(name_of(MemoryFormat::ChannelsLast) == "channels_last");
  BOOST_TEST(name_of(ScalarType::Other).empty());
}

BOOST_AUTO_TEST_CASE(aliases_name_the_same_type) {
  BOOST_TEST((scalar_type_from_name("double") == ScalarType::Float64));
  BOOST_TEST((scalar_type_from_name("half") == ScalarType::Float16));
  BOOST_TEST((scalar_type_from_name("cfloat") == ScalarType::Complex64));
  BOOST_TEST((scalar_type_from_name("long") == ScalarType::Int64));
  BOOST_TEST((memory_format_from_name("legacy_contiguous_format") == MemoryFormat::Contiguous));
}

BOOST_AUTO_TEST_CASE(item_sizes_are_bytes) {
  BOOST_TEST(item_size(ScalarType::Complex128) == 16U);
  BOOST_TEST(item_size(ScalarType::Bfloat16) == 2U);
  BOOST_TEST(item_size(ScalarType::Float4_e2m1fn_x2) == 1U);
  BOOST_TEST(item_size(ScalarType::Other) == 0U);
  BOOST_TEST(item_size(static_cast<ScalarType>(47)) == 0U);
}

BOOST_AUTO_TEST_CASE(contiguous_strides_count_an_empty_dimension_as_one) {
  BOOST_TEST(contiguous_strides(Size{}) == Size{}, boost::test_tools::per_element());
  BOOST_TEST(contiguous_strides(Size{7}) == Size{1}, boost::test_tools::per_element());
  BOOST_TEST(contiguous_strides(Size{2, 3, 4}) == (Size{12, 4, 1}), boost::test_tools::per_element());
  BOOST_TEST(contiguous_strides(Size{0, 3, 0, 2}) == (Size{6, 2, 2, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(contiguous_strides_of_impossible_sizes_are_defined) {
  const std::int64_t big = std::numeric_limits<std::int64_t>::max();
  BOOST_TEST(contiguous_strides(Size{5, big, big, 2}) == (Size{0, 0, 2, 1}), boost::test_tools::per_element());
  BOOST_TEST(contiguous_strides(Size{3, -4, 2}) == (Size{2, 2, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
