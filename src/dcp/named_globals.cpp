#include "dcp/machine.hpp"

namespace flatpoint::dcp {

Result<std::vector<std::string>> named_globals(std::span<const std::byte> bytes, const ImportLimits& limits) {
  if (bytes.size() > limits.max_input_bytes) {
    return fail(ErrorCode::TooLarge, "the pickle exceeds the limit max_input_bytes");
  }
  pickle::Heap heap({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  pickle::Machine<pickle::NoFolds> machine(heap, machine_limits(limits), {}, false, nullptr);
  if (machine.run() != pickle::Machine<pickle::NoFolds>::Outcome::Done) return tl::unexpected(machine.error());
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < heap.globals.size(); ++i) {
    names.push_back(heap.globals[i].module + ' ' + heap.globals[i].name);
  }
  return names;
}

}  // namespace flatpoint::dcp
