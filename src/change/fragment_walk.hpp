// change/fragment_walk.hpp - many sorted files, FQN by FQN.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "change/entry_reader.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::change {

/// A k-way merge in which readers that stand at one FQN travel together as a bundle: only bundles are compared with one
/// another. Ranks share most FQNs, so the cost is about one comparison per entry; readers with nothing in common cost
/// log(readers) each.
class FragmentWalk {
 public:
  /// Borrows the readers. None of their entries is open yet.
  explicit FragmentWalk(std::span<EntryReader* const> readers)
      : readers_(readers.begin(), readers.end()), next_(readers.size(), kNone) {}

  /// Moves to the next FQN, first to the lowest. Errors: Corrupt, with the reader that is at fault.
  struct Failure {
    std::uint32_t reader;
    Error error;
  };
  tl::expected<bool, Failure> advance();

  /// The readers that stand at the current FQN, ascending. Valid after `advance` returned true.
  [[nodiscard]] std::span<const std::uint32_t> group() const noexcept { return group_; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  [[nodiscard]] std::string_view fqn_of(std::uint32_t reader) const noexcept { return readers_[reader]->fqn(); }
  void push(std::uint32_t first);
  std::uint32_t pop();

  std::vector<EntryReader*> readers_;
  std::vector<std::uint32_t> next_;  // of the same bundle
  std::vector<std::uint32_t> heap_;  // first readers of bundles, the lowest FQN in front
  std::vector<std::uint32_t> group_;
  bool started_ = false;
};

}  // namespace flatpoint::change
