// dcp/folded.hpp - objects of DCP's classes folded into columns while the pickle runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/large_vector.hpp"
#include "pickle/text_table.hpp"
#include "pickle/value.hpp"

namespace flatpoint::dcp {

// What dcp computes with are a pickle's values: those words are its own, too.
using namespace pickle;  // NOLINT(google-build-using-namespace)

// What the fast lane folds objects into. Each stands for the object that the instructions would have built.
inline constexpr Tag kSizeTag = Tag::Folded0;   // torch.Size: folded()
inline constexpr Tag kChunkTag = Tag::Folded1;  // ChunkStorageMetadata: folded()
inline constexpr Tag kIndexTag = Tag::Folded2;  // MetadataIndex: number in Records::indices
inline constexpr Tag kInfoTag = Tag::Folded3;   // _StorageInfo: number in Records::infos

/// A Size, or the box of a Chunk, in Records::boxes; `in_offsets`: in Records::offsets.
constexpr Value folded(Tag tag, std::uint8_t ndim, std::uint64_t begin, bool in_offsets = false) noexcept {
  return Value(tag, std::uint64_t{in_offsets} << 57 | std::uint64_t{ndim} << 49 | begin);
}
// Of what folded() made.
constexpr bool in_offsets(Value value) noexcept { return (value.word() >> 57 & 1) != 0; }
constexpr std::uint8_t ndim_of(Value value) noexcept { return static_cast<std::uint8_t>(value.word() >> 49); }
constexpr std::uint64_t begin_of(Value value) noexcept { return value.word() & ((std::uint64_t{1} << 49) - 1); }

/// MetadataIndex.
struct IndexRecord {
  std::uint32_t fqn;           // in Heap::texts
  std::uint32_t hint;          // MetadataIndex.index, where has_hint
  std::uint32_t offset_begin;  // in Records::offsets, where has_offset
  std::uint8_t ndim;
  bool has_offset;
  bool has_hint;
};

/// _StorageInfo without transform descriptors.
struct InfoRecord {
  std::uint64_t offset;
  std::uint64_t length;
  std::uint32_t path;  // in Records::paths
};

/// Numbers that a torch.Size takes in a pool: one without dimensions takes one, so that each has a position of its own.
constexpr std::size_t width_of(std::size_t ndim) noexcept { return ndim == 0 ? 1 : ndim; }

struct Records {
  base::LargeVector<std::int64_t> boxes;    // per chunk its offsets, then its sizes
  base::LargeVector<std::int64_t> offsets;  // of MetadataIndex
  base::LargeVector<IndexRecord> indices;
  base::LargeVector<InfoRecord> infos;
  TextTable paths;  // relative_path
};

}  // namespace flatpoint::dcp
