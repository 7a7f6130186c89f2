// Merges the `__R.metadata` of a folder and prints what the result says, for comparison with real torch.
//   merge_pickles FOLDER
#include <charconv>
#include <filesystem>
#include <iostream>

#include "../dcp/describe.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/merge.hpp"
#include "flatpoint/verify.hpp"

using namespace flatpoint;

namespace {

int refuse(const Error& error) {
  std::cerr << to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::vector<MetadataFile> files;
  std::vector<Fragment> fragments;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("__") || entry.path().extension() != ".metadata") continue;
    std::uint32_t rank = 0;
    std::from_chars(name.data() + 2, name.data() + name.size(), rank);
    auto imported = dcp::import_file(entry.path());
    if (!imported) return refuse(imported.error());
    auto file = MetadataFile::from_buffer(std::move(imported->bytes));
    if (!file) return refuse(file.error());
    files.push_back(std::move(*file));
    fragments.push_back({&files.back().view().columns(), rank, name});
  }
  for (std::size_t i = 0; i < files.size(); ++i) fragments[i].columns = &files[i].view().columns();
  auto merged = merge(fragments, {.complete = false});
  if (!merged) return refuse(merged.error());
  const auto file = MetadataFile::from_buffer(std::move(merged->bytes));
  if (!file) return refuse(file.error());
  for (const BrokenRule& broken : verify(*file).broken_rules)
    std::cerr << broken.rule << ": " << broken.message << '\n';
  if (!verify(*file).sound()) return 1;
  auto json = test::describe(*file);
  json["findings"] = test::Json::array();
  for (const Finding& finding : merged->findings) json["findings"].push_back(finding.message);
  std::cout << json << '\n';
}
