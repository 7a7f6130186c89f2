// format/constants.hpp - the numbers of docs/format.md that can never change.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flatpoint::format {

inline constexpr std::uint16_t kFormatMajor = 1;
inline constexpr std::uint16_t kFormatMinor = 0;

inline constexpr char kIdentifier[5] = "FLPT";  // at byte 4, FlatBuffers' place for it
inline constexpr std::size_t kIdentifierAt = 4;
inline constexpr char kTrailerMagic[9] = "FLPT.END";       // the last 8 bytes
inline constexpr std::size_t kTrailerSize = 24;            // digest, FlatBuffer length, magic
inline constexpr std::uint64_t kMaxFileSize = 0x7FFFFFFF;  // FlatBuffers' limit: below 2 GiB, trailer included

inline constexpr std::uint32_t kMaxProbes = 32;  // in fqn_slots, before binary search

}  // namespace flatpoint::format
