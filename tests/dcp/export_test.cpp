// Export: what Python says of the result is in test_export_against_python.py; here what the importer says of it, for
// files that no import makes, and for broken ones.
#include <boost/test/unit_test.hpp>
#include <random>

#include "assemble.hpp"
#include "dcp/import.hpp"
#include "describe.hpp"
#include "support.hpp"
#include "support/random_model.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

using namespace std::string_literals;

dcp::Exported exported(const MetadataFile& file, const dcp::ExportOptions& options = {}) {
  auto done = dcp::export_pickle(file.view(), options);
  BOOST_REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
  return std::move(*done);
}

std::string error_of(const Model& model, const dcp::ExportOptions& options = {}) {
  const MetadataFile file = opened(model);
  const auto done = dcp::export_pickle(file.view(), options);
  return done ? "none" : std::string(to_string(done.error().code)) + ": " + done.error().message;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The flatpoint file of a pickle, with another's source record.
std::string imported(std::span<const std::byte> pickle, const Columns& other) {
  dcp::ImportOptions options;
  options.fragment_rank = other.fragment_rank;
  auto draft = dcp::import_draft(pickle, options, dcp::Lane::Open);
  BOOST_REQUIRE_MESSAGE(draft, (draft ? "" : draft.error().message));
  draft->draft.source = other.source;
  return text_of(build::finish(std::move(draft->draft))->bytes());
}

Model two_tensors() {
  Model model;
  model.entries = {tensor("a", {8, 2}, even_grid({8, 2}, {3, 1})), tensor("b.c", {5}, even_grid({5}, {2})), bytes("x")};
  store_all(model);
  return model;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(exporting)

BOOST_AUTO_TEST_CASE(random_files_come_back) {
  unsigned compared = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937_64 random(seed);
    Model model = random_model(random);
    model.opaque.clear();  // no pickles
    std::erase_if(model.entries, [](const ModelEntry& entry) { return entry.type == StorageType::Opaque; });
    model.planner_data.reset();
    for (ModelEntry& entry : model.entries) entry.path.reset();
    model.metadata_class.reset();
    model.storage_info_class.reset();
    // The importer writes paths as Python does, which these are not.
    if (StorageMeta* const meta = model.storage_meta ? &*model.storage_meta : nullptr) {
      meta->checkpoint_id_type = meta->checkpoint_id ? PathType::Str : PathType::Absent;
    }
    const MetadataFile file = opened(model);
    const auto done = dcp::export_pickle(file.view());
    if (!done) {  // a dtype or memory format that no pickle of torch's can name, bytes that are no str
      BOOST_TEST(to_string(done.error().code) == "invalid_argument", done.error().message);
      continue;
    }
    const std::string again = imported(done->bytes.bytes(), file.view().columns());
    const auto file_again = MetadataFile::from_bytes(bytes_of(again));
    // Negative sizes, and numbers beyond int64, are no facts of DCP: the importer makes records of what holds them.
    if (!file_again->view().columns().opaque.empty()) continue;
    ++compared;
    BOOST_TEST((again == text_of(file.bytes())), "seed " << seed);
  }
  BOOST_TEST(compared > 100U);
}

BOOST_AUTO_TEST_CASE(what_has_no_form_in_torch_is_named) {
  Model model = two_tensors();
  model.entries[1].properties.memory_format = MemoryFormat::Other;
  BOOST_TEST(error_of(model) == "invalid_argument: cannot export 'b.c': its memory format has no encoding in DCP");
  model = two_tensors();
  model.entries[0].properties.dtype = ScalarType::Other;
  model.entries[0].properties.dtype_name = "os.system";
  BOOST_TEST(error_of(model) == "invalid_argument: cannot export 'a': its dtype has no name in torch");
  model = two_tensors();
  model.entries[2].fqn = "\xff";
  for (ModelItem& item : *model.storage_data) {
    if (item.fqn == "x") item.fqn = "\xff";
  }
  BOOST_TEST(error_of(model) ==
             "invalid_argument: cannot export '\xff': the FQN holds bytes that are no str of Python's");
}

BOOST_AUTO_TEST_CASE(large_numbers_keep_their_sign) {
  Model model = two_tensors();
  for (ModelItem& item : *model.storage_data) item.info.offset = 0xFFFFFFFFFFFFFFFE;
  const auto done = exported(opened(model));
  const auto bytes = text_of(done.bytes.bytes());
  BOOST_TEST(bytes.find("\x8a\x09\xfe\xff\xff\xff\xff\xff\xff\xff\x00"s) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(classes_of_others) {
  Model model = two_tensors();
  model.storage_info_class = "os system";
  BOOST_TEST(error_of(model) ==
             "opaque_records: class os.system in the place of _StorageInfo, which DCP does not define");
  dcp::ExportOptions options;
  options.foreign_names = dcp::ForeignNames::Drop;
  const auto dropped = exported(opened(model), options);
  BOOST_TEST(dropped.dropped == std::vector<std::string>{"class os.system in the place of _StorageInfo"},
             boost::test_tools::per_element());
  BOOST_TEST(text_of(dropped.bytes.bytes()).find("\x02os") == std::string::npos);
  options.foreign_names = dcp::ForeignNames::Keep;
  const auto kept = exported(opened(model), options);
  BOOST_TEST(imported(kept.bytes.bytes(), {}).find("os system") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(broken_opaque_records) {
  Model model = two_tensors();
  model.opaque = {{OpaqueKind::Attribute, 0, "more", "\x80\x04]\x94("}};
  BOOST_TEST(error_of(model).starts_with("bad_pickle: opaque record, attribute 'more' of Metadata: "));
  model.opaque = {{OpaqueKind::StorageItem, 0, "", "\x80\x04N."}};
  BOOST_TEST(error_of(model).starts_with("corrupt: an opaque record of an item that is no pair"));
}

BOOST_AUTO_TEST_CASE(limits) {
  dcp::ExportOptions options;
  options.limits.max_output_bytes = 100;
  BOOST_TEST(error_of(two_tensors(), options) == "too_large: the pickle exceeds the limit max_output_bytes = 100");
}

// Whatever the bytes are, the answer is a pickle or an error.
BOOST_AUTO_TEST_CASE(broken_files) {
  std::mt19937_64 random(1);
  for (const char* const sample :
       {"d02_dtensor_2d", "s10_zstd", "s23_megatron_all_local_plans", "real_t2.1.2_single"}) {
    const auto imported = dcp::import_file(samples() / sample / ".metadata");
    for (int round = 0; round < 300; ++round) {
      Buffer copy(imported->bytes.size());
      std::ranges::copy(imported->bytes.bytes(), copy.mutable_bytes().begin());
      for (int i = 0; i < 1 + round % 4; ++i)
        copy.mutable_bytes()[random() % copy.size()] = static_cast<std::byte>(random() % 256);
      const auto file = MetadataFile::from_buffer(std::move(copy));
      if (!file) continue;
      dcp::ExportOptions options;
      options.foreign_names = static_cast<dcp::ForeignNames>(round % 3);
      options.limits.max_output_bytes = 1 << 20;
      (void)dcp::export_pickle(file->view(), options);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
