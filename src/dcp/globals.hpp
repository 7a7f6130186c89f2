// dcp/globals.hpp - the names that a pickle mentions, as names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

/// The distinct names of one pickle, numbered by first use.
class Globals {
 public:
  std::uint32_t intern(std::string_view module, std::string_view name);
  [[nodiscard]] const GlobalName& operator[](std::uint32_t number) const { return names_[number]; }

 private:
  std::vector<GlobalName> names_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

/// The name that the importer knows under this number, as torch 2.15 and Python 3.12 spell it.
struct KnownName {
  std::string_view module;
  std::string_view name;
};
KnownName spelling(Known known) noexcept;

}  // namespace flatpoint::dcp
