#include "plan/boxes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace flatpoint::plan {

std::string to_string(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

}  // namespace flatpoint::plan
