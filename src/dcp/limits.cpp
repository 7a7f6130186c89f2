#include <algorithm>
#include <array>
#include <limits>

#include "flatpoint/dcp.hpp"

namespace flatpoint::dcp {
namespace {

struct Limit {
  std::string_view name;
  std::uint64_t ImportLimits::*wide = nullptr;
  std::uint32_t ImportLimits::*narrow = nullptr;
};

constexpr std::array kLimits{
    Limit{"max_input_bytes", &ImportLimits::max_input_bytes},
    Limit{"max_depth", nullptr, &ImportLimits::max_depth},
    Limit{"max_memo", &ImportLimits::max_memo},
    Limit{"max_opcodes", &ImportLimits::max_opcodes},
    Limit{"max_chunks", &ImportLimits::max_chunks},
    Limit{"max_output_bytes", &ImportLimits::max_output_bytes},
};

constexpr auto kNames = [] {
  std::array<std::string_view, kLimits.size()> names;
  std::ranges::transform(kLimits, names.begin(), &Limit::name);
  return names;
}();

}  // namespace

std::span<const std::string_view> limit_names() noexcept { return kNames; }

bool set_limit(ImportLimits& limits, std::string_view name, std::uint64_t value) noexcept {
  const auto* const limit = std::ranges::find(kLimits, name, &Limit::name);
  if (limit == kLimits.end()) return false;
  if (limit->wide != nullptr) {
    limits.*limit->wide = value;
  } else {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
    limits.*limit->narrow = static_cast<std::uint32_t>(std::min(value, kMost));
  }
  return true;
}

}  // namespace flatpoint::dcp
