#include "dcp/globals.hpp"

#include <utility>

namespace flatpoint::dcp {
namespace {

struct Spelling {
  Known known;
  ModuleAndName spelled;
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
    {Known::StorageInfo, {"torch.distributed.checkpoint.filesystem", "_StorageInfo"}},
    {Known::Size, {"torch", "Size"}},
    {Known::GetLayout, {"torch.serialization", "_get_layout"}},
    {Known::GetAttr, {"builtins", "getattr"}},
    {Known::Reconstructor, {"copyreg", "_reconstructor"}},
    {Known::NewObj, {"copyreg", "__newobj__"}},
    {Known::Object, {"builtins", "object"}},
    {Known::PosixPath, {"pathlib", "PosixPath"}},
    {Known::PosixPath, {"pathlib._local", "PosixPath"}},  // Python 3.13
    {Known::WindowsPath, {"pathlib", "WindowsPath"}},
    {Known::WindowsPath, {"pathlib._local", "WindowsPath"}},
    {Known::PurePosixPath, {"pathlib", "PurePosixPath"}},
    {Known::PurePosixPath, {"pathlib._local", "PurePosixPath"}},
    {Known::PureWindowsPath, {"pathlib", "PureWindowsPath"}},
    {Known::PureWindowsPath, {"pathlib._local", "PureWindowsPath"}},
};

Known known_name(std::string_view module, std::string_view name) {
  for (const Spelling& entry : kSpellings) {
    if (entry.spelled.name == name && entry.spelled.module == module) return entry.known;
  }
  return module == "torch" ? Known::Torch : Known::Other;
}

}  // namespace

ModuleAndName python_3_name(std::string_view module, std::string_view name) noexcept {
  struct Renamed {
    ModuleAndName before;
    ModuleAndName after;
  };
  static constexpr Renamed kNames[] = {
      {{"__builtin__", "basestring"}, {"builtins", "str"}},
      {{"__builtin__", "intern"}, {"sys", "intern"}},
      {{"__builtin__", "long"}, {"builtins", "int"}},
      {{"__builtin__", "reduce"}, {"functools", "reduce"}},
      {{"__builtin__", "unichr"}, {"builtins", "chr"}},
      {{"__builtin__", "unicode"}, {"builtins", "str"}},
      {{"__builtin__", "xrange"}, {"builtins", "range"}},
      {{"UserDict", "UserDict"}, {"collections", "UserDict"}},
      {{"UserList", "UserList"}, {"collections", "UserList"}},
      {{"UserString", "UserString"}, {"collections", "UserString"}},
  };
  for (const auto& [before, after] : kNames) {
    if (before.module == module && before.name == name) return after;
  }
  static constexpr std::pair<std::string_view, std::string_view> kModules[] = {
      {"__builtin__", "builtins"}, {"copy_reg", "copyreg"}, {"Queue", "queue"}, {"ConfigParser", "configparser"}};
  for (const auto& [before, after] : kModules) {
    if (before == module) return {after, name};
  }
  return {module, name};
}

std::uint32_t Globals::intern(std::string_view module, std::string_view name) {
  std::string key = std::to_string(module.size());  // "a\nb" of "c" is not "a" of "b\nc"
  key.append(1, '\n').append(module).append(name);
  const auto [at, is_new] = numbers_.try_emplace(std::move(key), static_cast<std::uint32_t>(names_.size()));
  if (is_new) names_.push_back({std::string(module), std::string(name), known_name(module, name)});
  return at->second;
}

}  // namespace flatpoint::dcp
