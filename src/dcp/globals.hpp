// dcp/globals.hpp - the names that a pickle mentions, as names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/text_map.hpp"

namespace flatpoint::dcp {

// The modules of DCP's classes; the second is that of TensorProperties before torch 2.3.
inline constexpr std::string_view kMetadata = "torch.distributed.checkpoint.metadata";
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
  PosixPath,
  WindowsPath,
  PurePosixPath,
  PureWindowsPath,
};

struct GlobalName {
  std::string module;
  std::string name;
  Known known = Known::Other;
};

struct ModuleAndName {
  std::string_view module;
  std::string_view name;
};
/// Protocols 0 to 2 spell names as Python 2 did; this is how Python 3 reads them. Of its list, what plain values and
/// classes can mention.
ModuleAndName python_3_name(std::string_view module, std::string_view name) noexcept;

/// The distinct names of one pickle, numbered by first use.
class Globals {
 public:
  std::uint32_t intern(std::string_view module, std::string_view name);
  [[nodiscard]] std::size_t size() const { return names_.size(); }
  [[nodiscard]] const GlobalName& operator[](std::uint32_t number) const { return names_[number]; }

 private:
  std::vector<GlobalName> names_;
  base::TextMap<std::string, std::uint32_t> numbers_;
};

}  // namespace flatpoint::dcp
