#include "change/fragment_walk.hpp"

#include <algorithm>
#include <numeric>

namespace flatpoint::change {

void FragmentWalk::push(std::uint32_t first) {
  heap_.push_back(first);
  std::push_heap(heap_.begin(), heap_.end(), [&](std::uint32_t a, std::uint32_t b) { return fqn_of(b) < fqn_of(a); });
}

std::uint32_t FragmentWalk::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), [&](std::uint32_t a, std::uint32_t b) { return fqn_of(b) < fqn_of(a); });
  const std::uint32_t first = heap_.back();
  heap_.pop_back();
  return first;
}

tl::expected<bool, FragmentWalk::Failure> FragmentWalk::advance() {
  if (!started_) {
    group_.resize(readers_.size());
    std::iota(group_.begin(), group_.end(), 0U);
  }
  // Readers of the group that come to stand at one FQN again stay one bundle.
  std::uint32_t first = kNone;
  std::uint32_t last = kNone;
  for (const std::uint32_t reader : group_) {
    EntryReader& r = *readers_[reader];
    if (started_) r.advance();
    if (r.done()) continue;
    if (auto opened = r.open(); !opened) return tl::unexpected(Failure{reader, std::move(opened.error())});
    next_[reader] = kNone;
    if (last != kNone && r.fqn() == fqn_of(last)) {
      next_[last] = reader;
    } else {
      if (first != kNone) push(first);
      first = reader;
    }
    last = reader;
  }
  if (first != kNone) push(first);
  started_ = true;

  group_.clear();
  if (heap_.empty()) return false;
  bool one_bundle = true;
  do {
    if (!group_.empty()) one_bundle = false;
    for (std::uint32_t reader = pop(); reader != kNone; reader = next_[reader]) group_.push_back(reader);
  } while (!heap_.empty() && fqn_of(heap_.front()) == fqn_of(group_.front()));
  if (!one_bundle) std::sort(group_.begin(), group_.end());
  return true;
}

}  // namespace flatpoint::change
