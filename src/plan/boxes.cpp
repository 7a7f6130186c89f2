#include "plan/boxes.hpp"

#include "base/format.hpp"

namespace flatpoint::plan {

std::string to_string(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

}  // namespace flatpoint::plan
