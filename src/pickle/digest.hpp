// pickle/digest.hpp - XXH3-64 of the pickle, taken while the machine walks through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace flatpoint::pickle {

/// Reading 191 MB once more only to digest them would cost as much as a third of an import. So the digest runs one
/// frame ahead of the machine, which then finds its bytes in the cache.
class ContentDigest {
 public:
  explicit ContentDigest(std::span<const std::uint8_t> content);
  ~ContentDigest();
  ContentDigest(const ContentDigest&) = delete;
  ContentDigest& operator=(const ContentDigest&) = delete;

  /// Covers everything below `end` at least. REQUIRES: end <= size of the content.
  void cover(std::size_t end) {
    if (end > covered_) advance(end);
  }
  /// The digest of all of it.
  std::uint64_t finish();

 private:
  struct State;
  void advance(std::size_t end);

  std::span<const std::uint8_t> content_;
  std::size_t covered_ = 0;
  std::unique_ptr<State> state_;
};

}  // namespace flatpoint::pickle
