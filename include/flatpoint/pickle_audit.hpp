// flatpoint/pickle_audit.hpp - what would unpickling a `.metadata` run? Target flatpoint::dcp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace flatpoint {

/// Something that Python would import, call or change while it unpickles, beyond making DCP's own objects.
struct ForeignAct {
  std::string name;            // "posix.system"; empty where no name is to blame
  std::string what;            // for people: "is called"
  std::uint64_t position = 0;  // of the instruction, in bytes
};

struct PickleAudit {
  std::vector<ForeignAct> acts;  // each once, by first position
  std::uint64_t suppressed = 0;  // acts beyond the first 1000
  bool complete = true;          // false: the last act is where the walk could not go on

  /// Whether unpickling makes objects of DCP's own classes and plain values, and does nothing else.
  [[nodiscard]] bool clean() const noexcept { return acts.empty() && complete; }
};

/// Walks a pickle instruction by instruction, protocols 0 to 5, and judges each name, call and change by a closed list:
/// every callable stands there with the exact form of its arguments. Executes nothing; linear in time and memory.
PickleAudit audit_pickle(std::span<const std::byte> pickle);

}  // namespace flatpoint
