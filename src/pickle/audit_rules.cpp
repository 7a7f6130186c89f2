#include "pickle/audit_rules.hpp"

#include <algorithm>
#include <array>

namespace flatpoint::audit {
namespace {

struct Rule {
  std::string_view module;
  std::string_view name;
  Form form;
};

constexpr std::string_view kDcp = "torch.distributed.checkpoint.metadata";
constexpr std::string_view kPlanner = "torch.distributed.checkpoint.planner";
constexpr std::string_view kFileSystem = "torch.distributed.checkpoint.filesystem";
constexpr std::string_view kBeforeTorch2_3 = "torch.distributed._shard.sharded_tensor.metadata";

constexpr Rule kRules[] = {
    {kDcp, "Metadata", Form::Attributes},
    {kDcp, "TensorStorageMetadata", Form::Attributes},
    {kDcp, "ChunkStorageMetadata", Form::Attributes},
    {kDcp, "BytesStorageMetadata", Form::NoAttributes},
    {kDcp, "StorageMeta", Form::Attributes},
    {kDcp, "MetadataIndex", Form::Index},
    {kDcp, "TensorProperties", Form::Properties},
    {kDcp, "_MEM_FORMAT_ENCODING", Form::MemoryFormat},
    {kBeforeTorch2_3, "TensorProperties", Form::Properties},
    {kBeforeTorch2_3, "MEM_FORMAT_ENCODING", Form::MemoryFormat},
    {kFileSystem, "_StorageInfo", Form::Attributes},
    {kFileSystem, "_StoragePrefix", Form::Attributes},
    {kPlanner, "SavePlan", Form::Attributes},
    {kPlanner, "LoadPlan", Form::Attributes},
    {kPlanner, "WriteItem", Form::Attributes},
    {kPlanner, "ReadItem", Form::Attributes},
    {kPlanner, "TensorWriteData", Form::Attributes},
    {kPlanner, "BytesIOWriteData", Form::Attributes},
    {kPlanner, "WriteItemType", Form::WriteItemType},
    {kPlanner, "LoadItemType", Form::LoadItemType},
    {"torch", "Size", Form::Size},
    {"torch", "device", Form::Device},
    {"torch.serialization", "_get_layout", Form::Layout},
    {"collections", "OrderedDict", Form::OrderedDict},
    {"copyreg", "_reconstructor", Form::Reconstructor},
    {"copyreg", "__newobj__", Form::NewObject},
    {"_codecs", "encode", Form::Encode},
    {"builtins", "object", Form::Object},
    {"builtins", "getattr", Form::GetAttr},
    {"builtins", "bytearray", Form::ByteArray},
    {"builtins", "bytes", Form::EmptyBytes},
    {"builtins", "complex", Form::Complex},
    {"builtins", "range", Form::Range},
    {"builtins", "slice", Form::Slice},
    {"pathlib", "PosixPath", Form::Path},
    {"pathlib", "WindowsPath", Form::Path},
    {"pathlib", "PurePosixPath", Form::Path},
    {"pathlib", "PureWindowsPath", Form::Path},
    {"pathlib._local", "PosixPath", Form::Path},  // Python 3.13
    {"pathlib._local", "WindowsPath", Form::Path},
    {"pathlib._local", "PurePosixPath", Form::Path},
    {"pathlib._local", "PureWindowsPath", Form::Path},
};

/// A kind of number followed by its width: no function of torch is called so, and types that are to come are.
bool is_dtype(std::string_view name) noexcept {
  if (name == "bool") return true;
  for (const std::string_view kind :
       {"float", "bfloat", "int", "uint", "complex", "bcomplex", "qint", "quint", "bits"}) {
    if (!name.starts_with(kind)) continue;
    const std::string_view width = name.substr(kind.size());
    if (width.empty() || width.front() < '0' || width.front() > '9') continue;
    return std::ranges::all_of(width,
                               [](char c) { return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
  }
  return false;
}

constexpr std::string_view kMemoryFormats[] = {"TORCH_CONTIGUOUS_FORMAT", "TORCH_CHANNELS_LAST",
                                               "TORCH_PRESERVE_FORMAT"};
constexpr std::string_view kWriteItemTypes[] = {"TENSOR", "SHARD", "BYTE_IO"};
constexpr std::string_view kLoadItemTypes[] = {"TENSOR", "BYTE_IO"};

}  // namespace

Form form_of(std::string_view module, std::string_view name) noexcept {
  for (const Rule& rule : kRules) {
    if (rule.name == name && rule.module == module) return rule.form;
  }
  return module == "torch" && is_dtype(name) ? Form::Dtype : Form::Foreign;
}

Members members_of(Form form) noexcept {
  switch (form) {
    case Form::MemoryFormat: return {0, kMemoryFormats};
    case Form::WriteItemType: return {1, kWriteItemTypes};
    case Form::LoadItemType: return {1, kLoadItemTypes};
    default: return {0, {}};
  }
}

}  // namespace flatpoint::audit
