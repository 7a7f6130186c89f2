// pickle/digest.hpp - the digest of the pickle, taken while the machine walks through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/hash.hpp"

namespace flatpoint::pickle {

/// Reading 191 MB once more only to digest them would cost as much as a third of an import. So the digest runs one
/// frame ahead of the machine, which then finds its bytes in the cache.
class ContentDigest {
 public:
  explicit ContentDigest(std::span<const std::uint8_t> content) : content_(content) {}

  /// Covers everything below `end` at least. REQUIRES: end <= size of the content.
  void cover(std::size_t end) {
    if (end <= covered_) return;
    digest_.add(std::as_bytes(content_.subspan(covered_, end - covered_)));
    covered_ = end;
  }
  /// The digest of all of it.
  std::uint64_t finish() {
    cover(content_.size());
    return digest_.value();
  }

 private:
  std::span<const std::uint8_t> content_;
  std::size_t covered_ = 0;
  base::Digest digest_;
};

}  // namespace flatpoint::pickle
