// flatpoint/merge.hpp - join the fragments of several ranks into the metadata of the whole checkpoint.
//
// Reads no tensor data. What comes out is what one builder would have made of all the fragments' facts, byte for byte.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flatpoint/buffer.hpp"
#include "flatpoint/columns.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/finding.hpp"

namespace flatpoint {

/// What one rank wrote.
struct Fragment {
  const Columns* columns;  // of an open file that outlives the merge: &file.view().columns()
  std::uint32_t rank;      // Columns::fragment_rank; of a `__R.metadata` the R of its name
  std::string name;        // for messages: the path
};

struct MergeOptions {
  /// A rank below the highest without a fragment, and a tensor that its chunks do not cover, are errors. Otherwise what
  /// is there is joined, and the tensors are findings.
  bool complete = true;
  std::uint32_t max_messages = 10;  // findings of each kind
};

struct Merged {
  Buffer bytes;
  std::vector<Finding> findings;  // "chunk_outside"; where the whole need not be complete "hole": a tensor with
                                  // elements in no chunk
  std::uint64_t suppressed = 0;   // findings beyond the maximum
  std::uint64_t replicas = 0;     // chunks and bytes items that a lower rank has too
};

/// Joins fragments, given in any order.
///
/// * Chunks with one FQN and box are replicas of one another: the lowest rank's is kept. So it is with bytes.
/// * Conflicts are errors that name the FQN, the ranks and the numbers: another type, size, dtype or other property
/// (but
///   strides: as in torch, those of the lowest rank that has the tensor), chunks that share elements,
///   another version or class, a rank that is there twice, opaque records of one name that differ.
/// * Of chunks that begin at one offset, and so have one key in storage_data, at most one has elements: where that lies
///   counts.
/// * Begins of data, checksums and facts of data files are kept. What one of the fragments that write into a file does
///   not know of it is unknown then; checksums are those of the kind that the lowest rank has which has some. Two
///   lengths of one file are a conflict.
/// * storage_meta and planner paths are those of the lowest rank that has them.
/// * Where a fragment states DCP's orders (an import of `__R.metadata` does), the result has the orders that torch's
///   global plan would give: FQNs, chunks and storage data by rank, in each rank's order; planner data by falling rank.
///   With fragments of the builder the result has the builder's orders.
///
/// Time: linear in all fragments together where ranks share FQNs, times log(fragments) where each has its own. Memory
/// beside the fragments: twice the result, at most 16 MiB, as large columns come in pages of 2 MiB, and 2 KiB per
/// fragment; where orders are stated also 16 bytes per chunk and per FQN of each fragment. Errors: Conflict,
/// NotFound (a rank without a fragment), InvalidArgument (no fragments), Corrupt (a fragment that breaks a rule of the
/// format), TooLarge.
[[nodiscard]] Result<Merged> merge(std::span<const Fragment> fragments, const MergeOptions& options = {});

}  // namespace flatpoint
