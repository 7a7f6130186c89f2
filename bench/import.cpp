// Importing a pickle, on demand: bench/report.py lets this process and Python take turns.
#include <chrono>
#include <iostream>
#include <string>

#include "commands.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/source.hpp"
#include "support/files.hpp"
#include "support/keep.hpp"

namespace bench {

void convert(const std::filesystem::path& pickle, const std::filesystem::path& flatpoint) {
  const auto imported = flatpoint::dcp::import_file(pickle);
  if (!imported) die(imported.error().message);
  for (const auto& finding : imported->findings) std::cerr << finding.kind << ": " << finding.message << '\n';
  write_file(flatpoint, imported->bytes.bytes());
}

/// For each line of input: imports, from the disk where the line says "cold", and answers with the nanoseconds it took.
void serve_imports(const std::filesystem::path& pickle) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "cold") drop_from_cache(pickle);
    const auto begin = std::chrono::steady_clock::now();
    const auto imported = flatpoint::dcp::import_file(pickle);
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
    if (!imported) die(imported.error().message);
    std::cout << time.count() << std::endl;
  }
}

/// The same for opening a flatpoint file and comparing all bytes of the pickle beside it, as in a folder that was
/// copied.
void serve_comparisons(const std::filesystem::path& flatpoint, const std::filesystem::path& pickle) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "cold") drop_from_cache(pickle);
    const auto begin = std::chrono::steady_clock::now();
    const auto file = flatpoint::MetadataFile::open(flatpoint);
    if (!file) die(file.error().message);
    const auto check = flatpoint::dcp::check_source(file->view(), pickle, flatpoint::dcp::TrustTime::No);
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
    if (!check || !check->is_source()) die("the flatpoint file is not the pickle's");
    std::cout << time.count() << std::endl;
  }
}

/// Private memory that an open file and many look-ups take, in bytes.
void print_open_memory(const std::filesystem::path& path) {
  { (void)flatpoint::MetadataFile::open(path); }  // what the first call of anything takes is not the file's
  const std::size_t before = private_memory();
  const auto file = flatpoint::MetadataFile::open(path);
  if (!file) die(file.error().message);
  for (std::uint32_t i = 0; i < file->view().size(); ++i) keep(file->view().find(file->view().entry(i)->fqn()).found());
  std::cout << private_memory() - before << std::endl;
}

}  // namespace bench
