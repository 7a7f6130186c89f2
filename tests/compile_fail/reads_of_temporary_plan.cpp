// The reads of a plan that only the Result of `plan_load` owns.
#include "flatpoint/wanted_list.hpp"

std::size_t reads(const flatpoint::MetadataView& metadata, const flatpoint::WantedList& wanted) {
#ifdef MISUSE
  const auto reads = flatpoint::plan_load(metadata, wanted.wanted())->reads();
#else
  const auto plan = flatpoint::plan_load(metadata, wanted.wanted());
  const auto reads = plan->reads();
#endif
  return reads.size();
}
