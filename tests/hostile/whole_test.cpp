// Rules V1 to V12 (V13: data_test.cpp): what only `verify` looks at.
#include <algorithm>

#include "flatpoint/verify.hpp"
#include "hostile/rules.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(whole_file)

std::uint32_t row_of(EditableFile& f, std::string_view fqn) { return entry(f, fqn).chunk_begin; }

BOOST_AUTO_TEST_CASE(V1) {
  const Edit unsorted = [](EditableFile& f) {
    f.at(f->fqns, entry(f, "grid").fqn_begin) = 'z';
    f.refill_slots();
  };
  breaks({"V1"}, unsorted);
  breaks({"V1"}, [](EditableFile& f) {  // twice the same name
    const EntryRow even = entry(f, "even");
    std::copy_n(&f.at(f->fqns, even.fqn_begin), 4, &f.at(f->fqns, entry(f, "grid").fqn_begin));
    f.refill_slots();
  });
  breaks({"V1"}, [](EditableFile& f) {  // a gap
    entry(f, "grid").fqn_length -= 1;
    f.refill_slots();
  });
  breaks({"V1"}, [](EditableFile& f) { entry(f, "grid").fqn_begin += 1; });
  breaks({"V1"}, [](EditableFile& f) { f.at(f->loose_storage, 1).fqn_begin -= 1; });
  breaks({"V1"}, [](EditableFile& f) { f.at(f->loose_storage, 1).fqn_length -= 1; });
}

BOOST_AUTO_TEST_CASE(V2) {
  const auto slot = [](EditableFile& f, bool taken) -> std::uint32_t& {
    std::size_t i = 0;
    while ((f->fqn_slots[i] != 0) != taken) ++i;
    return f.at(f->fqn_slots, i);
  };
  breaks({"V2"}, [&](EditableFile& f) { slot(f, true) = 0; });
  breaks({"V2"}, [&](EditableFile& f) { slot(f, true) ^= 1U << 31; });
  breaks({"V2"}, [&](EditableFile& f) { slot(f, true) ^= 1; });
  breaks({"V2"}, [&](EditableFile& f) { slot(f, false) = 0xFFFFFFFF; });
  breaks({"V2"}, [&](EditableFile& f) { std::swap(slot(f, true), slot(f, false)); });
  static const std::uint32_t slots[64] = {};
  breaks_as_columns({"V2"}, [](Columns& c) { c.fqn_slots = slots; });
}

BOOST_AUTO_TEST_CASE(V3) {
  breaks({"V3"}, [](EditableFile& f) { f.at(f->fqn_order) = f->fqn_order[1]; });
  breaks({"V3"}, [](EditableFile& f) { f.at(f->fqn_order) = 9; });
  breaks({"V3"}, [](EditableFile& f) { f.at(f->planner_order) = f->planner_order[1]; });
  breaks({"V3"}, [](EditableFile& f) { f.at(f->planner_order) = 0xFFFFFFFF; });
  breaks({"V3"}, [](EditableFile& f) { f.at(f->planner_order) = 3; });  // "grid" has no path
  breaks_as_columns({"V3"}, [](Columns& c) { c.planner_order = c.planner_order.first(5); });
}

BOOST_AUTO_TEST_CASE(V4) {
  breaks({"V4"}, [](EditableFile& f) { --entry(f, "tiny").chunk_begin; });
  breaks({"V4"}, [](EditableFile& f) {  // a row that belongs to nobody
    EntryRow& row = entry(f, "strided");
    row.chunk_layout = ChunkLayout::Whole;
    row.chunk_count = 1;
  });
  breaks({"V4"}, [](EditableFile& f) {  // bytes with the rows of the tensor behind them
    EntryRow& row = entry(f, "bytes");
    EntryRow& next = entry(f, "even");
    row.chunk_count += next.chunk_count;
    next.chunk_count = 0;
    next.chunk_begin += 4;
    next.chunk_layout = ChunkLayout::Explicit;
    row.length_begin = next.length_begin;
  });
}

BOOST_AUTO_TEST_CASE(V4_opaque_entries_have_no_row) {
  breaks({"V4"}, [](EditableFile& f) { entry(f, "bytes").storage_type = StorageType::Opaque; });
}

BOOST_AUTO_TEST_CASE(V5) {
  breaks({"V5"}, [](EditableFile& f) { f.at(f->boxes, entry(f, "explicit").box_begin) = 100; });
  breaks({"V5"}, [](EditableFile& f) { f.at(f->boxes, entry(f, "grid").box_begin + 3) = 100; });
  breaks({"V5"}, [](EditableFile& f) { f.at(f->boxes, entry(f, "grid").box_begin + 2) = INT64_MAX; });
  breaks({"V5"}, [](EditableFile& f) { f.at(f->boxes, entry(f, "even").box_begin + 2) = -4; });
  breaks({"V5"}, [](EditableFile& f) { f.at(f->boxes, entry(f, "even").box_begin + 3) = INT64_MIN; });
  // Two rows of cells that are empty and start at the same places: row-major is no longer sorted.
  breaks({"V5"}, [](EditableFile& f) { f.at(f->sizes, entry(f, "even").size_begin) = 0; });
}

BOOST_AUTO_TEST_CASE(V6) {
  breaks({"V6"}, [](EditableFile& f) {
    const std::uint32_t begin = entry(f, "reordered").order_begin;
    f.at(f->chunk_order, begin) = f->chunk_order[begin + 1];
  });
}

BOOST_AUTO_TEST_CASE(V7) {
  breaks({"V7"}, [](EditableFile& f) { f.at(f->type_names.ends) = 100; });
  breaks({"V7"}, [](EditableFile& f) { f.at(f->type_names.ends, 1) = f->type_names.ends[0] - 1; });
  breaks({"V7"}, [](EditableFile& f) { f.at(f->type_names.ends, 1) -= 1; });
  breaks({"V7"}, [](EditableFile& f) { f.at(f->transform_names.ends) = 0xFFFFFFFF; });
  breaks({"V7"}, [](EditableFile& f) { f.at(f->storage_meta->modules.ends, 1) = 0xFFFFFFFF; });
  breaks({"V7", "E6"}, [](EditableFile& f) { f.at(f->file_names.ends) = 0xFFFFFFFF; });
  breaks({"V7", "E6"}, [](EditableFile& f) { f.at(f->transform_lists, 1).text_end = 9; });
  breaks_as_columns({"V7"}, [](Columns& c) { c.type_names.ends = c.type_names.ends.first(1); });
  static const std::uint32_t more_paths[] = {1, 2};
  breaks_as_columns({"V7"}, [](Columns& c) { c.path_ends = more_paths; });
  static const std::uint8_t more_text[] = {'x'};
  breaks_as_columns({"V7"}, [](Columns& c) { c.storage_meta->modules.bytes = more_text; });
  static const TransformListRow more_lists[] = {{1, SequenceType::List, {}}, {1, SequenceType::Tuple, {}}};
  breaks_as_columns({"V7"}, [](Columns& c) { c.transform_lists = more_lists; });
}

BOOST_AUTO_TEST_CASE(V8) {
  breaks_as_columns({"V8"}, [](Columns& c) { c.has_storage_data = false; });
  breaks({"V8", "V9"}, [](EditableFile& f) { f.at(f->chunk_files, f->chunk_files.size() - 1) = kNoFile; });
  breaks({"V8"}, [](EditableFile& f) {  // "tiny": two chunks of 1, then two empty ones that start at 2
    ++f.at(f->chunk_byte_offsets, row_of(f, "tiny") + 3);
  });
  breaks({"V8"}, [](EditableFile& f) { f.at(f->chunk_transforms, row_of(f, "tiny") + 3) = 1; });
  breaks({"V8"}, [](EditableFile& f) { f.at(f->chunk_files, row_of(f, "tiny") + 3) = kNoFile; });
  breaks({"V8"}, [](EditableFile& f) { ++f.at(f->chunk_byte_offsets, row_of(f, "explicit") + 2); });
}

BOOST_AUTO_TEST_CASE(V9) {
  breaks({"V9"}, [](EditableFile& f) { f.at(f->storage_order) = f->storage_order[1]; });
  breaks({"V9"}, [](EditableFile& f) { f.at(f->storage_order) = static_cast<std::uint32_t>(f->chunk_files.size()); });
  breaks({"V9"}, [](EditableFile& f) { f.at(f->storage_order) = row_of(f, "tiny") + 3; });
  breaks({"V9"}, [](EditableFile& f) { f.at(f->chunk_files, row_of(f, "plain")) = kNoFile; });
  breaks_as_columns({"V9"}, [](Columns& c) { c.storage_order = c.storage_order.first(3); });
  breaks({"V9"}, [](EditableFile& f) { f.at(f->index_hints).row = 1000; });
  breaks({"V9"}, [](EditableFile& f) { std::swap(f.at(f->index_hints), f.at(f->index_hints, 1)); });
  breaks({"V9"}, [](EditableFile& f) { f.at(f->index_hints).row = f->index_hints[1].row; });
}

BOOST_AUTO_TEST_CASE(V10) {
  breaks({"V10"}, [](EditableFile& f) { f.at(f->fqn_paths) = 2; });
  breaks({"V10"}, [](EditableFile& f) { f.at(f->fqn_paths) = 0xFFFF; });
  for (const std::uint16_t components : {std::uint16_t{0}, std::uint16_t{2}, std::uint16_t{0xFFFF}}) {
    breaks({"V10"}, [&](EditableFile& f) { f.at(f->path_elements).components = components; });
  }
  breaks({"V10"}, [](EditableFile& f) { f.at(f->path_elements).is_index = 1; });
  breaks_as_columns({"V10"}, [](Columns& c) { c.has_planner_data = false; });
}

/// Whether a path cuts a name without breaking V10.
bool fits(std::string name, std::vector<PathElementRow> path) {
  Model model;
  model.entries = {bytes(std::move(name))};
  model.entries[0].path = std::move(path);
  model.planner_data = {0};
  const Buffer file = encoded(model);
  return broken_rules(file.bytes()).empty();
}

BOOST_AUTO_TEST_CASE(V10_ways_to_cut_a_name) {
  BOOST_TEST(fits("a.0.b.c", {{1, 0, 0}, {1, 1, 0}, {2, 0, 0}}));
  BOOST_TEST(!fits("a.0.b.c", {{1, 0, 0}, {1, 1, 0}, {1, 0, 0}}));
  BOOST_TEST(!fits("a.0.b.c", {{1, 0, 0}, {1, 1, 0}, {3, 0, 0}}));
  BOOST_TEST(!fits("a.0.b.c", {{1, 0, 0}, {2, 1, 0}, {1, 0, 0}}));  // an index is one component
  BOOST_TEST(fits("", {}));
  BOOST_TEST(fits("", {{1, 0, 0}}));
  BOOST_TEST(!fits("", {{2, 0, 0}}));
  BOOST_TEST(!fits("a", {}));
  BOOST_TEST(fits("..", {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}}));
  BOOST_TEST(fits("..", {{3, 0, 0}}));
  for (const char* index : {"0", "7", "-1", "9223372036854775807", "-9223372036854775808"})
    BOOST_TEST(fits(index, {{1, 1, 0}}));
  for (const char* index : {"", "-", "00", "01", "-0", "+1", " 1", "1 ", "1x", "0x1", "9223372036854775808", "1e3"}) {
    BOOST_TEST(!fits(index, {{1, 1, 0}}));
  }
}

BOOST_AUTO_TEST_CASE(V11) {
  breaks({"V11"}, [](EditableFile& f) { f.at(f->opaque).name_begin = 0xFFFFFFF0; });
  breaks({"V11"}, [](EditableFile& f) { f.at(f->opaque, 1).name_begin += 1; });
  breaks({"V11"}, [](EditableFile& f) { f.at(f->opaque, 1).pickle_begin -= 1; });
  breaks({"V11"}, [](EditableFile& f) { f.at(f->opaque, 2).pickle_length -= 1; });
  breaks({"V11"}, [](EditableFile& f) { f.at(f->opaque, 2).pickle_length = 0xFFFFFFFF; });
  breaks({"V11"}, [](EditableFile& f) { f.at(f->opaque).kind = OpaqueKind::Version; });
}

BOOST_AUTO_TEST_CASE(V12) {
  breaks({"V12"}, [](EditableFile& f) {  // "plain" before "loose"
    std::copy_n("plainloose", 10, &f.at(f->fqns, f->loose_storage[0].fqn_begin));
  });
  breaks({"V12"}, [](EditableFile& f) {  // one key twice
    std::copy_n("plainplain", 10, &f.at(f->fqns, f->loose_storage[0].fqn_begin));
    f.at(f->loose_storage).has_offset = 0;
  });
}

std::set<std::string> findings(const Edit& edit) {
  EditableFile file(encoded(rich_model()));
  edit(file);
  file.reseal();
  const auto report = verify_bytes(file.bytes());
  BOOST_TEST_REQUIRE(report.has_value());
  for (const BrokenRule& broken : report->broken_rules) BOOST_ERROR(broken.rule << ": " << broken.message);
  std::set<std::string> kinds;
  for (const Finding& finding : report->findings) kinds.insert(finding.kind);
  return kinds;
}

/// Puts other bytes at the start of the first data file's relative_path.
void rename_first_file(EditableFile& file, std::string_view start) {
  for (std::size_t i = 0; i < start.size(); ++i)
    file.at(file->file_names.bytes, i) = static_cast<ByteColumn::value_type>(start[i]);
}

BOOST_AUTO_TEST_CASE(findings_break_no_rule) {
  // "explicit" has an empty chunk where another starts, and both items of loose storage name the same bytes.
  const Rules usual{"empty_chunk_in_place", "loose_storage", "opaque_record", "shared_bytes"};
  const auto also = [&](const char* kind) {
    Rules kinds = usual;
    kinds.insert(kind);
    return join(kinds);
  };
  BOOST_TEST(join(findings([](EditableFile&) {})) == join(usual));
  BOOST_TEST(join(findings([](EditableFile& f) { f.at(f->sizes, entry(f, "grid").size_begin + 1) = 5; })) ==
             also("chunk_outside"));
  BOOST_TEST(join(findings([](EditableFile& f) { f.at(f->boxes, entry(f, "explicit").box_begin + 1) = INT64_MAX; })) ==
             also("chunk_outside"));
  // The empty chunk gets an element, and is one of two real ones at its offset.
  BOOST_TEST(join(findings([](EditableFile& f) { f.at(f->boxes, entry(f, "explicit").box_begin + 5) = 1; })) ==
             "duplicate_chunk loose_storage opaque_record shared_bytes");
  BOOST_TEST(join(findings([](EditableFile& f) {
               entry(f, "plain").properties.dtype = static_cast<ScalarType>(99);
             })) == also("unknown_value"));
  BOOST_TEST(join(findings([](EditableFile& f) { entry(f, "plain").properties.dtype_name = 99; })) ==
             also("unknown_value"));
  BOOST_TEST(join(findings([](EditableFile& f) {
               entry(f, "plain").properties.strides = static_cast<StridesKind>(9);
             })) == also("unknown_value"));
  BOOST_TEST(join(findings([](EditableFile& f) { f.at(f->transform_lists).type = static_cast<SequenceType>(2); })) ==
             also("unknown_value"));
  BOOST_TEST(join(findings([](EditableFile& f) { rename_first_file(f, "/"); })) == also("path_outside"));
  BOOST_TEST(join(findings([](EditableFile& f) { rename_first_file(f, "../"); })) == also("path_outside"));
  BOOST_TEST(join(findings([](EditableFile& f) { rename_first_file(f, "a/../"); })) == also("path_outside"));
  BOOST_TEST(join(findings([](EditableFile& f) { rename_first_file(f, {"\0", 1}); })) == also("path_outside"));
  BOOST_TEST(join(findings([](EditableFile& f) { rename_first_file(f, "..a/..."); })) == join(usual));
  BOOST_TEST(join(findings([](EditableFile& f) { f.at(f->opaque, 2).kind = static_cast<OpaqueKind>(200); })) ==
             also("unknown_value"));
}

BOOST_AUTO_TEST_CASE(chunks_without_storage_information_are_a_finding) {
  Model model = rich_model();
  model.storage_data->erase(model.storage_data->begin());
  const MetadataFile file = opened(model);
  const VerifyReport report = verify(file);
  BOOST_TEST(report.sound());
  BOOST_TEST(std::ranges::count(report.findings, "no_storage", &Finding::kind) == 1);
}

BOOST_AUTO_TEST_CASE(messages_are_counted_and_cut) {
  Model model;
  for (int i = 0; i < 50; ++i)
    model.entries.push_back(tensor("t" + std::to_string(i) + std::string(i == 0 ? 1000 : 0, '\n'), {4}, {{{0}, {9}}}));
  const MetadataFile file = opened(model);
  const VerifyReport report = verify(file, {.max_messages = 3});
  BOOST_TEST(report.findings.size() == 3U);
  BOOST_TEST(report.suppressed == 47U);
  const std::string& message = report.findings[0].message;
  BOOST_TEST(message.size() < 1200U);
  BOOST_TEST(message.find("\\x0a\\x0a") != std::string::npos);
  BOOST_TEST(message.find('\n') == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
