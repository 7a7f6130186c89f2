#include "dcp/known_names.hpp"

namespace flatpoint::dcp {
namespace {

struct Spelling {
  Known known;
  pickle::ModuleAndName spelled;
};

constexpr Spelling kSpellings[] = {
    {Known::Metadata, names::kMetadata},
    {Known::TensorStorageMetadata, names::kTensorStorageMetadata},
    {Known::BytesStorageMetadata, names::kBytesStorageMetadata},
    {Known::ChunkStorageMetadata, names::kChunkStorageMetadata},
    {Known::TensorProperties, names::kTensorProperties},
    {Known::TensorProperties, names::kOldTensorProperties},
    {Known::MemFormatEncoding, names::kMemFormatEncoding},
    {Known::MemFormatEncoding, names::kOldMemFormatEncoding},
    {Known::MetadataIndex, names::kMetadataIndex},
    {Known::StorageMeta, names::kStorageMeta},
    {Known::StorageInfo, names::kStorageInfo},
    {Known::Size, names::kSize},
    {Known::GetLayout, names::kGetLayout},
    {Known::GetAttr, {"builtins", "getattr"}},
    {Known::Reconstructor, {"copyreg", "_reconstructor"}},
    {Known::NewObj, {"copyreg", "__newobj__"}},
    {Known::Object, {"builtins", "object"}},
    {Known::OrderedDict, {"collections", "OrderedDict"}},
    {Known::Encode, {"_codecs", "encode"}},
    {Known::NumpyScalar, {"numpy._core.multiarray", "scalar"}},
    {Known::NumpyScalar, {"numpy.core.multiarray", "scalar"}},  // numpy 1
    {Known::NumpyDtype, {"numpy", "dtype"}},
};

/// REQUIRES: `module` is one of pathlib's.
Known path_class(std::string_view name) {
  for (const Known known : {Known::PosixPath, Known::WindowsPath, Known::PurePosixPath, Known::PureWindowsPath}) {
    if (name == to_string(path_type_of(known))) return known;
  }
  return Known::Other;
}

}  // namespace

std::uint8_t meaning_of_name(std::string_view module, std::string_view name) {
  for (const Spelling& entry : kSpellings) {
    if (entry.spelled.name == name && entry.spelled.module == module) return static_cast<std::uint8_t>(entry.known);
  }
  if (module == names::kPathModule || module == names::kNewPathModule)
    return static_cast<std::uint8_t>(path_class(name));
  return static_cast<std::uint8_t>(module == "torch" ? Known::Torch : Known::Other);
}

}  // namespace flatpoint::dcp
