// Rules E1 to E6: what a view is not handed out without.
#include "hostile/rules.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace flatpoint {
static std::ostream& operator<<(std::ostream& out, LookupStatus status) {
  static constexpr const char* kNames[] = {"Found", "Absent", "Corrupt"};
  return out << kNames[static_cast<int>(status)];
}
}  // namespace flatpoint

BOOST_AUTO_TEST_SUITE(entries)

using S = LookupStatus;
constexpr std::uint32_t kFar = 0xFFFFFFF0;

/// The edit of one entry's row breaks the rules; look-ups stop where the first of them is checked.
void entry_breaks(const Rules& rules, std::string_view fqn, const std::function<void(EntryRow&)>& edit,
                  Answers wanted) {
  const Edit edit_file = [&](EditableFile& f) { edit(entry(f, fqn)); };
  breaks(rules, edit_file);
  const Answers actual = answers(edit_file, fqn);
  BOOST_TEST(actual.find == wanted.find);
  BOOST_TEST(actual.tensor == wanted.tensor);
  BOOST_TEST(actual.chunk == wanted.chunk);
  BOOST_TEST(actual.storage == wanted.storage);
}

constexpr Answers kNoEntry{S::Corrupt, S::Absent, S::Absent, S::Absent};
constexpr Answers kNoTensor{S::Found, S::Corrupt, S::Absent, S::Absent};
constexpr Answers kNoStorage{S::Found, S::Found, S::Found, S::Corrupt};

BOOST_AUTO_TEST_CASE(E1) {
  for (const std::uint32_t begin : {kFar, 0xFFFFFFFFU, 100'000U}) {
    entry_breaks(
        {"E1"}, "plain", [&](EntryRow& row) { row.fqn_begin = begin; }, kNoEntry);
  }
  entry_breaks(
      {"E1"}, "plain", [](EntryRow& row) { row.fqn_length = kFar; }, kNoEntry);
  for (const std::uint32_t begin : {kFar, 100'000U}) {
    breaks({"E1"}, [&](EditableFile& f) { f.at(f->loose_storage).fqn_begin = begin; });
  }
}

BOOST_AUTO_TEST_CASE(E2) {
  for (const std::uint32_t begin : {kFar, 0xFFFFFFFFU}) {
    entry_breaks(
        {"E2"}, "plain", [&](EntryRow& row) { row.size_begin = begin; }, kNoTensor);
  }
  entry_breaks(
      {"E2"}, "even", [](EntryRow& row) { row.ndim = 255; }, kNoTensor);
  breaks({"E2"}, [](EditableFile& f) {  // the size inside, the strides behind it not
    entry(f, "strided").size_begin = static_cast<std::uint32_t>(f->sizes.size() - 1);
  });
  breaks({"E2"}, [](EditableFile& f) { f.at(f->loose_storage).offset_begin = kFar; });
}

BOOST_AUTO_TEST_CASE(E3) {
  for (const char* fqn : {"even", "grid", "explicit"}) {
    entry_breaks(
        {"E3"}, fqn, [](EntryRow& row) { row.box_begin = kFar; }, kNoTensor);
  }
  entry_breaks(
      {"E3"}, "grid", [](EntryRow& row) { row.chunk_layout = ChunkLayout::Whole; }, kNoTensor);
  entry_breaks(
      {"E3"}, "grid", [](EntryRow& row) { row.chunk_layout = static_cast<ChunkLayout>(4); }, kNoTensor);
  entry_breaks(
      {"E3"}, "grid", [](EntryRow& row) { row.chunk_layout = static_cast<ChunkLayout>(255); }, kNoTensor);
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{3}, INT64_MAX, INT64_MIN}) {
    const auto set = [&](std::string_view fqn, std::size_t dimension) {
      return [=](EditableFile& f) { f.at(f->boxes, entry(f, fqn).box_begin + dimension) = count; };
    };
    breaks({"E3"}, set("grid", 0));
    breaks({"E3"}, set("grid", 1));
    BOOST_TEST(answers(set("grid", 0), "grid").tensor == S::Corrupt);
  }
  breaks({"E3"}, [](EditableFile& f) {  // counts whose product is right modulo 2^64
    EntryRow& row = entry(f, "even");
    f.at(f->boxes, row.box_begin) = std::int64_t{1} << 62;
    f.at(f->boxes, row.box_begin + 1) = (std::int64_t{1} << 2) + 1;
  });
}

BOOST_AUTO_TEST_CASE(E4) {
  for (const std::uint32_t begin : {kFar, 0xFFFFFFFFU}) {
    breaks({"E4"}, [&](EditableFile& f) { entry(f, "tiny").chunk_begin = begin; });
    BOOST_TEST(answers([&](EditableFile& f) { entry(f, "tiny").chunk_begin = begin; }, "tiny").find == S::Corrupt);
  }
  const Edit into_loose_rows = [](EditableFile& f) { entry(f, "tiny").chunk_count = 5; };  // the last entry
  breaks({"E4"}, into_loose_rows);
  BOOST_TEST(answers(into_loose_rows, "tiny").find == S::Corrupt);
}

BOOST_AUTO_TEST_CASE(E5) {
  entry_breaks(
      {"E5"}, "reordered", [](EntryRow& row) { row.order_begin = kFar; }, kNoTensor);
  for (const std::uint32_t value : {4U, 0xFFFFFFFFU}) {
    const Edit edit = [&](EditableFile& f) { f.at(f->chunk_order, entry(f, "reordered").order_begin) = value; };
    breaks({"E5"}, edit);
    BOOST_TEST(answers(edit, "reordered").chunk == S::Corrupt);
  }
}

BOOST_AUTO_TEST_CASE(E6) {
  const Edit file = [](EditableFile& f) { f.at(f->chunk_files, entry(f, "plain").chunk_begin) = 1000; };
  breaks({"E6"}, file);
  BOOST_TEST(answers(file, "plain").storage == S::Corrupt);
  entry_breaks(
      {"E6"}, "plain", [](EntryRow& row) { row.length_begin = kFar; }, kNoStorage);
  breaks({"E6"}, [](EditableFile& f) { f.at(f->loose_storage).length_begin = kFar; });
  breaks({"E6"}, [](EditableFile& f) {
    EntryRow& row = entry(f, "even");
    row.lengths_differ = 1;
    row.length_begin = static_cast<std::uint32_t>(f->chunk_lengths.size() - 1);
  });
  for (const std::uint16_t list : {std::uint16_t{3}, std::uint16_t{0xFFFF}}) {
    const Edit transforms = [&](EditableFile& f) { f.at(f->chunk_transforms, entry(f, "plain").chunk_begin) = list; };
    breaks({"E6"}, transforms);
    BOOST_TEST(answers(transforms, "plain").storage == S::Corrupt);
  }
  breaks_as_columns({"E6"}, [](Columns& c) { c.chunk_byte_offsets = {}; });
  breaks_as_columns({"E6"}, [](Columns& c) { c.chunk_lengths = {}; });
  breaks_as_columns({"E6"}, [](Columns& c) { c.file_names = {}; });
  breaks_as_columns({"E6", "V7"}, [](Columns& c) { c.transform_lists = {}; });
}

BOOST_AUTO_TEST_SUITE_END()
