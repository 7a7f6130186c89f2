// Prints what the importer makes of each file named on standard input: one line of JSON per line.
#include <fstream>
#include <iostream>

#include "describe.hpp"
#include "flatpoint/verify.hpp"
#include "support.hpp"

using namespace flatpoint;
using test::Json;

namespace {

Json answer(const std::string& path) {
  const std::string pickle = test::read_file(path);
  const std::string open = test::import_through(dcp::Lane::Open, pickle);
  if (open != test::import_through(dcp::Lane::Closed, pickle)) return {{"error", "the fast lane changed the result"}};
  const auto imported = dcp::import_file(path);
  if (!imported) return {{"error", imported.error().message}, {"code", to_string(imported.error().code)}};
  const auto file = MetadataFile::from_bytes(imported->bytes.bytes());
  if (!file) return {{"error", file.error().message}};
  Json description = test::describe(*file);
  for (const Finding& finding : imported->findings) description["findings"].push_back(finding.kind);
  for (const BrokenRule& broken : verify(*file).broken_rules) description["broken_rules"].push_back(broken.message);
  return description;
}

}  // namespace

int main() {
  for (std::string path; std::getline(std::cin, path);) std::cout << answer(path).dump() << "\n";
}
