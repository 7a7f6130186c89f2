// plan/entry_finder.hpp - looks up many FQNs that come in some order.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/checked.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint::plan {

/// As MetadataView::find, but looks first at the entry that follows the one found last, in DCP's order or in the sorted
/// one: a state dict mostly has the order of the checkpoint, or none that is worth a guess.
class EntryFinder {
 public:
  explicit EntryFinder(const MetadataView& metadata) : metadata_(metadata) {}

  Lookup<EntryView> find(std::string_view fqn) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto guess = sorted_ ? metadata_.entry(position_ + 1) : metadata_.entry_in_dcp_order(dcp_next_);
      if (guess && guess->fqn() == fqn) {
        position_ = guess->position();
        ++dcp_next_;  // wrong where the sorted order was right, and then of no use
        return guess;
      }
      sorted_ = !sorted_;
    }
    const auto found = metadata_.find(fqn);
    if (found) {
      position_ = found->position();
      dcp_next_ = dcp_index(position_) + 1;
    }
    return found;
  }

 private:
  /// The inverse of entry_in_dcp_order. Made once it is asked for.
  std::uint32_t dcp_index(std::uint32_t position) {
    const auto order = metadata_.columns().fqn_order;
    if (order.empty()) return position;
    if (dcp_index_.empty()) {
      dcp_index_.resize(order.size());
      for (std::uint32_t i = 0; i < order.size(); ++i) {
        const std::uint32_t at = base::read_once(order, i);
        if (at < dcp_index_.size()) dcp_index_[at] = i;
      }
    }
    return dcp_index_[position];
  }

  MetadataView metadata_;
  bool sorted_ = false;
  std::uint32_t position_ = ~std::uint32_t{0};  // of the entry found last
  std::uint32_t dcp_next_ = 0;
  std::vector<std::uint32_t> dcp_index_;
};

}  // namespace flatpoint::plan
