#include "dcp/known_names.hpp"

namespace flatpoint::dcp {
namespace {

struct Spelling {
  Known known;
  pickle::ModuleAndName spelled;
};

constexpr Spelling kSpellings[] = {
    {Known::Metadata, {kMetadata, "Metadata"}},
    {Known::TensorStorageMetadata, {kMetadata, "TensorStorageMetadata"}},
    {Known::BytesStorageMetadata, {kMetadata, "BytesStorageMetadata"}},
    {Known::ChunkStorageMetadata, {kMetadata, "ChunkStorageMetadata"}},
    {Known::TensorProperties, {kMetadata, "TensorProperties"}},
    {Known::TensorProperties, {kOldProperties, "TensorProperties"}},
    {Known::MemFormatEncoding, {kMetadata, "_MEM_FORMAT_ENCODING"}},
    {Known::MemFormatEncoding, {kOldProperties, "MEM_FORMAT_ENCODING"}},
    {Known::MetadataIndex, {kMetadata, "MetadataIndex"}},
    {Known::StorageMeta, {kMetadata, "StorageMeta"}},
    {Known::StorageInfo, {kFileSystem, "_StorageInfo"}},
    {Known::Size, {"torch", "Size"}},
    {Known::GetLayout, {"torch.serialization", "_get_layout"}},
    {Known::GetAttr, {"builtins", "getattr"}},
    {Known::Reconstructor, {"copyreg", "_reconstructor"}},
    {Known::NewObj, {"copyreg", "__newobj__"}},
    {Known::Object, {"builtins", "object"}},
    {Known::OrderedDict, {"collections", "OrderedDict"}},
    {Known::Encode, {"_codecs", "encode"}},
    {Known::NumpyScalar, {"numpy._core.multiarray", "scalar"}},
    {Known::NumpyScalar, {"numpy.core.multiarray", "scalar"}},  // numpy 1
    {Known::NumpyDtype, {"numpy", "dtype"}},
    {Known::PosixPath, {"pathlib", "PosixPath"}},
    {Known::PosixPath, {"pathlib._local", "PosixPath"}},  // Python 3.13
    {Known::WindowsPath, {"pathlib", "WindowsPath"}},
    {Known::WindowsPath, {"pathlib._local", "WindowsPath"}},
    {Known::PurePosixPath, {"pathlib", "PurePosixPath"}},
    {Known::PurePosixPath, {"pathlib._local", "PurePosixPath"}},
    {Known::PureWindowsPath, {"pathlib", "PureWindowsPath"}},
    {Known::PureWindowsPath, {"pathlib._local", "PureWindowsPath"}},
};

}  // namespace

std::uint8_t meaning_of_name(std::string_view module, std::string_view name) {
  for (const Spelling& entry : kSpellings) {
    if (entry.spelled.name == name && entry.spelled.module == module) return static_cast<std::uint8_t>(entry.known);
  }
  return static_cast<std::uint8_t>(module == "torch" ? Known::Torch : Known::Other);
}

}  // namespace flatpoint::dcp
