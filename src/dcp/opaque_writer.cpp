#include "dcp/opaque_writer.hpp"

#include "base/failing.hpp"

namespace flatpoint::dcp {

Result<std::string_view> OpaqueWriter::write_all(std::span<const Value> values) {
  pickle_.protocol();
  // What holds a part of the pickle may hold the record itself, too, though no instruction fetched it.
  for (const Value value : values) share(value);
  for (const Value value : values) {
    RETURN_IF_ERROR(values_.write(value));
  }
  if (values.size() > 1) pickle_.tuple(values.size());
  pickle_.opcode(Opcode::STOP);
  const auto bytes = pickle_.written();
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace flatpoint::dcp
