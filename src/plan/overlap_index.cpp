#include <algorithm>
#include <numeric>

#include "columns/boxes.hpp"
#include "flatpoint/overlap.hpp"
#include "read/view_access.hpp"

namespace flatpoint {
namespace {

/// Boxes of a leaf: few enough to look at each, so many that nodes stay few.
constexpr std::uint32_t kLeafSize = 8;

std::span<const std::int64_t> explicit_boxes(const TensorView& tensor) noexcept {
  const EntryRow& row = tensor.row();
  if (row.chunk_layout != ChunkLayout::Explicit) return {};
  return ViewAccess::columns_of(tensor)->boxes.subspan(row.box_begin, std::size_t{2} * row.ndim * row.chunk_count);
}

}  // namespace

OverlapIndex::OverlapIndex(const TensorView& tensor)
    : OverlapIndex(tensor.ndim(), tensor.row().chunk_layout == ChunkLayout::Explicit ? tensor.chunk_count() : 0,
                   explicit_boxes(tensor)) {}

OverlapIndex::OverlapIndex(std::uint8_t ndim, std::uint32_t count, std::span<const std::int64_t> boxes) : ndim_(ndim) {
  if (count == 0) return;
  // Begin and end of each, read once from what may be a shared mapping.
  std::vector<std::int64_t> ends(boxes.size());
  for (std::size_t box = 0; box < count; ++box) {
    for (std::size_t d = 0; d < ndim_; ++d) {
      const std::int64_t begin = base::read_once(boxes, 2 * ndim_ * box + d);
      ends[2 * (ndim_ * box + d)] = begin;
      ends[2 * (ndim_ * box + d) + 1] = columns::end_of(begin, base::read_once(boxes, 2 * ndim_ * box + ndim_ + d));
    }
  }
  chunks_.resize(count);
  std::iota(chunks_.begin(), chunks_.end(), 0U);
  build(0, count, ends);
  ends_.reserve(ends.size());
  for (const std::uint32_t box : chunks_) {
    const auto from = ends.begin() + static_cast<std::ptrdiff_t>(2 * ndim_ * box);
    ends_.insert(ends_.end(), from, from + static_cast<std::ptrdiff_t>(2 * ndim_));
  }
}

/// Builds the tree of a range of `chunks_` and returns its node. Halving the range at the median keeps the depth
/// logarithmic whatever the boxes are.
std::uint32_t OverlapIndex::build(std::uint32_t begin, std::uint32_t end, std::span<const std::int64_t> boxes) {
  const auto node = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({begin, end, 0, end - begin <= kLeafSize});
  bounds_.resize(bounds_.size() + 2 * ndim_);
  std::int64_t* bounds = bounds_.data() + 2 * ndim_ * node;
  std::copy_n(boxes.begin() + static_cast<std::ptrdiff_t>(2 * ndim_ * chunks_[begin]), 2 * ndim_, bounds);
  for (std::uint32_t i = begin + 1; i < end; ++i) {
    const std::int64_t* box = boxes.data() + 2 * ndim_ * chunks_[i];
    for (std::size_t d = 0; d < ndim_; ++d) {
      bounds[2 * d] = std::min(bounds[2 * d], box[2 * d]);
      bounds[2 * d + 1] = std::max(bounds[2 * d + 1], box[2 * d + 1]);
    }
  }
  if (!nodes_[node].is_leaf) {
    const std::uint32_t middle = begin + (end - begin) / 2;
    const std::size_t at = 2 * best_dimension(begin, end, boxes);
    const auto before = [&](std::uint32_t a, std::uint32_t b) {
      if (ndim_ == 0) return a < b;
      const std::int64_t x = boxes[2 * ndim_ * a + at];
      const std::int64_t y = boxes[2 * ndim_ * b + at];
      return x != y ? x < y : a < b;
    };
    const auto first = chunks_.begin();
    std::nth_element(first + begin, first + middle, first + end, before);
    build(begin, middle, boxes);
    build(middle, end, boxes);
  }
  nodes_[node].skip = static_cast<std::uint32_t>(nodes_.size());
  return node;
}

/// The dimension along which the boxes are spread over the most of their own lengths.
std::size_t OverlapIndex::best_dimension(std::uint32_t begin, std::uint32_t end,
                                         std::span<const std::int64_t> boxes) const {
  std::size_t best = 0;
  double most = -1;
  for (std::size_t d = 0; d < ndim_; ++d) {
    std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
    std::int64_t highest = std::numeric_limits<std::int64_t>::min();
    double lengths = 0;
    for (std::uint32_t i = begin; i < end; ++i) {
      const std::int64_t* box = boxes.data() + 2 * ndim_ * chunks_[i];
      lowest = std::min(lowest, box[2 * d]);
      highest = std::max(highest, box[2 * d]);
      lengths += static_cast<double>(box[2 * d + 1]) - static_cast<double>(box[2 * d]);
    }
    const double spread = static_cast<double>(highest) - static_cast<double>(lowest);
    const double score = spread / (std::max(lengths, 0.0) / (end - begin) + 1);
    if (score > most) {
      most = score;
      best = d;
    }
  }
  return best;
}

}  // namespace flatpoint
