#include "torch_checkpointing/boxes.hpp"

#include <algorithm>

namespace flatpoint::torch_checkpointing {
namespace {

std::int64_t divide_up(std::int64_t n, std::int64_t parts) noexcept { return n / parts + (n % parts != 0 ? 1 : 0); }

/// What is left of runs, piece by piece from front to back.
class Picker {
 public:
  explicit Picker(const Runs& from) noexcept : from_(from) {}

  /// Adds the positions [begin, begin + count) of all that the runs hold. REQUIRES: ascending calls.
  void pick(std::int64_t begin, std::int64_t count, Runs& to) {
    while (count > 0) {
      while (begin - before_ >= from_[run_].count) before_ += from_[run_++].count;
      const std::int64_t inside = begin - before_;
      const std::int64_t n = std::min(count, from_[run_].count - inside);
      const std::int64_t first = from_[run_].begin + inside;
      if (!to.empty() && to.back().begin + to.back().count == first) {
        to.back().count += n;
      } else {
        to.push_back({first, n});
      }
      begin += n;
      count -= n;
    }
  }

 private:
  const Runs& from_;
  std::size_t run_ = 0;
  std::int64_t before_ = 0;  // positions in the runs before run_
};

}  // namespace

bool local_runs(std::span<const std::int64_t> shape, std::span<const std::int64_t> mesh_shape,
                std::span<const Placement> placements, std::uint64_t position, std::uint64_t max_work,
                std::uint64_t& work, std::vector<Runs>& runs) {
  runs.clear();
  for (const std::int64_t size : shape) runs.push_back(size > 0 ? Runs{{0, size}} : Runs{});
  std::uint64_t stride = 1;
  for (const std::int64_t parts : mesh_shape) stride *= static_cast<std::uint64_t>(parts);
  for (std::size_t d = 0; d < placements.size(); ++d) {
    const std::int64_t parts = mesh_shape[d];
    stride /= static_cast<std::uint64_t>(parts);
    const auto coordinate = static_cast<std::int64_t>(position / stride % static_cast<std::uint64_t>(parts));
    const auto* const shard = std::get_if<Shard>(&placements[d]);
    const auto* const strided = std::get_if<StridedShard>(&placements[d]);
    if (shard == nullptr && strided == nullptr) continue;
    Runs& held = runs[static_cast<std::size_t>(shard != nullptr ? shard->dim : strided->dim)];
    std::int64_t total = 0;
    for (const Run& run : held) total += run.count;
    if (total == 0) continue;
    // A Shard cuts all that is held; a StridedShard cuts it into pieces, and each of them so.
    const std::int64_t piece = strided != nullptr ? divide_up(total, strided->split_factor) : total;
    Picker picker(held);
    Runs left;
    for (std::int64_t begin = 0; begin < total;) {
      const std::int64_t length = std::min(piece, total - begin);
      const std::int64_t step = divide_up(length, parts);
      // coordinate * step < parts * step, which is below length + parts
      const std::int64_t first = std::min(coordinate * step, length);
      picker.pick(begin + first, std::min(step, length - first), left);
      begin += length;
      if (++work > max_work) return false;
    }
    held = std::move(left);
  }
  return true;
}

}  // namespace flatpoint::torch_checkpointing
