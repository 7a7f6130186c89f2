#include "archive/pickle.hpp"

#include "base/format.hpp"

namespace flatpoint::archive {

std::string Unpickled::global(Value value) const {
  if (!value.is(Tag::Global)) return {};
  const auto& name = heap->globals[value.number()];
  return name.module + ' ' + name.name;
}

Result<Unpickled> unpickle(std::string pickle) {
  using Machine = flatpoint::pickle::Machine<flatpoint::pickle::NoFolds>;
  Unpickled result{std::make_unique<std::string>(std::move(pickle)), nullptr, {}};
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(result.text->data()), result.text->size());
  result.heap = std::make_unique<Heap>(bytes);
  flatpoint::pickle::Limits limits;
  limits.max_opcodes = bytes.size();  // an instruction has a byte at least
  limits.max_memo = bytes.size();
  constexpr bool kFold = false;
  Machine machine(*result.heap, limits, {.persistent_ids = true}, kFold, nullptr);
  if (machine.run() != Machine::Outcome::Done) {
    Error error = machine.error();
    if (error.code == ErrorCode::BadPickle) error.code = ErrorCode::BadItem;
    error.message = fmt::format("its data.pkl: {}", error.message);
    return tl::unexpected(std::move(error));
  }
  result.root = machine.result();
  return result;
}

}  // namespace flatpoint::archive
