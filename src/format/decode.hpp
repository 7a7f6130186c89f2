// format/decode.hpp - bytes of a metadata file -> columns.
#pragma once

#include <cstddef>
#include <span>

#include "base/byte_source.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::format {

/// Checks rules F1 to F8 of docs/format.md and returns the columns, which borrow from `file`. The cost does not depend
/// on the file's size. Every number is read from `file` once; a column in the result lies inside `file` even where the
/// bytes change meanwhile. REQUIRES: `file` is 8-byte aligned. Errors: NotFlatpoint, Truncated, Version, Corrupt,
/// TooLarge; each names its rule.
[[nodiscard]] Result<Columns> decode(std::span<const std::byte> file);

/// The same, with numbers from a source of the same bytes: `file` itself is not touched.
[[nodiscard]] Result<Columns> decode(std::span<const std::byte> file, const base::ByteSource& source);

}  // namespace flatpoint::format
