// flatpoint/storage_meta.hpp - StorageMeta and _StorageInfo as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flatpoint/types.hpp"

namespace flatpoint {

/// torch.distributed.checkpoint.metadata.StorageMeta. `modules` is unset in files from before the attribute existed.
struct StorageMeta {
  std::optional<std::string> checkpoint_id;
  PathType checkpoint_id_type = PathType::Absent;  // which Python type the checkpoint_id has
  std::optional<std::string> save_id;
  std::optional<std::string> load_id;  // None on disk; DCP sets it while it reads
  std::optional<std::vector<std::string>> modules{std::in_place};
  bool operator==(const StorageMeta&) const = default;
};

/// torch.distributed.checkpoint.filesystem._StorageInfo: the bytes [offset, offset + length) of a data file.
struct StorageInfo {
  std::string relative_path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::optional<std::vector<std::string>> transform_descriptors;  // in DCP's stored order: first to apply on read first
  bool operator==(const StorageInfo&) const = default;
};

}  // namespace flatpoint
