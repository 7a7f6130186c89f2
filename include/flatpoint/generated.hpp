// flatpoint/generated.hpp - the accessors that FlatBuffers generates, for whoever wants the file raw.
//
// The one header that needs FlatBuffers, of the version that the generated code asserts; a program that includes it
// brings that itself. Everything else in this folder works without.
#pragma once

#include "flatpoint/metadata_file.hpp"
#include "flatpoint/metadata_generated.h"

namespace flatpoint {

/// The generated root of an open file. Borrows from the file. Vectors and tables lie inside the file, as `open` has
/// checked; the numbers in their rows are whatever the file says, checked only by the views and by `verify`.
inline const fb::Metadata& generated_root(const MetadataFile& file) noexcept {
  return *fb::GetMetadata(file.bytes().data());
}
const fb::Metadata& generated_root(const MetadataFile&&) = delete;  // would outlive its file

}  // namespace flatpoint
