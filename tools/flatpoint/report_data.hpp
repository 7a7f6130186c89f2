// report_data.hpp - what the page of `flatpoint report` shows, as a compact block of text.
#pragma once

#include <string>

#include "flatpoint/source.hpp"
#include "output.hpp"
#include "verb.hpp"

namespace flatpoint::tool {

/// The page around a block of data: tools/report/page.html.
[[nodiscard]] std::string_view report_page() noexcept;

/// One JSON object, whose large parts are columns in base64; tools/report/src/data.ts reads it. Nothing in it can end
/// an HTML script element. Errors: Corrupt.
[[nodiscard]] Result<std::string> report_data(const dcp::OpenedCheckpoint& opened);

}  // namespace flatpoint::tool
