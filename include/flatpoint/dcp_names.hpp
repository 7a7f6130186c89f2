// flatpoint/dcp_names.hpp - the classes of a `.metadata` as a pickle names them: module, then name.
//
// The one list of them: the importer knows these, the exporter writes them, and so does whoever pickles DCP's objects
// (the Python module). The audit of finished pickles has a list of its own, on purpose.
#pragma once

#include <string_view>

#include "flatpoint/pickle_writer.hpp"

namespace flatpoint::dcp::names {

using pickle::ModuleAndName;

inline constexpr std::string_view kMetadataModule = "torch.distributed.checkpoint.metadata";
inline constexpr std::string_view kFileSystemModule = "torch.distributed.checkpoint.filesystem";
inline constexpr std::string_view kPlannerModule = "torch.distributed.checkpoint.planner";
inline constexpr std::string_view kOldPropertiesModule = "torch.distributed._shard.sharded_tensor.metadata";

inline constexpr ModuleAndName kMetadata{kMetadataModule, "Metadata"};
inline constexpr ModuleAndName kTensorStorageMetadata{kMetadataModule, "TensorStorageMetadata"};
inline constexpr ModuleAndName kBytesStorageMetadata{kMetadataModule, "BytesStorageMetadata"};
inline constexpr ModuleAndName kChunkStorageMetadata{kMetadataModule, "ChunkStorageMetadata"};
inline constexpr ModuleAndName kTensorProperties{kMetadataModule, "TensorProperties"};
inline constexpr ModuleAndName kMemFormatEncoding{kMetadataModule, "_MEM_FORMAT_ENCODING"};
inline constexpr ModuleAndName kMetadataIndex{kMetadataModule, "MetadataIndex"};
inline constexpr ModuleAndName kStorageMeta{kMetadataModule, "StorageMeta"};
inline constexpr ModuleAndName kStorageInfo{kFileSystemModule, "_StorageInfo"};
// Before torch 2.3.
inline constexpr ModuleAndName kOldTensorProperties{kOldPropertiesModule, "TensorProperties"};
inline constexpr ModuleAndName kOldMemFormatEncoding{kOldPropertiesModule, "MEM_FORMAT_ENCODING"};

inline constexpr ModuleAndName kSize{"torch", "Size"};
inline constexpr ModuleAndName kGetLayout{"torch.serialization", "_get_layout"};

/// The module of path classes, whose names are those of `to_string(PathType)`; Python 3.13 writes the second.
inline constexpr std::string_view kPathModule = "pathlib";
inline constexpr std::string_view kNewPathModule = "pathlib._local";

}  // namespace flatpoint::dcp::names
