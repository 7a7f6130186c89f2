// The view of a file that only the Result of `open` owns.
#include "flatpoint/metadata_file.hpp"

std::uint32_t size() {
#ifdef MISUSE
  const auto view = flatpoint::MetadataFile::open("x")->view();
#else
  const auto file = flatpoint::MetadataFile::open("x");
  const auto view = file->view();
#endif
  return view.size();
}
