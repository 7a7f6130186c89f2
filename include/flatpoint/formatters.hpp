// flatpoint/formatters.hpp - std::format and {fmt} print what has a to_string: errors, codes, issues of plans, findings
// of coverage, placements and enumerations.
//
//   if (!file) std::cerr << std::format("cannot load: {}\n", file.error());
//
// The specifications are those of texts: "{:>12}". Each of the two where its headers are found.
#pragma once

#include <concepts>
#include <string_view>
#include <version>

#ifdef __cpp_lib_format
#include <format>
#endif
#if __has_include(<fmt/base.h>)
#include <fmt/base.h>  // since fmt 11
#elif __has_include(<fmt/core.h>)
#include <fmt/core.h>
#endif

#include "flatpoint/columns.hpp"
#include "flatpoint/coverage.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/lookup.hpp"
#include "flatpoint/sharding.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint {

template <class T, class... Others>
concept OneOf = (std::same_as<T, Others> || ...);

/// What these headers give a to_string for.
template <class T>
concept Printable =
    OneOf<T, Error, LoadIssue, CoverageFinding, Placement, ErrorCode, LookupStatus, LoadIssueKind, StorageType,
          PathType, ChunkLayout, SequenceType, OpaqueKind, FileFormat, ChecksumKind, SourceKind>;

}  // namespace flatpoint

#ifdef __cpp_lib_format
template <flatpoint::Printable T>
struct std::formatter<T, char> : std::formatter<std::string_view, char> {
  auto format(const T& value, auto& context) const {
    return std::formatter<std::string_view, char>::format(std::string_view(to_string(value)), context);
  }
};
#endif

#ifdef FMT_VERSION
template <flatpoint::Printable T>
struct fmt::formatter<T, char> : fmt::formatter<fmt::string_view, char> {
  auto format(const T& value, auto& context) const {
    return fmt::formatter<fmt::string_view, char>::format(fmt::string_view(to_string(value)), context);
  }
};
#endif
