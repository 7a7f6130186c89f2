// flatpoint/metadata_index.hpp - MetadataIndex, the key of storage_data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "flatpoint/types.hpp"

namespace flatpoint {

/// torch.distributed.checkpoint.metadata.MetadataIndex: an FQN, and for one chunk of a tensor its offset. `index` is a
/// hint at the chunk's position; as in torch it takes no part in equality or hash. No offset (bytes) differs from an
/// empty one (a tensor without dimensions).
struct MetadataIndex {
  std::string fqn;
  std::optional<Size> offset;
  std::optional<std::int64_t> index;

  bool operator==(const MetadataIndex& other) const { return fqn == other.fqn && offset == other.offset; }
};

}  // namespace flatpoint

template <>
struct std::hash<flatpoint::MetadataIndex> {
  std::size_t operator()(const flatpoint::MetadataIndex& index) const noexcept;
};
