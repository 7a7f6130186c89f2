// convert/dcp_metadata.hpp - the metadata of a checkpoint of DCP that is being written.
#pragma once

#include "flatpoint/convert.hpp"

namespace flatpoint::data {

/// What a `.metadata` will say. `source`: where its properties and planner paths come from. Errors: those of
/// MetadataBuilder.
[[nodiscard]] Result<Buffer> metadata_of(const Conversion& plan, const MetadataView& source);

}  // namespace flatpoint::data
