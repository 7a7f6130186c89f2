#include "data/coverage.hpp"

#include <algorithm>

namespace flatpoint::data {
namespace {

bool is_empty(const ChunkStorageMetadata& box) { return std::ranges::find(box.sizes, 0) != box.sizes.end(); }

bool overlap(const ChunkStorageMetadata& a, const ChunkStorageMetadata& b) {
  for (std::size_t i = 0; i < a.sizes.size(); ++i) {
    if (a.offsets[i] >= b.offsets[i] + b.sizes[i] || b.offsets[i] >= a.offsets[i] + a.sizes[i]) return false;
  }
  return true;
}

/// Appends what is left of a box without a part: at most two boxes per dimension. REQUIRES: they overlap.
void subtract(ChunkStorageMetadata box, const ChunkStorageMetadata& part, std::vector<ChunkStorageMetadata>& left) {
  for (std::size_t i = 0; i < box.sizes.size(); ++i) {
    const std::int64_t end = box.offsets[i] + box.sizes[i];
    const std::int64_t part_end = part.offsets[i] + part.sizes[i];
    if (box.offsets[i] < part.offsets[i]) {
      ChunkStorageMetadata before = box;
      before.sizes[i] = part.offsets[i] - box.offsets[i];
      left.push_back(std::move(before));
      box.offsets[i] = part.offsets[i];
    }
    if (part_end < end) {
      ChunkStorageMetadata behind = box;
      behind.offsets[i] = part_end;
      behind.sizes[i] = end - part_end;
      left.push_back(std::move(behind));
    }
    box.sizes[i] = std::min(end, part_end) - box.offsets[i];
  }
}

}  // namespace

std::optional<ChunkStorageMetadata> find_hole(const ChunkStorageMetadata& box,
                                              std::span<const ChunkStorageMetadata> parts) {
  if (is_empty(box)) return std::nullopt;
  std::vector<ChunkStorageMetadata> holes{box};
  std::vector<ChunkStorageMetadata> left;
  for (const ChunkStorageMetadata& part : parts) {
    if (is_empty(part)) continue;
    left.clear();
    for (ChunkStorageMetadata& hole : holes) {
      if (overlap(hole, part)) {
        subtract(std::move(hole), part, left);
      } else {
        left.push_back(std::move(hole));
      }
    }
    holes.swap(left);
    if (holes.empty()) return std::nullopt;
  }
  return holes.front();
}

}  // namespace flatpoint::data
