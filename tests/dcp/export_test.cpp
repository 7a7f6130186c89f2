// Export: what Python says of the result is in test_export_against_python.py; here what the importer says of it, for
// files that no import makes, and for broken ones.
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <random>

#include "dcp/import.hpp"
#include "describe.hpp"
#include "pickle/assemble.hpp"
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

/// The flatpoint file of a pickle, with another's source record. Empty where the importer cannot tell keys apart.
std::string imported(std::span<const std::byte> pickle, const Columns& other) {
  dcp::ImportOptions options;
  options.fragment_rank = other.fragment_rank;
  auto draft = dcp::import_draft(pickle, options, dcp::Lane::Open);
  // Keys beyond DCP's, such as ones of negative offsets, are compared up to a length.
  if (!draft && draft.error().message.ends_with("a key that only Python can hash and compare")) return {};
  BOOST_REQUIRE_MESSAGE(draft, (draft ? "" : draft.error().message));
  draft->draft.source = other.source;
  const auto bytes = write::finish(std::move(draft->draft));
  return text_of(bytes->bytes());
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
    if (again.empty()) continue;
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
  model.entries[0].properties = {};
  model.entries[0].properties.layout = Layout::Other;
  model.entries[0].properties.layout_name = "\xff";
  BOOST_TEST(error_of(model) ==
             "invalid_argument: cannot export 'a': its layout holds bytes that are no str of Python's");
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

BOOST_AUTO_TEST_CASE(what_is_dropped_leaves_nothing) {
  Model model = two_tensors();
  model.opaque = {{OpaqueKind::PlannerData, 0, "",
                   "\x80\x04"
                   "cmegatron\nPlans\n."}};
  dcp::ExportOptions options;
  options.foreign_names = dcp::ForeignNames::Drop;
  const auto done = exported(opened(model), options);
  BOOST_TEST(done.dropped == std::vector<std::string>{"planner_data needs megatron.Plans"},
             boost::test_tools::per_element());
  model.opaque.clear();
  model.planner_data.reset();
  const auto without = exported(opened(model));
  BOOST_TEST((text_of(done.bytes.bytes()) == text_of(without.bytes.bytes())));
  for (const OpaqueKind kind : {OpaqueKind::StateDictItem, OpaqueKind::StorageItem})
    model.opaque.push_back({kind, 0, "",
                            "\x80\x04"
                            "cmegatron\nPlans\nN\x86."});
  const auto items = exported(opened(model), options);
  BOOST_TEST(items.dropped.size() == 2U);
  BOOST_TEST((text_of(items.bytes.bytes()) == text_of(without.bytes.bytes())));
}

BOOST_AUTO_TEST_CASE(broken_opaque_records) {
  Model model = two_tensors();
  model.opaque = {{OpaqueKind::Attribute, 0, "more", "\x80\x04]\x94("}};
  BOOST_TEST(error_of(model).starts_with("bad_pickle: opaque record, attribute 'more' of Metadata: "));
  model.opaque = {{OpaqueKind::StorageItem, 0, "", "\x80\x04N."}};
  BOOST_TEST(error_of(model).starts_with("corrupt: an opaque record of an item that is no pair"));
}

BOOST_AUTO_TEST_CASE(storage_meta_came_with_torch_2_4) {
  Model model = two_tensors();
  model.storage_meta.emplace();
  model.storage_meta->save_id = "the save";
  dcp::ExportOptions options;
  const auto holds_meta = [&](std::uint32_t minor) {
    options.torch_minor = minor;
    const dcp::Exported done = exported(opened(model), options);
    return text_of(done.bytes.bytes()).find("the save") != std::string::npos;
  };
  BOOST_TEST(holds_meta(4));
  BOOST_TEST(!holds_meta(3));
}

/// As the stub files of PyTorch's wheels have it, and for int4 and uint4, which these do not list, PyTorch 2.6 itself.
BOOST_AUTO_TEST_CASE(a_dtype_that_an_older_torch_lacks_is_named) {
  const auto said = [](ScalarType dtype, std::uint32_t minor) {
    Model model = two_tensors();
    model.entries[1].properties.dtype = dtype;
    dcp::ExportOptions options;
    options.torch_minor = minor;
    return error_of(model, options);
  };
  const std::pair<ScalarType, std::uint32_t> first_versions[] = {{ScalarType::Uint16, 3},
                                                                 {ScalarType::Uint64, 3},
                                                                 {ScalarType::Uint4, 3},
                                                                 {ScalarType::Int1, 6},
                                                                 {ScalarType::Int7, 6},
                                                                 {ScalarType::Float8_e8m0fnu, 7},
                                                                 {ScalarType::Float4_e2m1fn_x2, 8},
                                                                 {ScalarType::Bcomplex32, 14}};
  for (const auto& [dtype, first] : first_versions) {
    BOOST_TEST(said(dtype, first) == "none");
    BOOST_TEST(said(dtype, first - 1) == "invalid_argument: cannot export 'b.c': its dtype " +
                                             std::string(name_of(dtype)) + " came with PyTorch 2." +
                                             std::to_string(first));
  }
  for (const ScalarType old :
       {ScalarType::Float8_e4m3fnuz, ScalarType::Bits16, ScalarType::Complex32, ScalarType::Qint32}) {
    BOOST_TEST(said(old, 2) == "none");
  }
}

BOOST_AUTO_TEST_CASE(long_sequences_of_transforms) {
  for (const SequenceType type : {SequenceType::List, SequenceType::Tuple}) {
    for (std::size_t count : {0U, 1U, 3U, 4U, 9U}) {
      Model model = two_tensors();
      ModelItem& item = model.storage_data->front();
      item.info.transform_descriptors.emplace();
      for (std::size_t i = 0; i < count; ++i) item.info.transform_descriptors->push_back("t" + std::to_string(i));
      item.transforms_type = type;
      const MetadataFile file = opened(model);
      const dcp::Exported done = exported(file);
      BOOST_TEST((imported(done.bytes.bytes(), file.view().columns()) == text_of(file.bytes())));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_breaks_a_rule_is_never_written) {
  /// The file of a model with one byte changed, `at` bytes into a column.
  const auto patched = [](const Model& model, auto column, std::size_t at, std::uint8_t value) {
    const MetadataFile file = opened(model);
    const auto bytes = std::as_bytes(column(file.view().columns()));
    const auto where = static_cast<std::size_t>(bytes.data() - file.bytes().data()) + at;
    Buffer copy(file.bytes().size());
    std::ranges::copy(file.bytes(), copy.mutable_bytes().begin());
    copy.mutable_bytes()[where] = static_cast<std::byte>(value);
    const auto broken = MetadataFile::from_buffer(std::move(copy));
    BOOST_REQUIRE(broken);
    const auto done = dcp::export_pickle(broken->view());
    return done ? "none" : std::string(to_string(done.error().code)) + ": " + done.error().message;
  };
  const std::string tail = " breaks a rule of the format; `flatpoint verify` names it";
  Model model = two_tensors();
  std::swap(model.entries[0], model.entries[2]);  // an order that is written out: 2 1 0
  const auto order = [](const Columns& c) { return c.fqn_order; };
  BOOST_TEST(patched(model, order, 0, 1) == "corrupt: the order of FQN 'b.c', which comes twice," + tail);
  const auto entries = [](const Columns& c) { return c.entries; };
  BOOST_TEST(patched(model, entries, offsetof(EntryRow, chunk_count), 200) == "corrupt: more chunks than rows" + tail);
  BOOST_TEST(patched(model, entries, offsetof(EntryRow, fqn_length), 200) == "corrupt: more names than text" + tail);
  BOOST_TEST(patched(model, entries, 2 * sizeof(EntryRow) + offsetof(EntryRow, storage_type), 2) ==
             "corrupt: FQN 'x' without its opaque record" + tail);
  model = two_tensors();
  model.entries[1].fqn = "b.0";
  for (ModelItem& item : *model.storage_data) {
    if (item.fqn == "b.c") item.fqn = "b.0";
  }
  model.entries[1].path = {{1, 0, 0}, {1, 1, 0}};
  model.planner_data = {1};
  BOOST_TEST(error_of(model) == "none");
  const auto fqns = [](const Columns& c) { return c.fqns; };
  BOOST_TEST(patched(model, fqns, 3, '-') == "corrupt: the planner path of FQN 'b.-'" + tail);
  model = two_tensors();
  model.storage_meta.emplace();
  model.storage_meta->modules = {"one", "two"};
  const auto module_ends = [](const Columns& c) { return c.storage_meta->modules.ends; };
  BOOST_TEST(patched(model, module_ends, 4, 200) == "corrupt: the modules of storage_meta" + tail);
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
