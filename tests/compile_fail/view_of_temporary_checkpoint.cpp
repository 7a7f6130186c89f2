// The view of a checkpoint that only the Result of `open_checkpoint` owns.
#include "flatpoint/dcp.hpp"

std::uint32_t size() {
#ifdef MISUSE
  const auto view = flatpoint::dcp::open_checkpoint("x")->file.view();
#else
  const auto opened = flatpoint::dcp::open_checkpoint("x");
  const auto view = opened->file.view();
#endif
  return view.size();
}
