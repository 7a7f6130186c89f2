// Breaks one rule of docs/format.md in the bytes of a sound file and asks which one that is.
#pragma once

#include <boost/test/unit_test.hpp>
#include <functional>
#include <set>
#include <string>

#include "flatpoint/metadata_file.hpp"
#include "support/editable_file.hpp"
#include "support/rich_model.hpp"
#include "support/walk.hpp"

namespace flatpoint::test {

using Rules = std::set<std::string>;
using Edit = std::function<void(EditableFile&)>;

inline std::string join(const Rules& rules) {
  std::string text;
  for (const std::string& rule : rules) text += (text.empty() ? "" : " ") + rule;
  return text;
}

/// The rich model's file, one edit in place, a right digest: exactly these rules are broken.
inline void breaks(const Rules& rules, const Edit& edit) {
  EditableFile file(encoded(rich_model()));
  edit(file);
  file.reseal();
  BOOST_TEST(join(broken_rules(file.bytes())) == join(rules));
  for (const std::string& wrong : check_any_bytes(file.bytes())) BOOST_ERROR(wrong);
}

/// The same for columns that were changed and encoded again.
inline void breaks_as_columns(const Rules& rules, const std::function<void(Columns&)>& edit) {
  EditableFile source(encoded(rich_model()));
  Columns columns = *source.operator->();
  edit(columns);
  EditableFile file(columns);
  BOOST_TEST(join(broken_rules(file.bytes())) == join(rules));
  for (const std::string& wrong : check_any_bytes(file.bytes())) BOOST_ERROR(wrong);
}

/// Opening refuses the file and names the rule.
inline void refused(const std::string& rule, ErrorCode code, const Edit& edit) {
  EditableFile file(encoded(rich_model()));
  edit(file);
  const auto opened = MetadataFile::from_bytes(file.bytes());
  BOOST_TEST_REQUIRE(!opened.has_value());
  BOOST_TEST(opened.error().rule == rule, opened.error().message);
  BOOST_TEST(to_string(opened.error().code) == to_string(code));
  BOOST_TEST(join(broken_rules(file.bytes())) == rule);
}

/// The entry of the rich model with that name, in an editable file.
inline EntryRow& entry(EditableFile& file, std::string_view fqn) {
  for (std::size_t i = 0; i < file->entries.size(); ++i) {
    EntryRow& row = file.at(file->entries, i);
    const auto name = file->fqns.subspan(row.fqn_begin, row.fqn_length);
    if (std::equal(name.begin(), name.end(), fqn.begin(), fqn.end())) return row;
  }
  throw std::runtime_error("no such entry");
}

/// What look-ups say of an entry whose row was edited.
struct Answers {
  LookupStatus find, tensor, chunk, storage;
};
inline Answers answers(const Edit& edit, std::string_view fqn) {
  EditableFile file(encoded(rich_model()));
  edit(file);
  const auto opened = MetadataFile::from_bytes(file.bytes());
  BOOST_TEST_REQUIRE(opened.has_value());
  const MetadataView view = opened->view();
  const auto found = view.find(fqn);
  // The row is checked wherever it is read.
  const MetadataFile sound = test::opened(rich_model());
  const std::uint32_t position = sound.view().find(fqn)->position();
  BOOST_TEST((view.entry(position).status() == found.status()));
  if (found.corrupt()) BOOST_TEST(view.find_storage(fqn, std::nullopt).corrupt());
  const auto tensor = found ? found->tensor() : Lookup<TensorView>(LookupStatus::Absent);
  const auto chunk = tensor ? tensor->chunk(0) : Lookup<ChunkView>(LookupStatus::Absent);
  const auto storage = chunk ? chunk->storage() : Lookup<StorageInfoView>(LookupStatus::Absent);
  return {found.status(), tensor.status(), chunk.status(), storage.status()};
}

}  // namespace flatpoint::test
