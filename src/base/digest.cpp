#include "base/digest.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace flatpoint::base {

struct Digest::State {
  XXH3_state_t xxh3;
};

Digest::Digest() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh3); }

Digest::~Digest() = default;

void Digest::add(std::span<const std::byte> bytes) noexcept {
  XXH3_64bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

std::uint64_t Digest::value() const noexcept { return XXH3_64bits_digest(&state_->xxh3); }

std::uint64_t digest(std::span<const std::byte> bytes) noexcept { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace flatpoint::base
