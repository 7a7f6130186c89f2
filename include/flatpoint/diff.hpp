// flatpoint/diff.hpp - what two metadata files say differently.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint {

/// In what two files can differ. A set of them is their bitwise or.
enum class Aspect : std::uint32_t {
  Type = 1 << 0,  // tensor, bytes or opaque
  Dtype = 1 << 1,
  Shape = 1 << 2,
  Properties = 1 << 3,  // layout, memory format, requires_grad, pin_memory, strides
  Sharding = 1 << 4,    // the boxes of the chunks
  Location = 1 << 5,    // file, offset, length, transforms of each chunk; compared where the boxes agree
  Order = 1 << 6,       // of chunks, of FQNs, of storage data, of planner data
  Planner = 1 << 7,     // planner paths
  Meta = 1 << 8,        // version, modules of storage_meta, classes, opaque records
  Save = 1 << 9,        // the ids that storage_meta gives to one save: checkpoint_id, save_id, load_id
  Data = 1 << 10,       // values, which `diff` does not look at: data_diff.hpp
};

using Aspects = std::uint32_t;
inline constexpr Aspects kAllAspects = (1 << 10) - 1;  // all of the metadata
constexpr Aspects operator|(Aspect a, Aspect b) noexcept { return static_cast<Aspects>(a) | static_cast<Aspects>(b); }
constexpr Aspects operator|(Aspects a, Aspect b) noexcept { return a | static_cast<Aspects>(b); }
constexpr bool holds(Aspects aspects, Aspect one) noexcept { return (aspects & static_cast<Aspects>(one)) != 0; }

/// "type", "dtype", "shape", "properties", "sharding", "location", "order", "planner", "meta", "save", "data".
std::string_view to_string(Aspect aspect) noexcept;

/// An FQN that both files have.
struct ChangedEntry {
  std::uint32_t a;  // position in the first file's sorted order
  std::uint32_t b;  // in the second's
  Aspects aspects;
  std::uint32_t chunks = 0;  // whose location differs
};

/// A difference that belongs to no FQN.
struct FileDifference {
  Aspect aspect;
  std::string what;  // "version", "storage_meta.save_id", "order of state_dict_metadata", ...
  std::string a;     // what the files say, for people; both empty where that would be too long
  std::string b;
};

struct Diff {
  std::vector<std::uint32_t> removed;  // positions in the first file of FQNs that the second lacks
  std::vector<std::uint32_t> added;    // positions in the second file of FQNs that the first lacks
  std::vector<ChangedEntry> changed;
  std::vector<FileDifference> file;
  [[nodiscard]] bool same() const noexcept {
    return removed.empty() && added.empty() && changed.empty() && file.empty();
  }
};

/// Compares facts, not bytes: files that were laid out differently can be the same. `aspects` selects what counts; FQNs
/// that only one file has always do. Orders compare what both files have; that of storage data is compared where both
/// have the same chunks in the same places. The source record and the rank of a fragment are no facts of a checkpoint.
/// Linear in both files. Errors: Corrupt.
[[nodiscard]] Result<Diff> diff(const MetadataView& a, const MetadataView& b, Aspects aspects = kAllAspects);

}  // namespace flatpoint
