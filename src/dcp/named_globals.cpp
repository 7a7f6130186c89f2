#include "dcp/machine.hpp"

namespace flatpoint::dcp {

Result<std::vector<std::string>> named_globals(std::span<const std::byte> pickle, const ImportLimits& limits) {
  if (pickle.size() > limits.max_input_bytes) {
    return fail(ErrorCode::TooLarge, "the pickle exceeds the limit max_input_bytes");
  }
  Heap heap({reinterpret_cast<const std::uint8_t*>(pickle.data()), pickle.size()});
  Machine machine(heap, limits, false, nullptr);
  if (machine.run() != Machine::Outcome::Done) return tl::unexpected(machine.error());
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < heap.globals.size(); ++i) {
    names.push_back(heap.globals[i].module + ' ' + heap.globals[i].name);
  }
  return names;
}

}  // namespace flatpoint::dcp
