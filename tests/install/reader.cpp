// A program of somebody else that links the core alone.
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/verify.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto file = flatpoint::MetadataFile::open(argv[1]);
  return file && flatpoint::verify(*file).sound() ? 0 : 1;
}
