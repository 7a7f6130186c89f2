// A file owns its mapping: it moves, and is never copied.
#include <utility>

#include "flatpoint/metadata_file.hpp"

flatpoint::MetadataFile second(flatpoint::MetadataFile& file) {
#ifdef MISUSE
  return flatpoint::MetadataFile(file);
#else
  return flatpoint::MetadataFile(std::move(file));
#endif
}
