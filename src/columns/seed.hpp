// columns/seed.hpp - seeds that whoever made a file could not know.
#pragma once

#include <cstdint>

namespace flatpoint::columns {

/// A new seed for every call. The secret behind it is drawn once per thread: asking the system takes longer than
/// weighing a tensor.
std::uint64_t next_seed() noexcept;

}  // namespace flatpoint::columns
