#include "pickle/digest.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace flatpoint::pickle {

struct ContentDigest::State {
  XXH3_state_t xxh3;
};

ContentDigest::ContentDigest(std::span<const std::uint8_t> content)
    : content_(content), state_(std::make_unique<State>()) {
  XXH3_64bits_reset(&state_->xxh3);
}

ContentDigest::~ContentDigest() = default;

void ContentDigest::advance(std::size_t end) {
  XXH3_64bits_update(&state_->xxh3, content_.data() + covered_, end - covered_);
  covered_ = end;
}

std::uint64_t ContentDigest::finish() {
  cover(content_.size());
  return XXH3_64bits_digest(&state_->xxh3);
}

}  // namespace flatpoint::pickle
