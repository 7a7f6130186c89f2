// tests/conformance/canonical.hpp - what docs/conformance.md asks of a reader, from the public library alone.
#pragma once

#include <string>
#include <string_view>

#include "flatpoint/views.hpp"

namespace flatpoint::conformance {

/// The canonical JSON of a file, its newline included.
std::string canonical_json(const MetadataView& metadata);

/// The answer to one line of questions, both without newline. Throws std::runtime_error for what is no question.
std::string answer(const MetadataView& metadata, std::string_view question);

/// The bytes that pairs of hexadecimal digits name.
std::string unhex(std::string_view text);

}  // namespace flatpoint::conformance
