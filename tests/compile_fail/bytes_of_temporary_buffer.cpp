// A buffer owns its bytes: they cannot be taken from one that dies at the end of the line.
#include "flatpoint/buffer.hpp"

flatpoint::Buffer made();

std::size_t size() {
#ifdef MISUSE
  return made().bytes().size();
#else
  const flatpoint::Buffer buffer = made();
  return buffer.bytes().size();
#endif
}
