// What torch.save does not write is no archive of it.
#include "archive/zip.hpp"

#include <boost/test/unit_test.hpp>
#include <span>
#include <string>

using namespace flatpoint;

namespace {

template <class Number>
std::string bytes_of(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

/// An archive whose records hold their own names.
std::string archive_of(std::initializer_list<std::string> names) {
  std::string records;
  std::string directory;
  for (const std::string& name : names) {
    const auto size = static_cast<std::uint32_t>(name.size());
    const std::string facts = std::string(2, '\0') + bytes_of<std::uint16_t>(0) + std::string(4, '\0') +
                              bytes_of<std::uint32_t>(0) + bytes_of(size) + bytes_of(size) +
                              bytes_of(static_cast<std::uint16_t>(size)) + bytes_of<std::uint16_t>(0);
    directory += "PK\1\2" + std::string(4, '\0') + facts + std::string(10, '\0') +
                 bytes_of(static_cast<std::uint32_t>(records.size())) + name;
    records += "PK\3\4" + std::string(2, '\0') + facts + name + name;
  }
  const auto count = static_cast<std::uint16_t>(names.size());
  const std::string filler(256, '\0');  // an end that a zip64 record would fit into
  return filler + records + directory + "PK\5\6" + std::string(4, '\0') + bytes_of(count) + bytes_of(count) +
         bytes_of(static_cast<std::uint32_t>(directory.size())) +
         bytes_of(static_cast<std::uint32_t>(filler.size() + records.size())) + bytes_of<std::uint16_t>(0);
}

std::string said_of(std::initializer_list<std::string> names) {
  const std::string text = archive_of(names);
  const base::MemorySource bytes(std::as_bytes(std::span(text)));
  const archive::ItemSource item(bytes, 0, text.size());
  const auto zip = archive::Zip::open(item);
  return zip ? std::to_string(zip->records().size()) + " records" : zip.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(data_zip)

BOOST_AUTO_TEST_CASE(records_have_names_of_their_own) {
  const std::string start = "not an archive of torch.save: ";
  BOOST_TEST(said_of({}) == "0 records");
  BOOST_TEST(said_of({"a/data.pkl", "a/data/0", "a/version"}) == "3 records");
  BOOST_TEST(said_of({"a/data.pkl", "a/version", "a/data.pkl"}) == start + "the record 'data.pkl' comes twice");
  BOOST_TEST(said_of({"a/data/0", "a/data.pkl", "a/data/0"}) == start + "the record 'data/0' comes twice");
  BOOST_TEST(said_of({"a/Data.PKL", "a/data.pkl"}) == start + "the record 'data.pkl' comes twice");
  BOOST_TEST(said_of({"a/version", "b/data.pkl", "a/data.pkl"}) ==
             start + "the record 'b/data.pkl' does not lie in the folder 'a' of the first");
  BOOST_TEST(said_of({"data.pkl"}) == start + "the record 'data.pkl' lies in no folder");
}

BOOST_AUTO_TEST_SUITE_END()
