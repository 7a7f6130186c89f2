// pickle/arena.hpp - memory that is given back all at once.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/large_vector.hpp"

namespace flatpoint::pickle {

/// Hands out 8-byte aligned memory that lives as long as the arena. Move-only; addresses survive a move.
class Arena {
 public:
  void* allocate(std::size_t size) {
    size = (size + 7) & ~std::size_t{7};
    if (size > left_) grow(size);
    left_ -= size;
    void* const at = next_;
    next_ += size;
    return at;
  }

  std::string_view copy(std::string_view text) {
    char* const at = static_cast<char*>(allocate(text.size()));
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }

 private:
  void grow(std::size_t size) {
    static constexpr std::size_t kFirst = std::size_t{1} << 14;
    static constexpr std::size_t kLargest = std::size_t{1} << 25;
    next_size_ = blocks_.empty() ? kFirst : (next_size_ < kLargest ? next_size_ * 2 : kLargest);
    blocks_.emplace_back(size > next_size_ ? size : next_size_);
    next_ = blocks_.back().data();
    left_ = blocks_.back().size();
  }

  std::vector<base::LargeVector<std::byte>> blocks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t next_size_ = 0;
};

}  // namespace flatpoint::pickle
