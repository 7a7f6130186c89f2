// Look-ups by name: against std::map, with names that collide, with names that no C string holds.
#include <boost/test/unit_test.hpp>
#include <map>

#include "format/fqn_slots.hpp"
#include "support/model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;
using namespace std::string_literals;

BOOST_AUTO_TEST_SUITE(find)

Model of_names(const std::vector<std::string>& names) {
  Model model;
  for (const std::string& name : names) model.entries.push_back(bytes(name));
  return model;
}

BOOST_AUTO_TEST_CASE(many_names) {
  std::vector<std::string> names;
  for (int i = 0; i < 50'000; ++i)
    names.push_back("model.layers." + std::to_string(i * 7 % 50'000) + ".self_attn.q_proj.weight");
  const MetadataFile file = opened(of_names(names));
  const MetadataView view = file.view();
  std::map<std::string, std::uint32_t> sorted;
  for (const std::string& name : names) sorted.emplace(name, 0);
  std::uint32_t position = 0;
  for (auto& [name, at] : sorted) at = position++;
  for (const auto& [name, at] : sorted) {
    const auto entry = view.find(name);
    BOOST_TEST_REQUIRE(entry.found());
    BOOST_TEST_REQUIRE(entry->position() == at);
    BOOST_TEST_REQUIRE(view.find(name + "x").absent());
    BOOST_TEST_REQUIRE(view.find(name.substr(1)).absent());
  }
}

/// Names whose hashes fall into one slot of a column for `entries` names.
std::vector<std::string> colliding_names(std::uint32_t entries, std::size_t count, std::uint32_t home) {
  const std::uint32_t mask = format::slot_count(entries) - 1;
  std::vector<std::string> names;
  for (std::uint64_t i = 0; names.size() < count; ++i) {
    std::string name = "n" + std::to_string(i);
    if ((static_cast<std::uint32_t>(format::fqn_hash(name)) & mask) == home) names.push_back(std::move(name));
  }
  return names;
}

BOOST_AUTO_TEST_CASE(names_that_share_a_slot) {
  constexpr std::uint32_t kEntries = 100;
  for (const std::uint32_t home : {0U, 77U, 250U}) {  // from 250 on the probes go around the end
    auto names = colliding_names(kEntries, kEntries + 50, home);
    const std::vector<std::string> misses(names.begin() + kEntries, names.end());
    names.resize(kEntries);
    const MetadataFile file = opened(of_names(names));
    const auto slots = file.view().columns().fqn_slots;
    BOOST_TEST(slots.size() == 256U);
    BOOST_TEST(std::count_if(slots.begin(), slots.end(), [](std::uint32_t slot) { return slot != 0; }) == 32);
    for (const std::string& name : names) {
      const auto entry = file.view().find(name);
      BOOST_TEST_REQUIRE(entry.found());
      BOOST_TEST(entry->fqn() == name);
    }
    for (const std::string& name : misses) BOOST_TEST(file.view().find(name).absent());
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_slot_leads_nowhere_else) {
  const MetadataFile sound = opened(of_names({"a", "b", "c"}));
  Buffer bytes(sound.bytes().size());
  std::memcpy(bytes.mutable_bytes().data(), sound.bytes().data(), bytes.size());
  const auto at = reinterpret_cast<const std::byte*>(sound.view().columns().fqn_slots.data()) - sound.bytes().data();
  auto* slots = reinterpret_cast<std::uint32_t*>(bytes.mutable_bytes().data() + at);
  std::fill(slots, slots + 8, 0xFFFFFFFFU);  // every slot taken, none names an entry
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  BOOST_TEST_REQUIRE(file.has_value());
  for (const char* name : {"a", "b", "c"}) BOOST_TEST(file->view().find(name).found());
  BOOST_TEST(file->view().find("d").absent());
}

BOOST_AUTO_TEST_CASE(names_that_no_c_string_holds) {
  const std::vector<std::string> names{
      ""s, "\0"s, "a"s, "a\0"s, "a\0b"s, "a\xFF"s, "\xED\xA0\x80"s, "\xFF"s, std::string(100'000, 'x')};
  const MetadataFile file = opened(of_names(names));
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    const auto entry = file.view().find(names[i]);
    BOOST_TEST_REQUIRE(entry.found());
    BOOST_TEST(entry->fqn() == names[i]);
  }
  for (const std::string& miss : {"\0\0"s, "b"s, "a\0c"s, "\xED\xA0"s, std::string(99'999, 'x')})
    BOOST_TEST(file.view().find(miss).absent());
  BOOST_TEST(file.view().entry(0)->fqn().empty());
  BOOST_TEST(file.view().find(std::string_view()).found());  // without an address
  BOOST_TEST(file.view().find_storage(std::string_view(), std::nullopt).absent());
  BOOST_TEST(file.view().prefix(std::string_view())->size() == names.size());
  BOOST_TEST(file.view().entry(8)->fqn() == "\xFF");  // bytes sort without sign
}

BOOST_AUTO_TEST_CASE(no_names) {
  const MetadataFile file = opened(Model());
  BOOST_TEST(file.view().size() == 0U);
  BOOST_TEST(file.view().find("").absent());
  BOOST_TEST(file.view().find("a").absent());
  BOOST_TEST(file.view().prefix("").absent());
  BOOST_TEST(file.view().entry(0).absent());
  BOOST_TEST(file.view().entry_in_dcp_order(0).absent());
  BOOST_TEST(file.view().find_storage("a", std::nullopt).absent());
  BOOST_TEST(file.view().file_name(0).absent());
}

BOOST_AUTO_TEST_CASE(prefixes) {
  const MetadataFile file = opened(of_names({"a", "a.b", "a.b.c", "a.bb", "a\xFF", "b", "\xFF\xFF"}));
  const auto range = [&](std::string_view prefix) {
    const auto found = file.view().prefix(prefix);
    return found ? std::pair(found->begin, found->end) : std::pair(99U, 99U);
  };
  BOOST_TEST((range("") == std::pair(0U, 7U)));
  BOOST_TEST((range("a") == std::pair(0U, 5U)));
  BOOST_TEST((range("a.b") == std::pair(1U, 4U)));
  BOOST_TEST((range("a.b.") == std::pair(2U, 3U)));
  BOOST_TEST((range("a\xFF") == std::pair(4U, 5U)));
  BOOST_TEST((range("\xFF\xFF") == std::pair(6U, 7U)));
  BOOST_TEST((range("\xFF\xFF\xFF") == std::pair(99U, 99U)));
  BOOST_TEST((range("a.c") == std::pair(99U, 99U)));
}

BOOST_AUTO_TEST_CASE(no_offset_is_not_an_empty_offset) {
  Model model;
  model.entries = {bytes("bytes"), whole("scalar", {}), whole("vector", {4})};
  store_all(model);
  const MetadataFile file = opened(model);
  const MetadataView view = file.view();
  BOOST_TEST(view.find(MetadataIndex{"bytes", std::nullopt, std::nullopt}).found());
  BOOST_TEST(view.find(MetadataIndex{"bytes", Size(), std::nullopt}).absent());
  BOOST_TEST(view.find(MetadataIndex{"scalar", Size(), std::nullopt}).found());
  BOOST_TEST(view.find(MetadataIndex{"scalar", std::nullopt, std::nullopt}).absent());
  BOOST_TEST(view.find(MetadataIndex{"vector", Size{0}, 99}).found());
  BOOST_TEST(view.find(MetadataIndex{"vector", Size(), 0}).absent());
  BOOST_TEST(view.find(MetadataIndex{"vector", Size{0, 0}, 0}).absent());
  BOOST_TEST(view.find(MetadataIndex{"vector", Size{-1}, 0}).absent());
  BOOST_TEST(view.find(MetadataIndex{"nothing", Size{0}, 0}).absent());
}

BOOST_AUTO_TEST_CASE(storage_information_without_a_chunk) {
  Model model;
  model.entries = {bytes("bytes"), whole("tensor", {4})};
  store_all(model);
  const auto loose = [&](std::string fqn, std::optional<Size> offset, std::uint64_t at) {
    ModelItem item;
    item.fqn = std::move(fqn);
    item.offset = std::move(offset);
    item.info = {"loose", at, 1, std::nullopt};
    model.storage_data->push_back(item);
  };
  loose("gone", Size{1, 2}, 1), loose("gone", Size{1}, 2), loose("gone", Size(), 3), loose("gone", std::nullopt, 4);
  loose("tensor", Size{2}, 5), loose("tensor", std::nullopt, 6), loose("bytes", Size{0}, 7), loose("", Size{-9}, 8);
  const MetadataFile file = opened(model);
  BOOST_TEST(differences(file, model).empty());
  const auto at = [&](const char* fqn, std::optional<Size> offset) {
    return file.view().find(MetadataIndex{fqn, std::move(offset), {}})->byte_offset();
  };
  BOOST_TEST(at("gone", Size{1, 2}) == 1U);
  BOOST_TEST(at("gone", std::nullopt) == 4U);
  BOOST_TEST(at("tensor", Size{2}) == 5U);
  BOOST_TEST(at("bytes", Size{0}) == 7U);
  BOOST_TEST(at("", Size{-9}) == 8U);
  BOOST_TEST(file.view().find(MetadataIndex{"gone", Size{2}, {}}).absent());
  BOOST_TEST(file.view().find("gone").absent());
}

BOOST_AUTO_TEST_CASE(chunks_that_start_at_one_place) {
  Model model;
  model.entries = {tensor("t", {8}, {{{4}, {2}}, {{0}, {4}}, {{4}, {4}}, {{4}, {0}}})};
  store_all(model);
  const MetadataFile file = opened(model);
  const TensorView view = *file.view().find("t")->tensor();
  const std::int64_t offset = 4;
  BOOST_TEST((view.find_chunk({&offset, 1})->to_value() == ChunkStorageMetadata{{4}, {2}}));
  for (const std::uint32_t i : {0U, 2U, 3U}) BOOST_TEST(view.chunk(i)->storage()->byte_offset() == 0U);
  BOOST_TEST(differences(file, model).empty());
}

BOOST_AUTO_TEST_SUITE_END()
