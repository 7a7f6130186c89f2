// The folder rule of open_checkpoint.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "flatpoint/dcp.hpp"

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

BOOST_AUTO_TEST_CASE(the_time_counts_where_no_id_tells_saves_apart) {
  copy("real_t2.1.2_single", ".metadata", ".metadata");
  import();
  BOOST_TEST((dcp::open_checkpoint(path)->origin == dcp::Origin::Flatpoint));
  fs::last_write_time(path / ".metadata", fs::last_write_time(path / ".metadata") + std::chrono::seconds(1));
  BOOST_TEST((dcp::open_checkpoint(path)->origin == dcp::Origin::Pickle));
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
  BOOST_TEST(dcp::open_checkpoint(path, options)->file.view().columns().fragment_rank == 0);
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
  BOOST_TEST((dcp::open_checkpoint(path, rank_2)->origin == dcp::Origin::Pickle));
  fs::remove(path / "__2.metadata");
  BOOST_TEST((dcp::open_checkpoint(path, rank_2)->origin == dcp::Origin::Flatpoint));
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
  BOOST_TEST(opened->at(1).notices.size() == 1U);

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
  BOOST_TEST((dcp::open_checkpoint(path / ".metadata")->origin == dcp::Origin::Pickle));
  BOOST_TEST((dcp::open_checkpoint(path / ".metadata.flatpoint")->origin == dcp::Origin::Flatpoint));
  std::ofstream(path / "neither") << "neither one nor the other";
  BOOST_TEST((code_of(dcp::open_checkpoint(path / "neither")) == ErrorCode::NotPickle));
}

BOOST_AUTO_TEST_SUITE_END()
