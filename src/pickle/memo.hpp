// pickle/memo.hpp - the pickle's numbered variables.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "pickle/value.hpp"

namespace flatpoint::pickle {

/// Gone: an entry that a fold policy made and did not keep, such as the dict that held a folded object's state.
struct MemoAnswer {
  enum class Kind : std::uint8_t { Found, Absent, Gone };
  Kind kind;
  Value value;
};

class Memo {
 public:
  static constexpr std::uint64_t kPage = 4096;  // entries that take memory together

  /// Entries that MEMOIZE has made: the number that it uses next.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  void memoize(Value value) { put(size_, value); }

  void put(std::uint64_t id, Value value) {
    Value& slot = at(id);
    size_ += slot.is(Tag::Unset) ? 1 : 0;
    slot = value;
  }

  /// Entries of folded objects: their policy knows what they hold. REQUIRES: nothing was put by number.
  void skip(std::uint64_t count) noexcept { size_ += count; }

  /// The entry that was put; Unset otherwise.
  [[nodiscard]] Value peek(std::uint64_t id) const noexcept {
    const std::uint64_t page = id / kPage;
    if (page >= pages_.size() || !pages_[page]) return {};
    return (*pages_[page])[id % kPage];
  }

  /// Replaces what an existing entry holds by an equal value.
  void replace(std::uint64_t id, Value value) { at(id) = value; }

 private:
  using Page = std::array<Value, kPage>;

  Value& at(std::uint64_t id) {
    const std::uint64_t page = id / kPage;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page]) pages_[page] = std::make_unique<Page>();
    return (*pages_[page])[id % kPage];
  }

  std::vector<std::unique_ptr<Page>> pages_;
  std::uint64_t size_ = 0;
};

}  // namespace flatpoint::pickle
