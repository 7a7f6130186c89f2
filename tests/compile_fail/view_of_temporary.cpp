// A view borrows from its file: it cannot be made from one that dies at the end of the line.
#include "flatpoint/metadata_file.hpp"

flatpoint::MetadataFile opened();

std::uint32_t count() {
#ifdef MISUSE
  return opened().view().size();
#else
  const flatpoint::MetadataFile file = opened();
  return file.view().size();
#endif
}
