// What the tests of the importer share.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dcp/import.hpp"
#include "flatpoint/dcp.hpp"

namespace flatpoint::test {

std::filesystem::path samples();
/// Every `.metadata` and `__R.metadata` of the samples, sorted.
std::vector<std::filesystem::path> sample_pickles();
/// Hand-made pickles of tests/dcp/pickles (make_pickles.py writes them), by name without extension.
std::filesystem::path hand_made(std::string_view name);
std::vector<std::string> hand_made_names();

std::string read_file(const std::filesystem::path& path);
std::span<const std::byte> bytes_of(std::string_view text);

/// The finished file, or "error: " and the message.
std::string import_through(dcp::Lane lane, std::string_view pickle, const dcp::ImportOptions& options = {});

}  // namespace flatpoint::test
