// dcp/machine.hpp - the machine for pickles that hold DCP's classes.
#pragma once

#include "dcp/fast_lane.hpp"
#include "flatpoint/dcp.hpp"
#include "pickle/machine.hpp"

namespace flatpoint::pickle {

extern template class Machine<dcp::FastLane>;

}  // namespace flatpoint::pickle

namespace flatpoint::dcp {

/// Whatever follows from `limits` for the machine.
inline pickle::Limits machine_limits(const ImportLimits& limits) noexcept {
  return {limits.max_depth, limits.max_memo, limits.max_opcodes};
}

class Machine : public pickle::Machine<FastLane> {
 public:
  /// `fast_lane`: whether it is open. With the lane closed every instruction is executed; the result is the same.
  Machine(Heap& heap, const ImportLimits& limits, bool fast_lane, ContentDigest* digest)
      : pickle::Machine<FastLane>(heap, machine_limits(limits), {}, fast_lane, digest) {}
};

}  // namespace flatpoint::dcp
