#include "base/hash.hpp"

#include "base/seeded_hash.hpp"
#include "base/text_map.hpp"

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

std::size_t TextHash::operator()(std::string_view text) const noexcept { return seeded_hash(text.data(), text.size()); }

}  // namespace flatpoint::base
