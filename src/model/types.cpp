// model/types.cpp - the names and item sizes of torch's dtypes, layouts and memory formats.
#include "flatpoint/types.hpp"

#include <algorithm>
#include <array>

#include "base/xxh3.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/metadata_index.hpp"

namespace flatpoint {
namespace {

struct ScalarTypeInfo {
  std::string_view name;
  std::uint32_t item_size;
};

// Indexed by ScalarType. tests/torch compares every row, and the aliases below, with torch itself.
constexpr std::array kScalarTypes = std::to_array<ScalarTypeInfo>({
    {"uint8", 1},
    {"int8", 1},
    {"int16", 2},
    {"int32", 4},
    {"int64", 8},
    {"float16", 2},
    {"float32", 4},
    {"float64", 8},
    {"complex32", 4},
    {"complex64", 8},
    {"complex128", 16},
    {"bool", 1},
    {"qint8", 1},
    {"quint8", 1},
    {"qint32", 4},
    {"bfloat16", 2},
    {"quint4x2", 1},
    {"quint2x4", 1},
    {"bits1x8", 1},
    {"bits2x4", 1},
    {"bits4x2", 1},
    {"bits8", 1},
    {"bits16", 2},
    {"float8_e5m2", 1},
    {"float8_e4m3fn", 1},
    {"float8_e5m2fnuz", 1},
    {"float8_e4m3fnuz", 1},
    {"uint16", 2},
    {"uint32", 4},
    {"uint64", 8},
    {"uint1", 1},
    {"uint2", 1},
    {"uint3", 1},
    {"uint4", 1},
    {"uint5", 1},
    {"uint6", 1},
    {"uint7", 1},
    {"int1", 1},
    {"int2", 1},
    {"int3", 1},
    {"int4", 1},
    {"int5", 1},
    {"int6", 1},
    {"int7", 1},
    {"float8_e8m0fnu", 1},
    {"float4_e2m1fn_x2", 1},
    {"bcomplex32", 4},
});
static_assert(kScalarTypes.size() == static_cast<std::size_t>(ScalarType::Bcomplex32) + 1);

struct Alias {
  std::string_view name;
  ScalarType type;
};

constexpr std::array kAliases = std::to_array<Alias>({
    {"short", ScalarType::Int16},
    {"int", ScalarType::Int32},
    {"long", ScalarType::Int64},
    {"half", ScalarType::Float16},
    {"float", ScalarType::Float32},
    {"double", ScalarType::Float64},
    {"chalf", ScalarType::Complex32},
    {"cfloat", ScalarType::Complex64},
    {"cdouble", ScalarType::Complex128},
    {"bit", ScalarType::Uint1},
});

constexpr std::array<std::string_view, 8> kLayouts = {"strided",    "sparse_coo", "sparse_csr", "sparse_csc",
                                                      "sparse_bsr", "sparse_bsc", "_mkldnn",    "jagged"};
static_assert(kLayouts.size() == static_cast<std::size_t>(Layout::Jagged) + 1);

constexpr std::array<std::string_view, 3> kMemoryFormats = {"contiguous_format", "channels_last", "preserve_format"};
static_assert(kMemoryFormats.size() == static_cast<std::size_t>(MemoryFormat::Preserve) + 1);

template <class Enum, std::size_t n>
std::string_view name_in(const std::array<std::string_view, n>& names, Enum value) noexcept {
  const auto number = static_cast<std::size_t>(value);
  return number < n ? names[number] : std::string_view();
}

template <class Enum, std::size_t n>
std::optional<Enum> number_in(const std::array<std::string_view, n>& names, std::string_view name) noexcept {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

}  // namespace

std::string_view name_of(ScalarType type) noexcept {
  const auto number = static_cast<std::size_t>(type);
  return number < kScalarTypes.size() ? kScalarTypes[number].name : std::string_view();
}

std::string_view name_of(Layout layout) noexcept { return name_in(kLayouts, layout); }

std::string_view name_of(MemoryFormat format) noexcept { return name_in(kMemoryFormats, format); }

std::optional<ScalarType> scalar_type_from_name(std::string_view name) noexcept {
  const auto found = std::ranges::find(kScalarTypes, name, &ScalarTypeInfo::name);
  if (found != kScalarTypes.end()) return static_cast<ScalarType>(found - kScalarTypes.begin());
  const auto alias = std::ranges::find(kAliases, name, &Alias::name);
  if (alias != kAliases.end()) return alias->type;
  return std::nullopt;
}

std::optional<Layout> layout_from_name(std::string_view name) noexcept { return number_in<Layout>(kLayouts, name); }

std::optional<MemoryFormat> memory_format_from_name(std::string_view name) noexcept {
  if (name == "legacy_contiguous_format") return MemoryFormat::Contiguous;
  return number_in<MemoryFormat>(kMemoryFormats, name);
}

std::uint32_t item_size(ScalarType type) noexcept {
  const auto number = static_cast<std::size_t>(type);
  return number < kScalarTypes.size() ? kScalarTypes[number].item_size : 0;
}

Size contiguous_strides(std::span<const std::int64_t> size) {
  Size strides(size.size());
  std::int64_t stride = 1;
  for (std::size_t i = size.size(); i-- > 0;) {
    strides[i] = stride;
    if (__builtin_mul_overflow(stride, std::max<std::int64_t>(size[i], 1), &stride)) stride = 0;
  }
  return strides;
}

std::string_view to_string(StorageType type) noexcept {
  switch (type) {
    case StorageType::Tensor: return "tensor";
    case StorageType::Bytes: return "bytes";
    case StorageType::Opaque: return "opaque";
  }
  return "unknown";
}

std::string_view to_string(ChunkLayout layout) noexcept {
  switch (layout) {
    case ChunkLayout::Whole: return "whole";
    case ChunkLayout::Explicit: return "explicit";
    case ChunkLayout::Grid: return "grid";
    case ChunkLayout::EvenGrid: return "even_grid";
  }
  return "unknown";
}

std::string_view to_string(SourceKind kind) noexcept {
  switch (kind) {
    case SourceKind::Pickle: return "pickle";
    case SourceKind::Safetensors: return "safetensors";
  }
  return "unknown";
}

std::string_view to_string(OpaqueKind kind) noexcept {
  switch (kind) {
    case OpaqueKind::Attribute: return "attribute";
    case OpaqueKind::StateDictItem: return "state_dict_item";
    case OpaqueKind::StateDictValue: return "state_dict_value";
    case OpaqueKind::PlannerData: return "planner_data";
    case OpaqueKind::PlannerItem: return "planner_item";
    case OpaqueKind::StorageData: return "storage_data";
    case OpaqueKind::StorageItem: return "storage_item";
    case OpaqueKind::StorageMeta: return "storage_meta";
    case OpaqueKind::Version: return "version";
  }
  return "unknown";
}

std::string_view to_string(PathType type) noexcept {
  switch (type) {
    case PathType::Absent: return "None";
    case PathType::Str: return "str";
    case PathType::PosixPath: return "PosixPath";
    case PathType::WindowsPath: return "WindowsPath";
    case PathType::PurePosixPath: return "PurePosixPath";
    case PathType::PureWindowsPath: return "PureWindowsPath";
  }
  return "unknown";
}

std::string_view to_string(FileFormat format) noexcept {
  switch (format) {
    case FileFormat::Unknown: return "unknown";
    case FileFormat::TorchSave: return "torch_save";
    case FileFormat::Safetensors: return "safetensors";
    case FileFormat::Archive: return "archive";
    case FileFormat::Mixed: return "mixed";
  }
  return {};
}

std::string_view to_string(ChecksumKind kind) noexcept {
  switch (kind) {
    case ChecksumKind::Absent: return "absent";
    case ChecksumKind::Xxh3: return "xxh3";
    case ChecksumKind::Crc32: return "crc32";
  }
  return {};
}

std::string_view to_string(SequenceType type) noexcept {
  switch (type) {
    case SequenceType::List: return "list";
    case SequenceType::Tuple: return "tuple";
  }
  return "unknown";
}

}  // namespace flatpoint

std::size_t std::hash<flatpoint::MetadataIndex>::operator()(const flatpoint::MetadataIndex& index) const noexcept {
  // The digest of no values is not 0, so "no offset" and "an empty offset" hash apart.
  const XXH64_hash_t seed =
      index.offset ? XXH3_64bits(index.offset->data(), index.offset->size() * sizeof(std::int64_t)) : 0;
  return static_cast<std::size_t>(XXH3_64bits_withSeed(index.fqn.data(), index.fqn.size(), seed));
}
