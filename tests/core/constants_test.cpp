// What can never change, written down a second time: a test that fails here is a break of the format.
#include "format/constants.hpp"

#include <boost/test/unit_test.hpp>
#include <cctype>
#include <cstddef>
#include <cstring>
#include <string>

#include "base/hash.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/metadata_generated.h"
#include "flatpoint/types.hpp"
#include "format/fqn_slots.hpp"
#include "format/trailer.hpp"

using namespace flatpoint;

BOOST_AUTO_TEST_SUITE(constants)

BOOST_AUTO_TEST_CASE(numbers_of_the_format) {
  BOOST_TEST(format::kFormatMajor == 1);
  BOOST_TEST(format::kFormatMinor == 0);
  BOOST_TEST(std::string(format::kIdentifier) == "FLPT");
  BOOST_TEST(format::kIdentifierAt == 4U);
  BOOST_TEST(std::string(format::kTrailerMagic) == "FLPT.END");
  BOOST_TEST(format::kTrailerSize == 24U);
  BOOST_TEST(format::kMaxFileSize == 2147483647U);
  BOOST_TEST(format::kMaxProbes == 32U);
  BOOST_TEST(kNoFile == 4294967295U);
}

BOOST_AUTO_TEST_CASE(digests_are_xxh3) {
  BOOST_TEST(base::digest({}) == 0x2D06800538D394C2U);
  const char text[] = "flatpoint";
  BOOST_TEST(base::digest(std::as_bytes(std::span(text, 9))) == 0xCA84ECD314887B07U);
  BOOST_TEST(format::fqn_hash("flatpoint") == base::digest(std::as_bytes(std::span(text, 9))));
}

BOOST_AUTO_TEST_CASE(rows_lie_as_the_schema_says) {
  BOOST_TEST(sizeof(EntryRow) == 48U);
  BOOST_TEST(offsetof(EntryRow, properties) == 32U);
  BOOST_TEST(offsetof(EntryRow, ndim) == 42U);
  BOOST_TEST(offsetof(EntryRow, lengths_differ) == 46U);
  BOOST_TEST(sizeof(TensorPropertiesRow) == 10U);
  BOOST_TEST(offsetof(TensorPropertiesRow, layout_name) == 8U);
  BOOST_TEST(sizeof(IndexHintRow) == 16U);
  BOOST_TEST(offsetof(IndexHintRow, index) == 8U);
  BOOST_TEST(sizeof(LooseStorageRow) == 20U);
  BOOST_TEST(sizeof(TransformListRow) == 8U);
  BOOST_TEST(sizeof(PathElementRow) == 4U);
  BOOST_TEST(sizeof(OpaqueRecordRow) == 24U);
}

/// The schema's name of an enum value, as torch writes it.
std::string torch_name(std::string name) {
  name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
  return name;
}

BOOST_AUTO_TEST_CASE(enumerations_are_the_schemas) {
  for (const fb::ScalarType type : fb::EnumValuesScalarType()) {
    if (type == fb::ScalarType::Other) continue;
    BOOST_TEST(name_of(static_cast<ScalarType>(type)) == torch_name(fb::EnumNameScalarType(type)));
  }
  for (const fb::Layout layout : fb::EnumValuesLayout()) {
    if (layout == fb::Layout::Other) continue;
    const std::string name = torch_name(fb::EnumNameLayout(layout));
    BOOST_TEST(name_of(static_cast<Layout>(layout)) == (name == "mkldnn" ? "_mkldnn" : name));
  }
  BOOST_TEST(static_cast<int>(ScalarType::Bcomplex32) == 46);
  BOOST_TEST(static_cast<int>(Layout::Jagged) == 7);
  BOOST_TEST(static_cast<int>(MemoryFormat::Preserve) == 2);
  BOOST_TEST(static_cast<int>(StorageType::Opaque) == 2);
  BOOST_TEST(static_cast<int>(ChunkLayout::EvenGrid) == 3);
  BOOST_TEST(static_cast<int>(StridesKind::Explicit) == 2);
  BOOST_TEST(static_cast<int>(PathType::PureWindowsPath) == 5);
  BOOST_TEST(static_cast<int>(OpaqueKind::Version) == 8);
  BOOST_TEST(static_cast<int>(SequenceType::Tuple) == 1);
}

BOOST_AUTO_TEST_CASE(slots_are_cut_as_the_page_says) {
  BOOST_TEST(format::slot_count(0) == 1U);
  BOOST_TEST(format::slot_count(1) == 2U);
  BOOST_TEST(format::slot_count(3) == 8U);
  BOOST_TEST(format::slot_count(4) == 8U);
  BOOST_TEST(format::slot_count(5) == 16U);
  const format::SlotCode code(5);  // 3 bits for the entry, 29 of the hash
  const std::uint64_t hash = 0xFEDCBA9876543210U;
  BOOST_TEST(code.make(hash, 4) == (((0xFEDCBA98U >> 3) << 3) | 5U));
  BOOST_TEST(code.entry(code.make(hash, 4)) == 4U);
  BOOST_TEST(code.tag_matches(code.make(hash, 4), hash));
  BOOST_TEST(!code.tag_matches(code.make(hash, 4), hash ^ (std::uint64_t{1} << 63)));
  BOOST_TEST(code.tag_matches(code.make(hash, 4), hash ^ (std::uint64_t{1} << 34)));  // below the tag
}

BOOST_AUTO_TEST_SUITE_END()
