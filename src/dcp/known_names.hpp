// dcp/known_names.hpp - the names of a pickle that mean something to the importer.
#pragma once

#include <cstdint>
#include <string_view>

#include "pickle/globals.hpp"

namespace flatpoint::dcp {

// The modules of DCP's classes; the last is that of TensorProperties before torch 2.3.
inline constexpr std::string_view kMetadata = "torch.distributed.checkpoint.metadata";
inline constexpr std::string_view kFileSystem = "torch.distributed.checkpoint.filesystem";
inline constexpr std::string_view kPlanner = "torch.distributed.checkpoint.planner";
inline constexpr std::string_view kOldProperties = "torch.distributed._shard.sharded_tensor.metadata";

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
  PosixPath,
  WindowsPath,
  PurePosixPath,
  PureWindowsPath,
};

/// The Known of a name, as a number (Globals::Meaning).
std::uint8_t meaning_of_name(std::string_view module, std::string_view name);

}  // namespace flatpoint::dcp
