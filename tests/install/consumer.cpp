// A program of somebody else: imports a `.metadata`, opens the result and looks every tensor up.
#include <cstdio>
#include <utility>

#include "flatpoint/dcp.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto imported = flatpoint::dcp::import_file(argv[1]);
  if (!imported) return std::fprintf(stderr, "%s\n", imported.error().message.c_str()), 1;
  const auto file = flatpoint::MetadataFile::from_buffer(std::move(imported->bytes));
  if (!file) return std::fprintf(stderr, "%s\n", file.error().message.c_str()), 1;

  const flatpoint::MetadataView metadata = file->view();
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) found += metadata.find(metadata.entry(i)->fqn()).found();
  std::printf("%u of %u found\n", found, metadata.size());
  return found == metadata.size() && found > 0 ? 0 : 1;
}
