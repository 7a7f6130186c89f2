// What a metadata file says, in the form of the samples' expected.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "flatpoint/metadata_file.hpp"

namespace flatpoint::test {

using Json = nlohmann::ordered_json;

/// UTF-8 as it is; bytes that are none (lone surrogates) as "hex:...".
Json text(std::string_view bytes);
std::string hex(std::string_view bytes);

/// The whole file. `state_dict_metadata`, `planner_data` and `storage_data` are lists of pairs or records in DCP's
/// order; `opaque` lists kind, position, name and pickle of each record.
Json describe(const MetadataFile& file);

}  // namespace flatpoint::test
