// A view points at its columns: they cannot be a temporary.
#include "flatpoint/views.hpp"

flatpoint::Columns columns();

flatpoint::MetadataView view() {
#ifdef MISUSE
  return flatpoint::MetadataView(columns());
#else
  static const flatpoint::Columns kept = columns();
  return flatpoint::MetadataView(kept);
#endif
}
