// commands.hpp - what flatpoint_bench can be asked to do. bench/report.py asks for all of it.
#pragma once

#include <filesystem>
#include <string>

namespace bench {

/// A metadata file, and rivals' files with the same facts where there are any.
struct Files {
  std::filesystem::path flatpoint;
  std::filesystem::path lmdb;
  std::filesystem::path sqlite;
};

// Measurements: print lines "work, contender, state, median, minimum, laps", in nanoseconds per operation.
void run_open(const std::string& work, const Files& files);
void run_find(const std::string& work, const Files& files);
void run_index(const std::string& work, const Files& files);

void serve_imports(const std::filesystem::path& pickle);
void serve_comparisons(const std::filesystem::path& flatpoint, const std::filesystem::path& pickle);
void print_open_memory(const std::filesystem::path& path);

// Preparation.
void convert(const std::filesystem::path& pickle, const std::filesystem::path& flatpoint);
void build_stores(const Files& files);

}  // namespace bench
