#include "columns/boxes.hpp"

#include "base/format.hpp"

namespace flatpoint::columns {

std::string to_string(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

}  // namespace flatpoint::columns
