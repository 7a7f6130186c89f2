// pickle/made_for_nothing.hpp - calls whose results a pickle throws away.
#pragma once

#include "pickle/heap.hpp"

namespace flatpoint::pickle {

/// An object that the pickle made and `root` does not hold; Unset where there is none. Python may fail at it, or have
/// done anything, and what is said of `root` would not show it. Linear, and free where nothing was dropped; once per
/// heap.
Value made_for_nothing(const Heap& heap, Value root);

}  // namespace flatpoint::pickle
