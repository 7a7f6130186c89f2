// rivals/record.hpp - what a look-up in a rival's store gives back: as much as a view of flatpoint.
#pragma once

#include <cstdint>
#include <string_view>

namespace bench {

struct FoundEntry {
  std::uint32_t chunk_count = 0;
  std::uint8_t type = 0;
  std::uint8_t dtype = 0;
  std::uint8_t rank = 0;
};

struct FoundStorage {
  std::string_view relative_path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

}  // namespace bench
