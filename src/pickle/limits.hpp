// pickle/limits.hpp - what a pickle may ask for.
#pragma once

#include <cstdint>

namespace flatpoint::pickle {

/// Each names the attack that it stops; dcp::ImportLimits says which.
struct Limits {
  std::uint32_t max_depth = 256;
  std::uint64_t max_memo = std::uint64_t{1} << 31;
  std::uint64_t max_opcodes = std::uint64_t{1} << 34;
};

/// What kinds of pickles have in common with no other.
struct Dialect {
  bool names = true;            // GLOBAL, STACK_GLOBAL; false: a pickle of plain values alone
  bool persistent_ids = false;  // BINPERSID: torch.save refers so to storages, which lie beside the pickle
};

}  // namespace flatpoint::pickle
