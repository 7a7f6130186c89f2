// Names change, entries go; nothing else does.
#include "flatpoint/edit.hpp"

#include <functional>
#include <map>

#include "change/expand.hpp"
#include "flatpoint/records.hpp"
#include "write/checkpoints.hpp"
#include "write/draft.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

std::optional<std::string> same(std::string_view fqn) { return std::string(fqn); }

/// A draft with everything in it that a file can hold, in random orders, as an import makes it.
write::Draft random_draft(std::mt19937& random, std::deque<std::string>& texts) {
  const auto text = [&](std::string made) -> std::string_view { return texts.emplace_back(std::move(made)); };
  write::Draft draft;
  draft.has_storage_data = true;
  draft.has_planner_data = random() % 2 == 0;
  for (int i = 0; i < 4; ++i) draft.files.push_back(text("__" + std::to_string(i) + "_0.distcp"));
  draft.transform_lists = {{{text("zstd"), text("x/1")}, SequenceType::Tuple}, {{text("b")}, SequenceType::List}};
  draft.paths = {{{1, 0, 0}, {1, 0, 0}, {1, 0, 0}}, {{3, 0, 0}}, {{2, 0, 0}, {1, 1, 0}}};
  draft.type_names = {text("float7")};
  const std::size_t entries = 1 + random() % 8;
  for (std::size_t e = 0; e < entries; ++e) {
    write::DraftEntry entry;
    entry.fqn = text("layers." + std::string(1, static_cast<char>('a' + random() % 26)) + std::to_string(e) + "." +
                     std::to_string(random() % 100));
    entry.type = random() % 4 == 0 ? StorageType::Bytes : StorageType::Tensor;
    if (draft.has_planner_data && random() % 4 != 0)
      entry.path = static_cast<std::uint32_t>(random() % draft.paths.size());
    entry.chunk_begin = draft.rows.files.size();
    entry.chunk_count = 1;
    if (entry.type == StorageType::Tensor) {
      entry.properties.dtype = random() % 5 == 0 ? ScalarType::Other : ScalarType::Int8;
      entry.ndim = static_cast<std::uint8_t>(random() % 3);
      entry.size_begin = draft.sizes.size();
      for (unsigned d = 0; d < entry.ndim; ++d) draft.sizes.push_back(12);
      if (random() % 2 == 0) {
        entry.properties.strides = StridesKind::Explicit;
        entry.strides_begin = draft.sizes.size();
        for (unsigned d = 0; d < entry.ndim; ++d) draft.sizes.push_back(1);
      }
      entry.box_begin = draft.boxes.size();
      entry.chunk_count = static_cast<std::uint32_t>(random() % 5);
      for (std::uint32_t chunk = 0; chunk < entry.chunk_count; ++chunk) {
        for (unsigned d = 0; d < entry.ndim; ++d) draft.boxes.push_back(static_cast<std::int64_t>(random() % 4) * 3);
        for (unsigned d = 0; d < entry.ndim; ++d) draft.boxes.push_back(3);
      }
    }
    draft.entries.push_back(entry);
    for (std::uint32_t row = 0; row < entry.chunk_count; ++row)
      draft.rows.files.push_back(random() % 6 == 0 ? kNoFile : static_cast<std::uint32_t>(random() % 4));
  }
  for (std::size_t i = random() % 3; i-- > 0;) {
    draft.loose_storage.push_back({text("zz.loose." + std::to_string(i)), true, 1, draft.sizes.size()});
    draft.sizes.push_back(static_cast<std::int64_t>(i));
    draft.rows.files.push_back(1);
  }
  const bool says_one_begin = random() % 2 == 0;
  draft.checksum_kind = ChecksumKind::Xxh3;
  draft.file_facts = {{2000, 5, FileFormat::TorchSave}, {}, {std::nullopt, 7}, {3000, std::nullopt}};
  for (std::size_t row = 0; row < draft.rows.files.size(); ++row) {
    draft.rows.byte_offsets.push_back(random() % 1000);
    draft.rows.lengths.push_back(random() % 10);
    draft.rows.transforms.push_back(static_cast<std::uint16_t>(random() % 3));
    draft.rows.data_begins.push_back(kNoDataBegin);
    draft.rows.checksums.push_back(random() % 3 == 0 ? kNoChecksum : random());
    if (draft.rows.transforms[row] != 0 || random() % 4 == 0) continue;
    draft.rows.data_begins[row] = says_one_begin ? 64U : static_cast<std::uint32_t>(random() % 100);
    draft.rows.lengths[row] = 109;  // the largest box has 9 bytes
  }
  // An order of storage_data names one row of each key.
  std::set<std::pair<std::string_view, std::vector<std::int64_t>>> keys;
  const auto add_key = [&](std::size_t row, std::string_view fqn, std::vector<std::int64_t> offset, bool stored) {
    if (keys.emplace(fqn, std::move(offset)).second && stored)
      draft.storage_order.push_back(static_cast<std::uint32_t>(row));
  };
  for (const write::DraftEntry& entry : draft.entries) {
    for (std::uint32_t i = 0; i < entry.chunk_count; ++i) {
      const auto box =
          draft.boxes.begin() + static_cast<std::ptrdiff_t>(entry.box_begin + std::size_t{2} * entry.ndim * i);
      add_key(entry.chunk_begin + i, entry.fqn, {box, box + entry.ndim},
              draft.rows.files[entry.chunk_begin + i] != kNoFile);
    }
  }
  for (std::size_t i = 0; i < draft.loose_storage.size(); ++i) {
    draft.storage_order.push_back(static_cast<std::uint32_t>(draft.rows.files.size() - draft.loose_storage.size() + i));
  }
  std::shuffle(draft.storage_order.begin(), draft.storage_order.end(), random);
  for (const std::uint32_t row : draft.storage_order) {
    if (random() % 5 == 0) draft.hints.push_back({row, true, 77});
  }
  for (std::uint32_t e = 0; e < draft.entries.size(); ++e) {
    if (draft.entries[e].path != write::kNoPath) draft.planner_order.push_back(e);
  }
  std::shuffle(draft.planner_order.begin(), draft.planner_order.end(), random);
  draft.version = "1.0.0";
  draft.storage_meta.emplace();
  draft.storage_meta->save_id = "id";
  draft.storage_meta->has_modules = true;
  draft.storage_meta->modules = {text("m1"), text("m2")};
  draft.source = SourceRecord{1, 2, 3, true, "tag"};
  draft.metadata_class = "some where";
  return draft;
}

/// What a draft would be without the FQNs that `keeps` refuses, said once more from the start.
write::Draft without(const write::Draft& draft, const std::function<bool(std::string_view)>& keeps) {
  write::Draft out;
  static_cast<write::DraftAttributes&>(out) = draft;
  out.storage_order.clear(), out.hints.clear(), out.planner_order.clear();
  out.sizes = draft.sizes;
  out.boxes = draft.boxes;
  std::map<std::uint32_t, std::uint32_t> rows, entries;
  const auto keep_row = [&](std::size_t row) {
    rows[static_cast<std::uint32_t>(row)] = static_cast<std::uint32_t>(out.rows.files.size());
    out.rows.push_back(draft.rows[row]);
  };
  for (std::uint32_t e = 0; e < draft.entries.size(); ++e) {
    write::DraftEntry entry = draft.entries[e];
    if (!keeps(entry.fqn)) continue;
    const std::size_t begin = out.rows.files.size();
    for (std::uint32_t i = 0; i < entry.chunk_count; ++i) keep_row(entry.chunk_begin + i);
    entry.chunk_begin = begin;
    entries[e] = static_cast<std::uint32_t>(out.entries.size());
    out.entries.push_back(entry);
  }
  const std::size_t first_loose = draft.rows.files.size() - draft.loose_storage.size();
  for (std::size_t i = 0; i < draft.loose_storage.size(); ++i) {
    if (!keeps(draft.loose_storage[i].fqn)) continue;
    keep_row(first_loose + i);
    out.loose_storage.push_back(draft.loose_storage[i]);
  }
  for (const std::uint32_t row : draft.storage_order) {
    if (rows.contains(row)) out.storage_order.push_back(rows[row]);
  }
  for (const write::DraftHint& hint : draft.hints) {
    if (rows.contains(hint.row)) out.hints.push_back({rows[hint.row], hint.known, hint.index});
  }
  for (const std::uint32_t entry : draft.planner_order) {
    if (entries.contains(entry)) out.planner_order.push_back(entries[entry]);
  }
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(edits)

BOOST_AUTO_TEST_CASE(a_file_expands_to_its_draft_and_back) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    std::deque<std::string> texts;
    write::Draft draft = random_draft(random, texts);
    if (round % 3 == 0) draft.opaque.push_back({OpaqueKind::Attribute, 0, "extra", "pickle"});
    const auto file = expect(MetadataFile::from_buffer(expect(write::finish(std::move(draft)))));
    const Buffer again = expect(write::finish(expect(change::expand(file.view().columns()))));
    BOOST_TEST(std::ranges::equal(file.bytes(), again.bytes()), "round " << round);
  }
}

BOOST_AUTO_TEST_CASE(dropping_from_a_file_with_orders) {
  std::mt19937 random(6);
  for (int round = 0; round < 500; ++round) {
    std::deque<std::string> texts;
    const write::Draft draft = random_draft(random, texts);
    const auto seed = random();
    const auto keeps = [&](std::string_view fqn) { return (std::hash<std::string_view>()(fqn) ^ seed) % 3 != 0; };
    write::Draft expected = without(draft, keeps);
    if (expected.storage_order.empty()) continue;  // written out: an order of nothing; in a draft: the default
    const auto file = expect(MetadataFile::from_buffer(expect(finish(write::Draft(draft)))));
    const Buffer dropped = expect(edit(file.view().columns(), [&](std::string_view fqn) {
      return keeps(fqn) ? std::optional(std::string(fqn)) : std::nullopt;
    }));
    BOOST_TEST(equal(dropped, expect(finish(std::move(expected)))), "round " << round);
  }
}

BOOST_AUTO_TEST_CASE(storage_information_without_a_chunk_is_renamed_with_its_fqn) {
  std::mt19937 random(7);
  std::deque<std::string> texts;
  write::Draft draft = random_draft(random, texts);
  while (draft.loose_storage.empty()) draft = random_draft(random, texts);
  draft.loose_storage[0].fqn = draft.entries[0].fqn;
  draft.loose_storage[0].ndim = 1;
  draft.sizes[draft.loose_storage[0].offset_begin] = 999;  // no chunk begins there
  const std::string name(draft.entries[0].fqn);
  const auto file = expect(MetadataFile::from_buffer(expect(finish(std::move(draft)))));
  const auto edited = expect(MetadataFile::from_buffer(expect(edit(file.view().columns(), [&](std::string_view fqn) {
    return std::optional(fqn == name ? "new" : std::string(fqn));
  }))));
  BOOST_TEST(edited.view().find("new").found());
  const auto renamed = first_loose_storage(edited.view(), "new");
  BOOST_TEST(loose_storage(edited.view(), *renamed)->fqn == "new");
}

BOOST_AUTO_TEST_CASE(rows_that_no_entry_has) {
  const auto file = expect(MetadataFile::from_buffer(build_whole({{"b", true, {}, {}, {{{}, {"f", 0, 0, 0}}}}})));
  Columns columns = file.view().columns();
  const std::uint32_t files[] = {0, 0};
  const std::uint64_t offsets[] = {0, 0};
  columns.chunk_files = files;
  columns.chunk_byte_offsets = offsets;
  const auto edited = edit(columns, same);
  BOOST_REQUIRE(!edited.has_value());
  BOOST_TEST(to_string(edited.error()) == "rows of chunks that no entry has (rule V4)");
}

BOOST_AUTO_TEST_CASE(a_name_with_more_dots_than_a_path_holds) {
  auto builder = MetadataBuilder::create();
  expect(builder.add_bytes("a"));
  const PlannerKey path[] = {std::string_view("a")};
  expect(builder.set_planner_path("a", path));
  const auto file = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
  const auto rename_to = [&](std::string name) {
    return edit(file.view().columns(), [&](std::string_view) { return std::optional(name); });
  };
  expect(rename_to(std::string(65534, '.')));
  const auto refused = rename_to(std::string(65535, '.'));
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(to_string(refused.error().code) == "too_large");
}

BOOST_AUTO_TEST_CASE(builders_files_expand_too) {
  std::mt19937 random(2);
  for (int round = 0; round < 100; ++round) {
    const auto file = expect(MetadataFile::from_buffer(build_whole(random_facts(random, random() % 9, 5))));
    const Buffer again = expect(edit(file.view().columns(), same));
    BOOST_TEST(std::ranges::equal(file.bytes(), again.bytes()));
  }
}

BOOST_AUTO_TEST_CASE(broken_files_do_not_expand) {
  std::mt19937 random(3);
  std::deque<std::string> texts;
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    if (round % 100 == 0) texts.clear();
    Buffer bytes = expect(finish(random_draft(random, texts)));
    for (std::uint64_t i = 0; i <= random() % 3; ++i)
      bytes.mutable_bytes()[random() % bytes.size()] = static_cast<std::byte>(random());
    const auto file = MetadataFile::from_buffer(std::move(bytes));
    if (!file) continue;
    const auto edited = edit(file->view().columns(), same, {OpaqueRecords::Drop});
    if (edited) continue;
    ++refused;
    if (edited.error().code == ErrorCode::Corrupt) BOOST_TEST(!edited.error().rule.empty());
  }
  BOOST_TEST(refused > 100);
}

BOOST_AUTO_TEST_CASE(renaming_is_building_with_other_names) {
  std::mt19937 random(4);
  for (int round = 0; round < 100; ++round) {
    Facts facts = random_facts(random, random() % 9, 5);
    const auto file = expect(MetadataFile::from_buffer(build_whole(facts)));
    const auto rename = [](std::string_view fqn) { return std::optional("z" + std::string(fqn.rbegin(), fqn.rend())); };
    const auto renamed = expect(MetadataFile::from_buffer(expect(edit(file.view().columns(), rename))));
    for (EntryFact& fact : facts) fact.fqn = *rename(fact.fqn);
    const auto built = expect(MetadataFile::from_buffer(build_whole(facts)));
    check_sound(renamed);
    BOOST_REQUIRE_EQUAL(renamed.view().size(), built.view().size());
    // The renamed file keeps its dictionaries' orders, so that its bytes are others; its entries are the same.
    BOOST_TEST(std::ranges::equal(renamed.view().columns().fqns, built.view().columns().fqns));
    BOOST_TEST(std::ranges::equal(renamed.view().columns().boxes, built.view().columns().boxes));
    BOOST_TEST(
        std::ranges::equal(renamed.view().columns().chunk_byte_offsets, built.view().columns().chunk_byte_offsets));
    const auto back = [](std::string_view fqn) { return std::optional(std::string(fqn.rbegin(), fqn.rend() - 1)); };
    const Buffer again = expect(edit(renamed.view().columns(), back));
    BOOST_TEST(std::ranges::equal(again.bytes(), file.bytes()));
  }
}

BOOST_AUTO_TEST_CASE(dropping_is_building_without) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Facts facts = random_facts(random, random() % 9, 5);
    const auto file = expect(MetadataFile::from_buffer(build_whole(facts)));
    const auto drop = [](std::string_view fqn) {
      return fqn.ends_with(".bias") ? std::nullopt : std::optional(std::string(fqn));
    };
    const Buffer dropped = expect(edit(file.view().columns(), drop));
    std::erase_if(facts, [&](const EntryFact& fact) { return !drop(fact.fqn); });
    if (facts.empty()) continue;  // storage_data is then empty, but there
    BOOST_TEST(equal(dropped, build_whole(facts)));
  }
}

BOOST_AUTO_TEST_CASE(collisions_are_refused) {
  const auto file = expect(MetadataFile::from_buffer(
      build_whole({{"b", true, {}, {}, {{{}, {"f", 0, 0, 0}}}}, {"a", true, {}, {}, {{{}, {"f", 0, 0, 0}}}}})));
  const auto edited = edit(file.view().columns(), [](std::string_view) { return std::optional<std::string>("c"); });
  BOOST_REQUIRE(!edited.has_value());
  BOOST_TEST(edited.error().message == "FQNs 'a' and 'b' would both become 'c'");
  const auto swapped = edit(file.view().columns(),
                            [](std::string_view fqn) { return std::optional<std::string>(fqn == "a" ? "b" : "a"); });
  BOOST_TEST(swapped.has_value());
}

BOOST_AUTO_TEST_CASE(opaque_records_are_refused_or_dropped) {
  write::Draft draft;
  write::DraftEntry entry;
  entry.fqn = "foreign";
  entry.type = StorageType::Opaque;
  draft.entries.push_back(entry);
  entry.fqn = "known";
  entry.type = StorageType::Bytes;
  draft.entries.push_back(entry);
  draft.opaque.push_back({OpaqueKind::StateDictValue, 0, "foreign", "pickle"});
  const auto file = expect(MetadataFile::from_buffer(expect(finish(std::move(draft)))));
  const auto refused = edit(file.view().columns(), same);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(to_string(refused.error().code) == "opaque_records");
  BOOST_TEST(refused.error().message ==
             "there are 1 opaque records, which may name what the edit changes ('foreign' is one)");
  const auto edited =
      expect(MetadataFile::from_buffer(expect(edit(file.view().columns(), same, {OpaqueRecords::Drop}))));
  BOOST_TEST(edited.view().size() == 1);
  BOOST_TEST(edited.view().columns().opaque.empty());
}

BOOST_AUTO_TEST_CASE(planner_paths_follow_their_names) {
  const auto path_after = [](const std::vector<PlannerKey>& path, const std::string& before, const std::string& after) {
    auto builder = MetadataBuilder::create();
    expect(builder.add_bytes(before));
    expect(builder.set_planner_path(before, path));
    const auto file = expect(MetadataFile::from_buffer(expect(std::move(builder).finish())));
    const auto edited = expect(MetadataFile::from_buffer(
        expect(edit(file.view().columns(), [&](std::string_view) { return std::optional(after); }))));
    check_sound(edited);
    std::string shape;
    for (const PathElementRow& element : edited.view().columns().path_elements)
      shape += std::to_string(element.components) + (element.is_index != 0 ? "i " : " ");
    return shape;
  };
  using S = std::string_view;
  const std::vector<PlannerKey> path{S("optimizer"), S("state"), S("a.weight"), S("exp")};
  const std::string name = "optimizer.state.a.weight.exp";
  BOOST_TEST(path_after(path, name, "optimizer.state.b.weight.exp") == "1 1 2 1 ");
  BOOST_TEST(path_after(path, name, "optimizer.state.blocks.a.weight.exp") == "1 1 3 1 ");
  BOOST_TEST(path_after(path, name, "optimizer.state.weight.exp") == "1 1 1 1 ");
  BOOST_TEST(path_after(path, name, "o.s.t.a.weight.exp") == "6 ");
  BOOST_TEST(path_after(path, name, "new.optimizer.state.a.weight.exp") == "2 1 2 1 ");
  BOOST_TEST(path_after(path, name, name + ".more") == "1 1 2 2 ");
  BOOST_TEST(path_after(path, name, "x") == "1 ");
  BOOST_TEST(path_after({S("model"), S("w")}, "model.w", "w") == "1 ");
  BOOST_TEST(path_after({S("list"), std::int64_t{0}}, "list.0", "list.1") == "1 1i ");
  BOOST_TEST(path_after({S("list"), std::int64_t{0}}, "list.0", "list.x") == "1 1 ");
  BOOST_TEST(path_after({S("list"), std::int64_t{0}}, "list.0", "other.0") == "1 1i ");
}

BOOST_AUTO_TEST_SUITE_END()
