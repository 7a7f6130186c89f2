// tests/change/fragments.hpp - fragments to merge.
#pragma once

#include "flatpoint/merge.hpp"
#include "write/checkpoints.hpp"

namespace flatpoint::test {

/// Opened fragments with the references that `merge` takes.
struct Fragments {
  std::vector<MetadataFile> files;
  std::vector<Fragment> fragments;

  void add(Buffer bytes) {
    files.push_back(expect(MetadataFile::from_buffer(std::move(bytes))));
    const Columns& columns = files.back().view().columns();
    fragments.push_back(
        {&columns, static_cast<std::uint32_t>(columns.fragment_rank), "f" + std::to_string(columns.fragment_rank)});
  }
  Result<Merged> merge(const MergeOptions& options = {.complete = false}) const {
    return flatpoint::merge(fragments, options);
  }
};

inline void check_conflict(const Result<Merged>& merged, std::string_view message) {
  BOOST_REQUIRE(!merged.has_value());
  BOOST_TEST(to_string(merged.error().code) == "conflict");
  BOOST_TEST(merged.error().message == message);
}

}  // namespace flatpoint::test
