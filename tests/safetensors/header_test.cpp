// Headers: what is read of sound ones, and the one rule that each broken one breaks.
#include "safetensors/header.hpp"

#include <boost/test/unit_test.hpp>

#include "flatpoint/safetensors.hpp"
#include "safetensors/file.hpp"

using namespace flatpoint;
using safetensors::parse_header;

namespace {

/// A header with one tensor.
std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return R"({"w":{"dtype":")" + std::string(dtype) + R"(","shape":)" + std::string(shape) + R"(,"data_offsets":)" +
         std::string(offsets) + "}}";
}

struct Refused {
  std::string header;
  std::uint64_t data_bytes;
  std::string_view what;  // of the message
  ErrorCode code = ErrorCode::BadItem;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(headers)

BOOST_AUTO_TEST_CASE(tensors_by_place_with_all_that_is_said_of_them) {
  const auto header = parse_header(
      R"({"__metadata__":{"format":"pt"},"b":{"data_offsets":[8,20],"shape":[3,2],"dtype":"BF16","later":[null,{"x":-1.5e3}]},)"
      "\n\t"
      R"("a\u00e9\ud83d\ude00\n":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"none":{"dtype":"I32","shape":[4,0],"data_offsets":[20,20]}}   )",
      20);
  BOOST_REQUIRE_MESSAGE(header, header.error().message);
  BOOST_TEST(header->metadata.at("format") == "pt");
  BOOST_REQUIRE_EQUAL(header->tensors.size(), 3U);
  BOOST_TEST(header->tensors[0].name == "a\u00e9\U0001F600\n");
  BOOST_TEST(header->tensors[0].shape.empty());
  BOOST_TEST((header->tensors[1].dtype == ScalarType::Bfloat16));
  BOOST_TEST((header->tensors[1].shape == Size{3, 2}));
  BOOST_TEST(header->tensors[1].offset == 8U);
  BOOST_TEST(header->tensors[1].length == 12U);
  BOOST_TEST(header->tensors[2].name == "none");
}

BOOST_AUTO_TEST_CASE(four_bits_are_counted_in_pairs) {
  const auto header = parse_header(one("F4", "[3,8]", "[0,12]"), 12);
  BOOST_REQUIRE_MESSAGE(header, header.error().message);
  BOOST_TEST((header->tensors[0].dtype == ScalarType::Float4_e2m1fn_x2));
  BOOST_TEST((header->tensors[0].shape == Size{3, 4}));
}

BOOST_AUTO_TEST_CASE(every_broken_header_is_refused_by_name_and_place) {
  const auto u8 = [](std::string_view name, std::size_t begin, std::size_t end) {
    return test::bytes_member(name, begin, end);
  };
  std::string deep = R"({"w":{"x":)";
  deep.append(100, '[');
  std::string wide = "[0";
  for (int i = 0; i < 255; ++i) wide += ",0";
  const std::vector<Refused> all{
      {"", 0, "does not begin with '{'"},
      {" {}", 0, "does not begin with '{'"},
      {"[]", 0, "does not begin with '{'"},
      {"{", 0, "byte 1: '\"' is missing, the text ends"},
      {"{} x", 0, "byte 3: something follows the value"},
      {std::string("{}\0", 3), 0, "byte 2: something follows the value"},
      {R"({"w":1})", 0, "byte 5: '{' is expected"},
      {"{" + u8("w", 0, 1) + ",}", 1, "'\"' is expected"},
      {"{" + u8("w", 0, 1) + u8("v", 1, 2) + "}", 2, "'}' is expected"},
      {R"({"w":{"dtype":"U8","shape":[0]}})", 0, "tensor 'w' needs a dtype, a shape and two data_offsets"},
      {one("U8", "[1]", "[0,1,1]"), 1, "tensor 'w' needs a dtype, a shape and two data_offsets"},
      {R"({"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
       "tensor 'w': 'dtype' is there twice"},
      {"{" + u8("w", 0, 1) + "," + u8("w", 0, 1) + "}", 1, "tensor 'w' is there twice"},
      {"{" + u8("w", 0, 1) + "," + u8("w", 1, 2) + "}", 2, "tensor 'w' is there twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "'__metadata__' is there twice"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "'a' of '__metadata__' is there twice"},
      {R"({"__metadata__":{"a":1}})", 0, "byte 21: '\"' is expected"},
      {one("U8", "[1.0]", "[0,1]"), 1, "'1.0' is no integer"},
      {one("U8", "[-1]", "[0,1]"), 1, "'-1' is no integer"},
      {one("U8", "[01]", "[0,1]"), 1, "']' is expected"},
      {one("U8", "[18446744073709551616]", "[0,1]"), 1, "is no integer from 0 to 2^64 - 1"},
      {one("U8", "[9223372036854775808]", "[0,1]"), 1, "a dimension of 9223372036854775808"},
      {one("U8", wide + "]", "[0,0]"), 0, "more than 255 numbers"},
      {one("F32", "[4294967296,4294967296]", "[0,0]"), 0, "leave 63 bits"},
      {one("U8", "[2]", "[0,1]"), 1, "shape [2] of U8 takes 2 bytes, its data_offsets are [0, 1]"},
      {one("U8", "[1]", "[1,0]"), 1, "takes 1 bytes, its data_offsets are [1, 0]"},
      {one("F4", "[3]", "[0,2]"), 2, "an F4 of shape [3], whose last dimension holds no whole bytes"},
      {one("F4", "[]", "[0,1]"), 1, "an F4 of shape []"},
      {one("F6_E2M3", "[4]", "[0,3]"), 3, "tensor 'w': the dtype 'F6_E2M3' is none", ErrorCode::NotPlain},
      {one("X", "[4]", "[0,3]"), 3, "tensor 'w': the dtype 'X' is none", ErrorCode::NotPlain},
      {one("U8", "[1]", "[1,2]"), 2, "'w' begins at byte 1 of the data, where byte 0 is expected: there is a hole"},
      {"{" + u8("a", 0, 2) + "," + u8("b", 1, 3) + "}", 3,
       "'b' begins at byte 1 of the data, where byte 2 is expected: it overlaps"},
      {"{" + u8("a", 0, 2) + "," + u8("b", 3, 4) + "}", 4, "there is a hole before it"},
      {one("U8", "[1]", "[0,1]"), 2, "there is a hole at the tail"},
      {one("U8", "[2]", "[0,2]"), 1, "1 bytes follow the header, its tensors take 2", ErrorCode::Truncated},
      {"{\"a\nb\":1}", 0, "byte 3: a control character inside a string"},
      {"{\"a", 0, "a string without an end"},
      {R"({"\x":1})", 0, "an escape that JSON does not have"},
      {R"({"\u12":1})", 0, "an escape without its four digits"},
      {R"({"\ud800":1})", 0, "a lone surrogate"},
      {R"({"\ud800\u0041":1})", 0, "a lone surrogate"},
      {"{\"\xC3\":1}", 0, "a string that is not UTF-8"},
      {"{\"\xED\xA0\x80\":1}", 0, "a string that is not UTF-8"},
      {deep, 0, "values lie more than 64 deep"},
      {R"({"w":{"x":tru}})", 0, "a number is expected"},
      {R"({"w":{"x":1.}})", 0, "a number is expected"},
  };
  for (const Refused& refused : all) {
    BOOST_TEST_CONTEXT(refused.header) {
      const auto header = parse_header(refused.header, refused.data_bytes);
      BOOST_REQUIRE(!header);
      BOOST_TEST((header.error().code == refused.code));
      BOOST_TEST(header.error().message.find(refused.what) != std::string::npos, header.error().message);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_length_is_compared_before_memory_is_taken) {
  const auto read = [](std::string bytes) {
    return safetensors::read_header(base::MemorySource(std::as_bytes(std::span(bytes))), 0, bytes.size());
  };
  BOOST_TEST((read("1234567").error().code == ErrorCode::BadItem));
  std::string large = test::safetensors_file("{}");
  large[4] = 1;  // 2^32 and 2
  BOOST_TEST((read(large).error().code == ErrorCode::TooLarge));
  std::string longer = test::safetensors_file("{}");
  longer[0] = 3;
  BOOST_TEST((read(longer).error().code == ErrorCode::Truncated));
  BOOST_TEST(read(test::safetensors_file("{}")).has_value());
}

BOOST_AUTO_TEST_CASE(every_prefix_is_refused) {
  const std::string whole = "{" + test::bytes_member("w", 0, 3) + R"(,"__metadata__":{"a":"b\u00e9"}})";
  for (std::size_t size = 0; size < whole.size(); ++size)
    BOOST_TEST(!parse_header(std::string_view(whole).substr(0, size), 3));
  BOOST_TEST(parse_header(whole, 3).has_value());
}

BOOST_AUTO_TEST_CASE(names_of_dtypes_lead_both_ways) {
  for (unsigned number = 0; number < 256; ++number) {
    const auto dtype = static_cast<ScalarType>(number);
    const auto name = safetensors::safetensors_name_of(dtype);
    if (!name.empty()) BOOST_TEST((safetensors::scalar_type_from_safetensors(name) == dtype));
  }
  BOOST_TEST(safetensors::safetensors_name_of(ScalarType::Complex128).empty());
}

BOOST_AUTO_TEST_SUITE_END()
