// flatpoint/types.hpp - DCP's enumerations and small value types.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flatpoint {

/// torch.dtype. Numbers are the file format's (schema/metadata.fbs), not c10's. `Other` stands for a dtype that this
/// version does not know; its name is kept beside it.
enum class ScalarType : std::uint8_t {
  Uint8 = 0,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  Float32,
  Float64,
  Complex32,
  Complex64,
  Complex128,
  Bool,
  Qint8,
  Quint8,
  Qint32,
  Bfloat16,
  Quint4x2,
  Quint2x4,
  Bits1x8,
  Bits2x4,
  Bits4x2,
  Bits8,
  Bits16,
  Float8_e5m2,
  Float8_e4m3fn,
  Float8_e5m2fnuz,
  Float8_e4m3fnuz,
  Uint16,
  Uint32,
  Uint64,
  Uint1,
  Uint2,
  Uint3,
  Uint4,
  Uint5,
  Uint6,
  Uint7,
  Int1,
  Int2,
  Int3,
  Int4,
  Int5,
  Int6,
  Int7,
  Float8_e8m0fnu,
  Float4_e2m1fn_x2,
  Bcomplex32,
  Other = 255
};

/// torch.layout.
enum class Layout : std::uint8_t {
  Strided = 0,
  Sparse_coo,
  Sparse_csr,
  Sparse_csc,
  Sparse_bsr,
  Sparse_bsc,
  Mkldnn,
  Jagged,
  Other = 255
};

/// DCP's _MEM_FORMAT_ENCODING, with DCP's numbers.
enum class MemoryFormat : std::uint8_t { Contiguous = 0, ChannelsLast = 1, Preserve = 2, Other = 255 };

/// What state_dict_metadata holds for an FQN. `Opaque` is an object of a class that is not DCP's.
enum class StorageType : std::uint8_t { Tensor = 0, Bytes, Opaque };

/// The Python type of StorageMeta.checkpoint_id.
enum class PathType : std::uint8_t { Absent = 0, Str, PosixPath, WindowsPath, PurePosixPath, PureWindowsPath };

/// torch's name without "torch." ("float32"); empty for `Other` and for numbers that this version does not know.
std::string_view name_of(ScalarType type) noexcept;
std::string_view name_of(Layout layout) noexcept;        // "strided", "_mkldnn", ...
std::string_view name_of(MemoryFormat format) noexcept;  // "contiguous_format", ...

std::string_view to_string(StorageType type) noexcept;  // "tensor", "bytes", "opaque"
std::string_view to_string(PathType type) noexcept;     // Python's name: "None", "str", "PosixPath", ...

/// The inverse of name_of, torch's aliases ("double", "half", "long", ...) included.
std::optional<ScalarType> scalar_type_from_name(std::string_view name) noexcept;
std::optional<Layout> layout_from_name(std::string_view name) noexcept;
std::optional<MemoryFormat> memory_format_from_name(std::string_view name) noexcept;

/// Bytes per element as torch's `dtype.itemsize` gives them; 0 for `Other` and unknown numbers.
std::uint32_t item_size(ScalarType type) noexcept;

/// torch.Size: one value per dimension, row-major meaning as in torch.
using Size = std::vector<std::int64_t>;

/// ChunkStorageMetadata: a box inside a tensor. REQUIRES (where used as a box): both have a value per dimension.
struct ChunkStorageMetadata {
  Size offsets;  // first element, per dimension
  Size sizes;    // elements, per dimension
  bool operator==(const ChunkStorageMetadata&) const = default;
};

/// The contiguous strides of a size, in elements: torch's `empty(size).stride()`, which counts a dimension of 0 as 1.
/// Products that leave int64 wrap to 0, as no tensor has them.
Size contiguous_strides(std::span<const std::int64_t> size);

}  // namespace flatpoint
