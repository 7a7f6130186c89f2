// format/encode.hpp - columns -> the bytes of a metadata file.
#pragma once

#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::format {

/// An upper bound of the encoded size, at most a few hundred bytes above it: known before any memory is taken.
std::uint64_t encoded_size_bound(const Columns& columns) noexcept;

/// Encodes columns, trailer included. Equal columns give equal bytes. Writes the current format version whatever
/// `columns` says. Errors: TooLarge, where the file would reach 2 GiB.
[[nodiscard]] Result<Buffer> encode(const Columns& columns);

}  // namespace flatpoint::format
