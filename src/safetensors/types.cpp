#include <algorithm>
#include <array>

#include "flatpoint/safetensors.hpp"

namespace flatpoint::safetensors {
namespace {

using enum ScalarType;
constexpr std::array kNames{std::pair{"BOOL", Bool},
                            std::pair{"F4", Float4_e2m1fn_x2},
                            std::pair{"U8", Uint8},
                            std::pair{"I8", Int8},
                            std::pair{"F8_E5M2", Float8_e5m2},
                            std::pair{"F8_E4M3", Float8_e4m3fn},
                            std::pair{"F8_E8M0", Float8_e8m0fnu},
                            std::pair{"F8_E4M3FNUZ", Float8_e4m3fnuz},
                            std::pair{"F8_E5M2FNUZ", Float8_e5m2fnuz},
                            std::pair{"I16", Int16},
                            std::pair{"U16", Uint16},
                            std::pair{"F16", Float16},
                            std::pair{"BF16", Bfloat16},
                            std::pair{"I32", Int32},
                            std::pair{"U32", Uint32},
                            std::pair{"F32", Float32},
                            std::pair{"C64", Complex64},
                            std::pair{"F64", Float64},
                            std::pair{"I64", Int64},
                            std::pair{"U64", Uint64}};

}  // namespace

std::optional<ScalarType> scalar_type_from_safetensors(std::string_view name) noexcept {
  const auto found = std::ranges::find(kNames, name, [](const auto& known) { return std::string_view(known.first); });
  return found == kNames.end() ? std::nullopt : std::optional(found->second);
}

std::string_view safetensors_name_of(ScalarType dtype) noexcept {
  const auto found = std::ranges::find(kNames, dtype, [](const auto& known) { return known.second; });
  return found == kNames.end() ? std::string_view() : found->first;
}

}  // namespace flatpoint::safetensors
