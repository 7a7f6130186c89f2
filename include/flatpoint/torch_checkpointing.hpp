// flatpoint/torch_checkpointing.hpp - checkpoints of torch_checkpointing: their `metadata.pkl`. Target flatpoint::dcp.
//
// It holds a mesh, placements and ranks per tensor, no boxes and no places. The import computes the boxes; a row of the
// finished metadata names the file that holds a box, with a range of no bytes: `data::Reader` looks for it there by
// name. `dcp::open_checkpoint` and `dcp::import_file` read such files by themselves; nothing of this is needed for
// that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "flatpoint/buffer.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/finding.hpp"

namespace flatpoint::torch_checkpointing {

inline constexpr std::string_view kManifestName = "metadata.pkl";
/// What stands in Columns::metadata_class of an imported one.
inline constexpr std::string_view kMetadataClass = "torch_checkpointing.distributed_metadata DistributedMetadata";

/// Each limit names the attack that it stops.
struct ImportLimits {
  std::uint64_t max_input_bytes = std::uint64_t{16} << 30;  // a file too large to be metadata
  std::uint32_t max_depth = 256;                            // nesting that would overflow a stack
  std::uint64_t max_memo = std::uint64_t{1} << 31;          // a memo index far beyond what was stored
  std::uint64_t max_opcodes = std::uint64_t{1} << 34;       // a program that runs for ever
  std::uint64_t max_chunks = std::uint64_t{1} << 27;        // ranks shared through the memo; a huge split_factor
  std::uint64_t max_output_bytes = std::uint64_t{2} << 30;  // the same, for the finished file
};

struct ImportOptions {
  ImportLimits limits;
  /// Recorded: the pickle's modification time, nanoseconds since 1970, and whether reading began within a tick of it;
  /// an object store's mark of this content, which must outlive the call.
  std::optional<std::int64_t> modified_ns;
  bool modified_recently = false;
  std::string_view etag = {};
};

struct Imported {
  Buffer bytes;
  std::vector<Finding> findings;
};

/// Whether bytes begin as such a manifest does: a pickled dict whose first key is "metadata".
[[nodiscard]] bool is_manifest(std::span<const std::byte> pickle) noexcept;

/// Imports the bytes of a `metadata.pkl`, of schema "2.0" or "1.0". Nothing in it needs a name, so none is allowed; no
/// value is taken for one of another type. An FQN is the item's name and the path's elements, joined by dots.
///
/// Errors: NotPickle (no manifest), BadPickle, which names item, path and group, TooLarge. Findings: "fqn_collision",
/// "groups_disagree", "strided_disjoint", "unknown_key", "bytes_after_stop".
[[nodiscard]] Result<Imported> import_pickle(std::span<const std::byte> pickle, const ImportOptions& options = {});

}  // namespace flatpoint::torch_checkpointing
