#include "support.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace flatpoint::test {

std::filesystem::path samples() { return FLATPOINT_TEST_SAMPLES; }

std::vector<std::filesystem::path> sample_pickles() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(samples())) {
    if (entry.path().filename().string().ends_with(".metadata")) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

std::filesystem::path hand_made(std::string_view name) {
  return std::filesystem::path(FLATPOINT_TEST_PICKLES) / (std::string(name) + ".pickle");
}

std::vector<std::string> hand_made_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(FLATPOINT_TEST_PICKLES)) {
    if (entry.path().extension() == ".pickle") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string import_through(dcp::Lane lane, std::string_view pickle, const dcp::ImportOptions& options) {
  auto imported = dcp::import_draft(bytes_of(pickle), options, lane);
  if (!imported) return "error: " + imported.error().message;
  const auto finished = write::finish(std::move(imported->draft));
  if (!finished) return "error: " + finished.error().message;
  return {reinterpret_cast<const char*>(finished->bytes().data()), finished->size()};
}

}  // namespace flatpoint::test
