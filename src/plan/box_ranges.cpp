#include "flatpoint/box_ranges.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "flatpoint/overlap.hpp"
#include "plan/list_ranges.hpp"

namespace flatpoint {
namespace {

bool lies_inside(const TensorView& tensor, std::span<const std::int64_t> offsets,
                 std::span<const std::int64_t> sizes) noexcept {
  const auto whole = tensor.size();
  if (offsets.size() != whole.size() || sizes.size() != whole.size()) return false;
  for (std::size_t d = 0; d < whole.size(); ++d) {
    if (offsets[d] < 0 || sizes[d] < 0 || sizes[d] > whole[d] || offsets[d] > whole[d] - sizes[d]) return false;
  }
  return true;
}

/// One dimension of what a chunk and the box share; strides in bytes.
struct SharedDimension {
  std::uint64_t length, chunk_stride, box_stride;
};

class Lister {
 public:
  Lister(const TensorView& tensor, std::span<const std::int64_t> sizes, std::size_t max_ranges,
         const plan::FindData& find)
      : tensor_(tensor), sizes_(sizes), max_ranges_(max_ranges), find_(find) {}

  Result<void> add(const Overlaps& hit) {
    const std::size_t ndim = sizes_.size();
    for (std::size_t d = 0; d < ndim; ++d) {
      if (hit.length(d) <= 0) return {};
    }
    const ChunkView chunk = *tensor_.chunk_by_row(hit.chunk());
    const auto data = find_(chunk);
    RETURN_IF_ERROR(data);
    // No product wraps: the bytes of the box fit (list_ranges), as do those of a chunk whose place is known (E7).
    std::uint64_t chunk_stride = item_size(tensor_.dtype());
    std::uint64_t box_stride = chunk_stride;
    BoxRange first{data->file, data->byte_offset, 0, 0};
    run_ = chunk_stride;
    bool is_joined = true;  // all behind this dimension is one run
    dimensions_.clear();
    for (std::size_t d = ndim; d-- > 0;) {
      const auto length = static_cast<std::uint64_t>(hit.length(d));
      const auto chunk_size = static_cast<std::uint64_t>(chunk.size(static_cast<std::uint8_t>(d)));
      first.byte_offset += static_cast<std::uint64_t>(hit.chunk_offset(d)) * chunk_stride;
      first.box_offset += static_cast<std::uint64_t>(hit.box_offset(d)) * box_stride;
      if (is_joined) {
        run_ *= length;
      } else {
        dimensions_.push_back({length, chunk_stride, box_stride});
      }
      is_joined = is_joined && length == chunk_size && length == static_cast<std::uint64_t>(sizes_[d]);
      chunk_stride *= chunk_size;
      box_stride *= static_cast<std::uint64_t>(sizes_[d]);
    }
    return list(first, dimensions_.size());
  }

  /// Sorts the ranges by their place in the box and looks for what none of them holds.
  Result<std::vector<BoxRange>> finish(std::uint64_t box_bytes) && {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> covered;
    covered.reserve(ranges_.size());
    for (const BoxRange& range : ranges_) covered.emplace_back(range.box_offset, range.box_offset + range.length);
    if (!std::ranges::is_sorted(covered)) std::ranges::sort(covered);
    std::uint64_t end = 0;
    for (const auto& [from, to] : covered) {
      if (from > end) break;
      end = std::max(end, to);
    }
    if (end < box_bytes) {
      return fail(ErrorCode::Holes, fmt::format("FQN '{}': no chunk holds element {} of the box", tensor_.fqn(),
                                                end / item_size(tensor_.dtype())));
    }
    return std::move(ranges_);
  }

 private:
  /// `levels` dimensions are left, the last of `dimensions_` first.
  Result<void> list(BoxRange at, std::size_t levels) {
    if (levels == 0) {
      if (ranges_.size() == max_ranges_)
        return fail(ErrorCode::TooLarge,
                    fmt::format("FQN '{}': the box has more than {} ranges", tensor_.fqn(), max_ranges_));
      at.length = run_;
      ranges_.push_back(at);
      return {};
    }
    const SharedDimension& dimension = dimensions_[levels - 1];
    for (std::uint64_t i = 0; i < dimension.length; ++i) {
      RETURN_IF_ERROR(list(at, levels - 1));
      at.byte_offset += dimension.chunk_stride;
      at.box_offset += dimension.box_stride;
    }
    return {};
  }

  const TensorView& tensor_;
  std::span<const std::int64_t> sizes_;
  std::size_t max_ranges_;
  const plan::FindData& find_;
  std::uint64_t run_ = 0;  // bytes
  std::vector<SharedDimension> dimensions_;
  std::vector<BoxRange> ranges_;
};

/// As the metadata says.
Result<ChunkData> known_data(const TensorView& tensor, const ChunkView& chunk) {
  const auto data = chunk.data();
  if (data) return *data;
  const auto storage = chunk.storage();
  if (data.corrupt() || storage.corrupt()) {
    return fail(ErrorCode::Corrupt,
                fmt::format("FQN '{}': the metadata breaks a rule; `verify` names it", tensor.fqn()));
  }
  if (storage.absent())
    return fail(ErrorCode::Holes, fmt::format("FQN '{}': row {} has no storage", tensor.fqn(), chunk.row()));
  return fail(ErrorCode::NotPlain,
              fmt::format("FQN '{}': where the elements of row {} begin is not known", tensor.fqn(), chunk.row()));
}

}  // namespace

Result<std::vector<BoxRange>> box_ranges(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                         std::span<const std::int64_t> sizes, std::size_t max_ranges) {
  const auto find = [&](const ChunkView& chunk) { return known_data(tensor, chunk); };
  return plan::list_ranges(tensor, offsets, sizes, max_ranges, find);
}

Result<std::vector<BoxRange>> plan::list_ranges(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                                std::span<const std::int64_t> sizes, std::size_t max_ranges,
                                                const FindData& find) {
  if (!lies_inside(tensor, offsets, sizes)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("FQN '{}': a box at [{}] with sizes [{}] does not lie in size [{}]", tensor.fqn(),
                            fmt::join(offsets, ", "), fmt::join(sizes, ", "), fmt::join(tensor.size(), ", ")));
  }
  if (std::ranges::find(sizes, 0) != sizes.end()) return std::vector<BoxRange>();
  std::uint64_t bytes = item_size(tensor.dtype());
  for (const std::int64_t size : sizes) {
    if (!base::multiply(bytes, static_cast<std::uint64_t>(size), bytes))
      return fail(ErrorCode::TooLarge, fmt::format("FQN '{}': the box has more than 2^64 bytes", tensor.fqn()));
  }
  if (bytes == 0)
    return fail(ErrorCode::NotPlain,
                fmt::format("FQN '{}': dtype {} has no item size", tensor.fqn(), tensor.dtype_name()));
  Lister lister(tensor, sizes, max_ranges, find);
  for (Overlaps hit(tensor, offsets, sizes); !hit.done(); hit.next()) {
    RETURN_IF_ERROR(lister.add(hit));
  }
  return std::move(lister).finish(bytes);
}

}  // namespace flatpoint
