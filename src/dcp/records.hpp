// dcp/records.hpp - objects of DCP's classes folded into columns while the pickle runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/large_vector.hpp"
#include "dcp/text_table.hpp"

namespace flatpoint::dcp {

/// MetadataIndex.
struct IndexRecord {
  std::uint32_t fqn;           // in Records::fqns
  std::uint32_t hint;          // MetadataIndex.index, where has_hint
  std::uint32_t offset_begin;  // in Records::offsets, where has_offset
  std::uint8_t rank;
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
constexpr std::size_t width_of(std::size_t rank) noexcept { return rank == 0 ? 1 : rank; }

struct Records {
  base::LargeVector<std::int64_t> boxes;    // per chunk its offsets, then its sizes
  base::LargeVector<std::int64_t> offsets;  // of MetadataIndex
  base::LargeVector<IndexRecord> indices;
  base::LargeVector<InfoRecord> infos;
  TextTable fqns;
  TextTable paths;  // relative_path
};

}  // namespace flatpoint::dcp
