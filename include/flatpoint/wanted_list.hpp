// flatpoint/wanted_list.hpp - what a rank wants, kept together with all that `Wanted` borrows:
//
//   WantedList wanted;
//   if (auto added = wanted.add_tensor("w", {8, 4}, {{.offsets = {0, 0}, .sizes = {4, 4}}}); !added) ...
//   const auto plan = plan_load(file->view(), wanted.wanted());
#pragma once

#include <deque>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flatpoint/error.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint {

/// Owns its FQNs, sizes and boxes. Move-only; reading is safe from any number of threads.
class WantedList {
 public:
  using OwnsWhatItLends = void;

  WantedList() = default;
  WantedList(WantedList&&) = default;
  WantedList& operator=(WantedList&&) = default;

  /// A bytes item.
  void add_bytes(std::string fqn) {
    const Kept& kept = kept_.emplace_back(Kept{std::move(fqn), {}, {}});
    wanted_.push_back({.fqn = kept.fqn, .type = StorageType::Bytes, .size = {}, .boxes = {}, .dtype = {}});
  }

  /// A tensor of `size` elements per dimension, and the boxes of it that the rank holds. A dtype is compared, unset is
  /// not. Errors: InvalidArgument for a box of another number of dimensions; nothing is added then.
  [[nodiscard]] Result<void> add_tensor(std::string fqn, Size size, std::span<const ChunkStorageMetadata> boxes,
                                        std::optional<ScalarType> dtype = std::nullopt) {
    Kept kept{std::move(fqn), std::move(size), {}};
    for (const ChunkStorageMetadata& box : boxes) {
      if (box.offsets.size() != kept.size.size() || box.sizes.size() != kept.size.size()) {
        return fail(ErrorCode::InvalidArgument, "FQN '" + kept.fqn + "': a box with " +
                                                    std::to_string(box.offsets.size()) + " offsets and " +
                                                    std::to_string(box.sizes.size()) + " sizes of a tensor of " +
                                                    std::to_string(kept.size.size()) + " dimensions");
      }
      kept.boxes.insert(kept.boxes.end(), box.offsets.begin(), box.offsets.end());
      kept.boxes.insert(kept.boxes.end(), box.sizes.begin(), box.sizes.end());
    }
    const Kept& last = kept_.emplace_back(std::move(kept));
    wanted_.push_back({.fqn = last.fqn,
                       .type = StorageType::Tensor,
                       .size = last.size,
                       .box_count = static_cast<std::uint32_t>(boxes.size()),
                       .boxes = last.boxes,
                       .dtype = dtype});
    return {};
  }
  [[nodiscard]] Result<void> add_tensor(std::string fqn, Size size, std::initializer_list<ChunkStorageMetadata> boxes,
                                        std::optional<ScalarType> dtype = std::nullopt) {
    return add_tensor(std::move(fqn), std::move(size), std::span(boxes.begin(), boxes.size()), dtype);
  }

  /// For plan_load; in the order of the calls. Valid until the next call that adds.
  [[nodiscard]] std::span<const Wanted> wanted() const& noexcept { return wanted_; }
  std::span<const Wanted> wanted() const&& = delete;

 private:
  struct Kept {
    std::string fqn;
    Size size;
    Size boxes;
  };
  std::deque<Kept> kept_;  // whose elements stay where they are
  std::vector<Wanted> wanted_;
};

}  // namespace flatpoint
