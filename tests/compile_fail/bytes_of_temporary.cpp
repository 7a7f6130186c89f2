// The bytes of a file are its mapping's: they cannot be taken from a file that dies at the end of the line.
#include "flatpoint/metadata_file.hpp"

flatpoint::MetadataFile opened();

std::size_t size() {
#ifdef MISUSE
  return opened().bytes().size();
#else
  const flatpoint::MetadataFile file = opened();
  return file.bytes().size();
#endif
}
