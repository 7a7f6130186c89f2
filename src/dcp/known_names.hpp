// dcp/known_names.hpp - the names of a pickle that mean something to the importer.
#pragma once

#include <cstdint>
#include <string_view>

#include "flatpoint/dcp_names.hpp"
#include "flatpoint/types.hpp"
#include "pickle/globals.hpp"

namespace flatpoint::dcp {

/// The names that mean something to the importer. Whatever else a pickle names stays a name.
enum class Known : std::uint8_t {
  Other,
  Metadata,
  TensorStorageMetadata,
  BytesStorageMetadata,
  ChunkStorageMetadata,
  TensorProperties,
  MemFormatEncoding,
  MetadataIndex,
  StorageMeta,
  StorageInfo,
  Size,
  Torch,  // another name in torch: a dtype
  GetLayout,
  GetAttr,
  Reconstructor,  // copyreg._reconstructor
  NewObj,         // copyreg.__newobj__
  Object,         // builtins.object
  OrderedDict,
  Encode,  // _codecs.encode
  NumpyScalar,
  NumpyDtype,
  PosixPath,  // these four in the order of PathType
  WindowsPath,
  PurePosixPath,
  PureWindowsPath,
};

/// The path that a class of pathlib makes; Absent for every other name.
constexpr PathType path_type_of(Known known) noexcept {
  if (known < Known::PosixPath || known > Known::PureWindowsPath) return PathType::Absent;
  return static_cast<PathType>(static_cast<unsigned>(PathType::PosixPath) + static_cast<unsigned>(known) -
                               static_cast<unsigned>(Known::PosixPath));
}

/// The Known of a name, as a number (Globals::Meaning).
std::uint8_t meaning_of_name(std::string_view module, std::string_view name);

}  // namespace flatpoint::dcp
