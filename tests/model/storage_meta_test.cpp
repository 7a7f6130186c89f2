// StorageMeta as a value, and through a file.
#include "flatpoint/storage_meta.hpp"

#include <boost/test/unit_test.hpp>

#include "flatpoint/metadata_file.hpp"
#include "write/draft.hpp"

using namespace flatpoint;

namespace {

StorageMeta through_a_file(const write::DraftStorageMeta& meta) {
  write::Draft draft;
  draft.storage_meta = meta;
  const auto file = MetadataFile::from_buffer(write::finish(std::move(draft)).value()).value();
  return file.view().storage_meta().value().to_value();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(storage_meta)

BOOST_AUTO_TEST_CASE(begins_as_torchs) {
  const StorageMeta meta;
  BOOST_TEST(!meta.checkpoint_id);
  BOOST_TEST(!meta.save_id);
  BOOST_TEST(!meta.load_id);
  BOOST_REQUIRE(meta.modules);
  BOOST_TEST(meta.modules->empty());
}

BOOST_AUTO_TEST_CASE(no_modules_differ_from_an_empty_list) {
  StorageMeta older;  // from before the attribute existed
  older.modules.reset();
  BOOST_TEST((older != StorageMeta{}));
  BOOST_TEST((through_a_file({}) == older));
  write::DraftStorageMeta empty_list;
  empty_list.has_modules = true;
  BOOST_TEST((through_a_file(empty_list) == StorageMeta{}));
}

BOOST_AUTO_TEST_CASE(everything_comes_back) {
  const auto meta = through_a_file({.checkpoint_id = "/ckpt/7",
                                    .checkpoint_id_type = PathType::PosixPath,
                                    .save_id = "5f1c",
                                    .load_id = "",
                                    .has_modules = true,
                                    .modules = {"a.b", ""}});
  StorageMeta expected;
  expected.checkpoint_id = "/ckpt/7";
  expected.checkpoint_id_type = PathType::PosixPath;
  expected.save_id = "5f1c";
  expected.load_id = "";
  expected.modules = {"a.b", ""};
  BOOST_TEST((meta == expected));
}

BOOST_AUTO_TEST_SUITE_END()
