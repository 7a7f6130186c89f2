// Files made to be expensive. No clocks: what would be quadratic would not end.
#include <sys/resource.h>

#include "flatpoint/verify.hpp"
#include "format/encode.hpp"
#include "format/fqn_slots.hpp"
#include "hostile/rules.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

BOOST_AUTO_TEST_SUITE(cost)

/// Columns of `count` equal entries over one name.
struct Crowd {
  Crowd(std::size_t count, std::size_t name_length, EntryRow row)
      : entries(count, row),
        name(name_length, 'n'),
        slots(format::slot_count(static_cast<std::uint32_t>(count)), 0xFFFFFFFF) {
    columns.entries = entries;
    columns.fqns = name;
    columns.fqn_slots = slots;
  }
  VerifyReport report() const {
    auto file = MetadataFile::from_buffer(*format::encode(columns));
    BOOST_TEST_REQUIRE(file.has_value());
    (void)file->view().find("no such name");
    return verify(*file);
  }
  std::vector<EntryRow> entries;
  std::vector<std::uint8_t> name;
  std::vector<std::uint32_t> slots;
  Columns columns;
};

BOOST_AUTO_TEST_CASE(entries_that_share_one_long_name) {
  EntryRow row{};
  row.storage_type = StorageType::Bytes;
  row.fqn_length = 10'000'000;
  Crowd crowd(200'000, 10'000'000, row);  // 2 TB of names to compare, were each looked at
  const VerifyReport report = crowd.report();
  BOOST_TEST(!report.sound());
  BOOST_TEST(report.suppressed > 100'000U);
  for (const BrokenRule& broken : report.broken_rules) BOOST_TEST(broken.message.size() < 1000U);
}

BOOST_AUTO_TEST_CASE(tensors_that_share_all_rows) {
  EntryRow row{};
  row.chunk_layout = ChunkLayout::Explicit;
  row.chunk_count = 1'000'000;
  Crowd crowd(100'000, 0, row);
  const std::vector<std::uint32_t> files(1'000'000, kNoFile);
  crowd.columns.chunk_files = files;
  BOOST_TEST(!crowd.report().sound());
}

BOOST_AUTO_TEST_CASE(grids_of_rank_255) {
  EntryRow row{};
  row.ndim = 255;
  row.chunk_layout = ChunkLayout::EvenGrid;
  row.chunk_count = 1;
  Crowd crowd(100'000, 0, row);
  for (std::uint32_t i = 0; i < crowd.entries.size(); ++i) crowd.entries[i].chunk_begin = i;
  const std::vector<std::uint32_t> files(crowd.entries.size(), kNoFile);
  const std::vector<std::int64_t> ones(510, 1);
  crowd.columns.chunk_files = files;
  crowd.columns.sizes = ones;
  crowd.columns.boxes = ones;
  BOOST_TEST(!crowd.report().sound());
}

BOOST_AUTO_TEST_CASE(ranges_that_collide_in_a_pool_cost_sharing_only) {
  // One bucket of any table of up to 2^16 slots: XXH3 values of 8 bytes found by search.
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; sizes.size() < 300; ++i) {
    if ((XXH3_64bits(&i, sizeof i) & 0xFFF) == 0) sizes.push_back(i);
  }
  Model model;
  for (std::size_t i = 0; i < 2 * sizes.size(); ++i) {
    ModelEntry entry = tensor("t" + std::to_string(i), {sizes[i % sizes.size()]}, {});
    model.entries.push_back(std::move(entry));
  }
  const MetadataFile file = opened(model);
  BOOST_TEST(differences(file, model).empty());
  BOOST_TEST(verify(file).sound());
  BOOST_TEST(file.view().columns().sizes.size() < 600U);
}

BOOST_AUTO_TEST_SUITE_END()
