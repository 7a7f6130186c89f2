// The folder rule of open_checkpoint.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "flatpoint/dcp.hpp"
#include "flatpoint/source.hpp"

namespace fs = std::filesystem;
namespace dcp = flatpoint::dcp;
using flatpoint::ErrorCode;

namespace {

const fs::path kSamples = FLATPOINT_TEST_SAMPLES;

/// An empty folder that goes with the test.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "flatpoint-open-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }

  void copy(const std::string& sample, const std::string& from, const std::string& to) const {
    fs::copy_file(kSamples / sample / from, path / to, fs::copy_options::overwrite_existing);
    age(to, std::chrono::hours(1));
  }
  /// Gives a file the time of so long ago.
  void age(const std::string& name, std::chrono::nanoseconds by) const {
    fs::last_write_time(path / name, fs::file_time_type::clock::now() - by);
  }
  /// Writes other bytes of the same length into a pickle: its first text that is `from` becomes `to`.
  void change(const std::string& name, std::string_view from, std::string_view to) const {
    std::string content = read(name);
    const std::size_t at = content.find(from);
    BOOST_REQUIRE(at != std::string::npos && from.size() == to.size());
    content.replace(at, from.size(), to);
    std::ofstream(path / name, std::ios::binary) << content;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  /// Imports a pickle of the folder to the flatpoint file beside it.
  void import(const std::string& pickle = ".metadata", std::int32_t rank = -1) const {
    const auto imported = dcp::import_file(path / pickle, {.limits = {}, .modified_ns = {}, .fragment_rank = rank});
    BOOST_REQUIRE(imported.has_value());
    const auto bytes = imported->bytes.bytes();
    std::ofstream(path / (pickle + ".flatpoint"), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
};

ErrorCode code_of(const flatpoint::Result<dcp::OpenedCheckpoint>& opened) {
  BOOST_REQUIRE(!opened.has_value());
  return opened.error().code;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(open_checkpoint, Folder)

BOOST_AUTO_TEST_CASE(a_folder_with_a_pickle_is_imported) {
  copy("s01_plain_tensors", ".metadata", ".metadata");
  const auto opened = dcp::open_checkpoint(path);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->origin == dcp::Origin::Pickle));
  BOOST_TEST(opened->path == path / ".metadata");
  BOOST_TEST(opened->file.view().size() == 3U);
  BOOST_TEST(!fs::exists(path / ".metadata.flatpoint"));
}

BOOST_AUTO_TEST_CASE(of_both_the_file_that_was_imported_from_this_pickle_wins) {
  copy("s01_plain_tensors", ".metadata", ".metadata");
  import();
  const auto opened = dcp::open_checkpoint(path);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->origin == dcp::Origin::Flatpoint));
  BOOST_TEST(opened->notices.empty());
}

BOOST_AUTO_TEST_CASE(a_file_from_another_pickle_is_passed_over_with_a_notice) {
  copy("s01_plain_tensors", ".metadata", ".metadata");
  import();
  copy("s07_optimizer_bytes", ".metadata", ".metadata");
  const auto opened = dcp::open_checkpoint(path);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->origin == dcp::Origin::Pickle));
  BOOST_TEST(opened->notices.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_broken_file_beside_a_pickle_is_passed_over_with_a_notice) {
  copy("s01_plain_tensors", ".metadata", ".metadata");
  std::ofstream(path / ".metadata.flatpoint") << "not one of ours";
  const auto opened = dcp::open_checkpoint(path);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->origin == dcp::Origin::Pickle));
  BOOST_TEST(opened->notices.size() == 1U);
}

BOOST_AUTO_TEST_CASE(another_time_and_the_same_bytes_are_told_once) {
  copy("real_t2.1.2_single", ".metadata", ".metadata");
  import();
  BOOST_TEST(dcp::open_checkpoint(path).value().notices.empty());
  age(".metadata", std::chrono::hours(2));  // as a copy of the folder has it
  const auto opened = dcp::open_checkpoint(path);
  BOOST_TEST((opened->origin == dcp::Origin::Flatpoint));
  BOOST_TEST_REQUIRE(opened->notices.size() == 1U);
  BOOST_TEST(opened->notices.front().find("flatpoint import") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(another_time_and_other_bytes_of_the_same_length_are_stale) {
  // The change lies before the last 4 KiB, and the save's id stays.
  copy("synthetic_w64_1000", ".metadata", ".metadata");
  import();
  change(".metadata", "__0_0.distcp", "__9_0.distcp");
  const auto opened = dcp::open_checkpoint(path);
  BOOST_TEST((opened->origin == dcp::Origin::Pickle));
  BOOST_TEST_REQUIRE(opened->notices.size() == 1U);
  BOOST_TEST(opened->notices.front().find("was not imported from the .metadata") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_same_time_proves_nothing_within_a_tick_of_the_import) {
  for (const bool recent : {false, true}) {
    copy("synthetic_w64_1000", ".metadata", ".metadata");
    const auto age_of_it = std::chrono::hours(recent ? -1 : 1);  // the future is as recent
    age(".metadata", age_of_it);
    import();
    const auto time = fs::last_write_time(path / ".metadata");
    change(".metadata", "__0_0.distcp", "__9_0.distcp");
    fs::last_write_time(path / ".metadata", time);
    const auto opened = dcp::open_checkpoint(path);
    BOOST_TEST((opened->origin == (recent ? dcp::Origin::Pickle : dcp::Origin::Flatpoint)));
  }
}

BOOST_AUTO_TEST_CASE(a_time_in_whole_seconds_has_a_tick_of_two) {
  using std::chrono::seconds;
  copy("s01_plain_tensors", ".metadata", ".metadata");
  for (const auto& [by, recent] : {std::pair(seconds(0), true), std::pair(seconds(3), false)}) {
    const auto now = std::chrono::time_point_cast<seconds>(fs::file_time_type::clock::now());
    fs::last_write_time(path / ".metadata", now - by);
    const auto imported = dcp::import_file(path / ".metadata");
    BOOST_REQUIRE(imported.has_value());
    const auto file = flatpoint::MetadataFile::from_bytes(imported->bytes.bytes());
    BOOST_TEST(file->view().columns().source->modified_recently == recent);
  }
}

BOOST_AUTO_TEST_CASE(which_pickle_a_file_stands_beside) {
  copy("d09_no_collectives", "__2.metadata", "__2.metadata");
  import("__2.metadata", 2);
  copy("s01_plain_tensors", ".metadata", ".metadata");
  import();
  const auto name = [&](const char* opened_as, const char* of) {
    const auto file = flatpoint::MetadataFile::open(path / of);
    return dcp::source_beside(path / opened_as, file->view()).filename().string();
  };
  BOOST_TEST(name("__2.metadata.flatpoint", "__2.metadata.flatpoint") == "__2.metadata");
  BOOST_TEST(name(".metadata.flatpoint", ".metadata.flatpoint") == ".metadata");
  BOOST_TEST(name("any.flatpoint", "__2.metadata.flatpoint") == "__2.metadata");
  BOOST_TEST(name("any.flatpoint", ".metadata.flatpoint") == ".metadata");
  BOOST_TEST(name("any", ".metadata.flatpoint") == ".metadata");
}

BOOST_AUTO_TEST_CASE(a_single_rank_is_used_and_several_must_be_told_apart) {
  copy("d09_no_collectives", "__2.metadata", "__2.metadata");
  const auto one = dcp::open_checkpoint(path);
  BOOST_REQUIRE(one.has_value());
  BOOST_TEST(one->file.view().columns().fragment_rank == 2);
  copy("d09_no_collectives", "__0.metadata", "__0.metadata");
  BOOST_TEST((code_of(dcp::open_checkpoint(path)) == ErrorCode::Ambiguous));
  dcp::OpenOptions options;
  options.rank = 0;
  const auto of_rank = dcp::open_checkpoint(path, options);
  BOOST_TEST(of_rank->file.view().columns().fragment_rank == 0);
  options.rank = 1;
  BOOST_TEST((code_of(dcp::open_checkpoint(path, options)) == ErrorCode::NotFound));
}

BOOST_AUTO_TEST_CASE(a_rank_has_a_flatpoint_file_as_the_whole_has) {
  copy("d09_no_collectives", "__2.metadata", "__2.metadata");
  import("__2.metadata", 2);
  dcp::OpenOptions rank_2;
  rank_2.rank = 2;
  for (const auto& options : {dcp::OpenOptions(), rank_2}) {
    const auto both = dcp::open_checkpoint(path, options);
    BOOST_REQUIRE(both.has_value());
    BOOST_TEST((both->origin == dcp::Origin::Flatpoint));
    BOOST_TEST(both->file.view().columns().fragment_rank == 2);
  }
  copy("d09_no_collectives", "__1.metadata", "__2.metadata");
  BOOST_TEST((dcp::open_checkpoint(path, rank_2).value().origin == dcp::Origin::Pickle));
  fs::remove(path / "__2.metadata");
  BOOST_TEST((dcp::open_checkpoint(path, rank_2).value().origin == dcp::Origin::Flatpoint));
}

BOOST_AUTO_TEST_CASE(fragments_of_a_folder) {
  BOOST_TEST((dcp::open_fragments(path).error().code == ErrorCode::NotFound));
  BOOST_TEST((dcp::open_fragments(path / "nowhere").error().code == ErrorCode::Io));
  copy("s01_plain_tensors", ".metadata", ".metadata");
  import();  // no fragment: of the whole
  BOOST_TEST((dcp::open_fragments(path).error().code == ErrorCode::NotFound));
  for (const std::int32_t rank : {0, 1, 3}) {
    const std::string name = "__" + std::to_string(rank) + ".metadata";
    copy("d09_no_collectives", name, name);
    import(name, rank);
  }
  fs::remove(path / "__1.metadata");
  copy("d09_no_collectives", "__2.metadata", "__3.metadata");  // not what was imported
  fs::rename(path / "__0.metadata.flatpoint", path / "any.flatpoint");
  fs::remove(path / "__0.metadata");

  const auto opened = dcp::open_fragments(path);
  BOOST_REQUIRE(opened.has_value());
  std::vector<std::pair<std::string, std::int32_t>> names;
  for (const auto& each : *opened) {
    names.emplace_back(each.path.filename().string(), each.file.view().columns().fragment_rank);
  }
  const std::vector<std::pair<std::string, std::int32_t>> expected{
      {"__1.metadata.flatpoint", 1}, {"__3.metadata", 3}, {"any.flatpoint", 0}};
  BOOST_TEST((names == expected));
  BOOST_TEST_REQUIRE(opened->at(1).notices.size() == 1U);
  BOOST_TEST(opened->at(1).notices.front().find("from the __3.metadata beside it") != std::string::npos);

  std::ofstream(path / "__5.metadata") << "broken";
  BOOST_TEST((dcp::open_fragments(path).error().code == ErrorCode::NotPickle));
}

BOOST_AUTO_TEST_CASE(nothing_to_open_is_not_found) {
  BOOST_TEST((code_of(dcp::open_checkpoint(path)) == ErrorCode::NotFound));
  BOOST_TEST((code_of(dcp::open_checkpoint(path / "nowhere")) == ErrorCode::NotFound));
  std::ofstream(path / "__x.metadata") << "no rank";
  BOOST_TEST((code_of(dcp::open_checkpoint(path)) == ErrorCode::NotFound));
}

BOOST_AUTO_TEST_CASE(a_file_is_opened_as_what_it_is) {
  copy("s01_plain_tensors", ".metadata", ".metadata");
  import();
  BOOST_TEST((dcp::open_checkpoint(path / ".metadata").value().origin == dcp::Origin::Pickle));
  BOOST_TEST((dcp::open_checkpoint(path / ".metadata.flatpoint").value().origin == dcp::Origin::Flatpoint));
  std::ofstream(path / "neither") << "neither one nor the other";
  BOOST_TEST((code_of(dcp::open_checkpoint(path / "neither")) == ErrorCode::NotPickle));
}

BOOST_AUTO_TEST_SUITE_END()
