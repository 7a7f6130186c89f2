// Folders, indices and files of safetensors as checkpoints.
#include <array>
#include <boost/test/unit_test.hpp>

#include "flatpoint/data.hpp"
#include "flatpoint/safetensors.hpp"
#include "flatpoint/source.hpp"
#include "safetensors/file.hpp"

using namespace flatpoint;
using test::bytes_member;
using test::safetensors_file;
using test::SafetensorsFolder;

namespace {

std::string note(std::string_view shards) {
  std::string escaped;
  for (const char c : shards) escaped += c == '"' ? std::string("\\\"") : std::string(1, c);
  return R"("__metadata__":{"DCP_SHARDING_INFO":")" + escaped + "\"}";
}

/// A part of a tensor of bytes, [rows, 2].
std::string part(std::string_view name, std::int64_t row, std::string_view bytes) {
  return safetensors_file(
      "{" + note(R"({")" + std::string(name) + R"(":{"saved_offsets":[)" + std::to_string(row) + ",0]}}") + ",\"" +
          std::string(name) + R"(":{"dtype":"U8","shape":[)" + std::to_string(bytes.size() / 2) +
          R"(,2],"data_offsets":[0,)" + std::to_string(bytes.size()) + "]}}",
      bytes);
}

std::string file_of(std::string_view name, std::string_view bytes) {
  return safetensors_file("{" + bytes_member(name, 0, bytes.size()) + "}", bytes);
}

std::string index_of(std::initializer_list<std::pair<std::string_view, std::string_view>> places) {
  std::string map;
  for (const auto& [tensor, file] : places) {
    if (!map.empty()) map += ",";
    map += "\"" + std::string(tensor) + "\":\"" + std::string(file) + "\"";
  }
  return R"({"metadata":{"total_size":4},"weight_map":{)" + map + "}}";
}

std::string read(const dcp::OpenedCheckpoint& opened, std::string_view fqn) {
  const auto reader = data::Reader::open(opened);
  const auto tensor = opened.file.view().find(fqn)->tensor();
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor->size()) elements *= size;
  std::string bytes(static_cast<std::size_t>(elements), '?');
  const Size offsets(tensor->ndim(), 0);
  const auto done = reader->read(*tensor, offsets, tensor->size(), {reinterpret_cast<std::byte*>(bytes.data()), {}});
  BOOST_REQUIRE_MESSAGE(done, done.error().message);
  return bytes;
}

Error refused(const SafetensorsFolder& folder) {
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE(!opened);
  return opened.error();
}

std::vector<std::string> kinds(const dcp::OpenedCheckpoint& opened) {
  std::vector<std::string> kinds;
  for (const Finding& finding : opened.findings) kinds.push_back(finding.kind);
  return kinds;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(imports)

BOOST_AUTO_TEST_CASE(a_folder_and_a_file_of_it) {
  const SafetensorsFolder folder;
  folder.write("model-1.safetensors", file_of("a", "abc"));
  folder.write("model-2.safetensors", file_of("b", "defg"));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  BOOST_TEST((opened->origin == dcp::Origin::Safetensors));
  BOOST_TEST(opened->findings.empty());
  BOOST_TEST(verify(opened->file).sound());
  BOOST_TEST(read(*opened, "a") == "abc");
  BOOST_TEST(read(*opened, "b") == "defg");
  const auto one = dcp::open_checkpoint(folder.path / "model-2.safetensors");
  BOOST_REQUIRE_MESSAGE(one, one.error().message);
  BOOST_TEST(one->file.view().size() == 1U);
  BOOST_TEST(read(*one, "b") == "defg");
}

BOOST_AUTO_TEST_CASE(parts_in_several_files_are_one_tensor) {
  const SafetensorsFolder folder;
  folder.write("shard-2.safetensors", part("w", 2, "efgh"));
  folder.write("shard-1.safetensors", part("w", 0, "abcd"));
  folder.write("shard-3.safetensors", part("w", 4, "ij"));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  BOOST_TEST(read(*opened, "w") == "abcdefghij");
}

BOOST_AUTO_TEST_CASE(a_part_in_the_middle_that_is_missing_is_a_hole) {
  const SafetensorsFolder folder;
  folder.write("shard-1.safetensors", part("w", 0, "abcd"));
  folder.write("shard-3.safetensors", part("w", 4, "ij"));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const auto reader = data::Reader::open(*opened);
  std::array<std::byte, 10> bytes;
  const auto done = reader->read(*opened->file.view().find("w")->tensor(), std::array<std::int64_t, 2>{0, 0},
                                 std::array<std::int64_t, 2>{5, 2}, {bytes.data(), {}});
  BOOST_REQUIRE(!done);
  BOOST_TEST((done.error().code == ErrorCode::Holes));
}

BOOST_AUTO_TEST_CASE(parts_that_contradict_each_other_are_refused) {
  {
    const SafetensorsFolder folder;
    folder.write("1.safetensors", part("w", 0, "abcd"));
    folder.write("2.safetensors", part("w", 0, "abcd"));
    BOOST_TEST((refused(folder).code == ErrorCode::Conflict));
  }
  {
    const SafetensorsFolder folder;
    folder.write("1.safetensors", part("w", 0, "abcd"));
    folder.write(
        "2.safetensors",
        safetensors_file("{" + note(R"({"w":{"saved_offsets":[2]}})") + "," + bytes_member("w", 0, 1) + "}", "x"));
    BOOST_TEST((refused(folder).code == ErrorCode::Conflict));
  }
  {
    const SafetensorsFolder folder;
    folder.write(
        "1.safetensors",
        safetensors_file("{" + note(R"({"w":{"saved_offsets":[2,0]}})") + "," + bytes_member("w", 0, 1) + "}", "x"));
    BOOST_TEST(refused(folder).message.find("has shape [1]") != std::string::npos);
  }
  {
    const SafetensorsFolder folder;
    folder.write("1.safetensors", safetensors_file("{" + note(R"({"w":{"saved_offsets":[9223372036854775807]}})") +
                                                       "," + bytes_member("w", 0, 1) + "}",
                                                   "x"));
    BOOST_TEST(refused(folder).message.find("ends beyond 2^63") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_tensor_in_two_files_is_no_guess) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("w", "abc"));
  folder.write("2.safetensors", file_of("w", "xyz"));
  const Error error = refused(folder);
  BOOST_TEST((error.code == ErrorCode::Conflict));
  BOOST_TEST(error.message.find("nothing says that these are parts") != std::string::npos);
  folder.write("model.safetensors.index.json", index_of({{"w", "2.safetensors"}, {"v", "1.safetensors"}}));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  BOOST_TEST(read(*opened, "w") == "xyz");
  BOOST_TEST((kinds(*opened) == std::vector<std::string>{"ghost_entry", "duplicate_tensor"}));
}

BOOST_AUTO_TEST_CASE(an_index_is_held_to_the_headers) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors",
               safetensors_file("{" + bytes_member("a", 0, 1) + "," + bytes_member("extra", 1, 2) + "}", "ae"));
  folder.write("2.safetensors", file_of("b", "b"));
  folder.write("other.safetensors", file_of("a", "x"));  // which the index does not name: not part of it
  folder.write(
      "model.safetensors.index.json",
      index_of(
          {{"a", "1.safetensors"}, {"b", "1.safetensors"}, {"ghost", "2.safetensors"}, {"lost", "3.safetensors"}}));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const std::vector<std::string> expected{"missing_file", "misplaced_tensor", "ghost_entry", "unindexed_tensor"};
  BOOST_TEST((kinds(*opened) == expected));
  BOOST_TEST(opened->file.view().size() == 3U);
  BOOST_TEST(read(*opened, "a") == "a");
  const auto by_index = dcp::open_checkpoint(folder.path / "model.safetensors.index.json");
  BOOST_REQUIRE_MESSAGE(by_index, by_index.error().message);
  BOOST_TEST(read(*by_index, "extra") == "e");
}

BOOST_AUTO_TEST_CASE(broken_indices_are_refused) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("a", "a"));
  const auto error = [&](std::string_view index) {
    folder.write("model.safetensors.index.json", index);
    return refused(folder);
  };
  BOOST_TEST((error(R"({"weight_map":{"a":"../1.safetensors"}})").code == ErrorCode::Outside));
  BOOST_TEST((error(R"({"weight_map":{"a":"/1.safetensors"}})").code == ErrorCode::Outside));
  BOOST_TEST((error(R"({"weight_map":{"a":""}})").code == ErrorCode::Outside));
  BOOST_TEST((error(R"({"weight_map":{"a":"2.safetensors"}})").code == ErrorCode::NotFound));
  BOOST_TEST((error(R"({"weight_map":{"a":"1.safetensors","a":"1.safetensors"}})").code == ErrorCode::BadItem));
  BOOST_TEST((error("{}").code == ErrorCode::BadItem));
  BOOST_TEST((error("no json").code == ErrorCode::BadItem));
  folder.write("other.safetensors.index.json", "{}");
  BOOST_TEST((refused(folder).code == ErrorCode::Ambiguous));
}

BOOST_AUTO_TEST_CASE(a_file_imported_from_them_is_used_until_they_change) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("a", "abc"));
  const auto imported = safetensors::import_files(folder.path);
  BOOST_REQUIRE_MESSAGE(imported, imported.error().message);
  const auto flatpoint = imported->bytes.bytes();
  folder.write(".metadata.flatpoint", {reinterpret_cast<const char*>(flatpoint.data()), flatpoint.size()});
  const auto origin = [&] {
    const auto opened = dcp::open_checkpoint(folder.path);
    BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
    return std::pair(opened->origin, opened->notices.size());
  };
  BOOST_TEST((origin() == std::pair(dcp::Origin::Flatpoint, std::size_t{0})));
  std::filesystem::last_write_time(folder.path / "1.safetensors", std::filesystem::file_time_type::clock::now());
  BOOST_TEST((origin() == std::pair(dcp::Origin::Flatpoint, std::size_t{1})));  // compared: the same headers
  folder.write("1.safetensors", file_of("b", "abc"));
  BOOST_TEST((origin() == std::pair(dcp::Origin::Safetensors, std::size_t{1})));
  folder.write("1.safetensors", file_of("a", "abc"));
  folder.write("2.safetensors", file_of("b", ""));
  BOOST_TEST((origin() == std::pair(dcp::Origin::Safetensors, std::size_t{1})));
  std::filesystem::remove(folder.path / "2.safetensors");
  std::filesystem::remove(folder.path / "1.safetensors");
  BOOST_TEST((origin() == std::pair(dcp::Origin::Flatpoint, std::size_t{0})));  // nothing to compare it with
}

BOOST_AUTO_TEST_CASE(the_index_and_every_header_count) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("a", "abc"));
  folder.write("2.safetensors", file_of("b", "xyz"));
  folder.write("model.safetensors.index.json", index_of({{"a", "1.safetensors"}, {"b", "2.safetensors"}}));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const auto match = [&] {
    const auto check = dcp::check_source(opened->file.view(), folder.path);
    BOOST_REQUIRE_MESSAGE(check, check.error().message);
    return check->match;
  };
  BOOST_TEST((match() == dcp::SourceMatch::Same));
  const auto change = [&](const std::string& name, std::string_view before, std::string_view after) {
    BOOST_REQUIRE_EQUAL(before.size(), after.size());
    folder.write(name, after);
    BOOST_TEST((match() == dcp::SourceMatch::Stale), name);
    folder.write(name, before);
    BOOST_TEST((match() == dcp::SourceMatch::SameBytes), name);
  };
  change("1.safetensors", file_of("a", "abc"), file_of("c", "abc"));
  change("2.safetensors", file_of("b", "xyz"), file_of("c", "xyz"));
  change("model.safetensors.index.json", index_of({{"a", "1.safetensors"}, {"b", "2.safetensors"}}),
         index_of({{"a", "1.safetensors"}, {"c", "2.safetensors"}}));
  folder.write("1.safetensors", file_of("a", "def"));  // the data are not part of it
  BOOST_TEST((match() == dcp::SourceMatch::SameBytes));
}

BOOST_AUTO_TEST_CASE(a_pickle_comes_first) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("a", "abc"));
  folder.write(".metadata", "no pickle");
  BOOST_TEST((refused(folder).code == ErrorCode::NotPickle));
}

BOOST_AUTO_TEST_CASE(reading_compares_with_the_header) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("a", "abc"));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const auto tensor = *opened->file.view().find("a")->tensor();
  const auto check = [&] {
    const auto reader = data::Reader::open(*opened);
    return reader->check(tensor, *tensor.chunk(0), true);
  };
  BOOST_TEST(check().has_value());
  folder.write("1.safetensors", safetensors_file(R"({"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}})", "abc"));
  BOOST_TEST((check().error().code == ErrorCode::DtypeMismatch));
  folder.write("1.safetensors", file_of("aa", "ab"));  // as long as before
  BOOST_TEST((check().error().code == ErrorCode::BadItem));
  folder.write("1.safetensors", file_of("a", "abc").substr(0, 60));
  BOOST_TEST((check().error().code == ErrorCode::Changed));
}

BOOST_AUTO_TEST_CASE(readers_of_columns_need_no_header) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", file_of("a", "abc"));
  folder.write("weights", file_of("b", "defg"));
  const auto opened = dcp::open_checkpoint(folder.path / "1.safetensors");
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const MetadataView metadata = opened->file.view();
  BOOST_TEST(metadata.columns().chunk_data_begins.size() == 1U);
  const auto data = metadata.find("a")->tensor()->chunk(0)->data();
  BOOST_REQUIRE(data);
  const std::string file = file_of("a", "abc");
  BOOST_TEST(file.substr(data->byte_offset, data->length) == "abc");
  const FileFacts facts = metadata.file_facts(0);
  BOOST_TEST(facts.length.value_or(0) == file.size());
  BOOST_TEST(facts.modified_ns.has_value());
  BOOST_TEST((facts.format == FileFormat::Safetensors));
  // Looking for begins in the files finds the same.
  const auto found = data::find_data(metadata, folder.path);
  BOOST_REQUIRE_MESSAGE(found, found.error().message);
  BOOST_TEST((std::ranges::equal(found->bytes.bytes(), opened->file.bytes())));
  // The name of a file is no matter.
  const auto other = dcp::open_checkpoint(folder.path / "weights");
  BOOST_REQUIRE_MESSAGE(other, other.error().message);
  BOOST_TEST(read(*other, "b") == "defg");
}

BOOST_AUTO_TEST_CASE(empty_tensors_share_a_place) {
  const SafetensorsFolder folder;
  folder.write("1.safetensors", safetensors_file(R"({"a":{"dtype":"U8","shape":[0,2],"data_offsets":[0,0]},)"
                                                 R"("b":{"dtype":"I8","shape":[3,0],"data_offsets":[0,0]}})"));
  const auto opened = dcp::open_checkpoint(folder.path);
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const auto reader = data::Reader::open(*opened);
  for (const char* const fqn : {"a", "b"}) {
    const TensorView tensor = *opened->file.view().find(fqn)->tensor();
    const auto checked = reader->check(tensor, *tensor.chunk(0), true);
    BOOST_TEST(checked.has_value(), (checked ? "" : checked.error().message));
  }
}

BOOST_AUTO_TEST_SUITE_END()
