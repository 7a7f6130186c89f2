#include "pickle/text_table.hpp"

#include "base/seeded_hash.hpp"

namespace flatpoint::pickle {
namespace {

constexpr std::uint64_t kNumberMask = 0xFFFFFFFF;

std::uint64_t hash_of(std::string_view text) noexcept { return base::seeded_hash(text.data(), text.size()); }

}  // namespace

std::uint32_t TextTable::look_up(std::string_view text) {
  if (texts_.size() * 2 >= slots_.size()) grow();
  const std::uint64_t hash = hash_of(text);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  for (; slots_[at] != 0; at = (at + 1) & mask) {
    const auto number = static_cast<std::uint32_t>((slots_[at] & kNumberMask) - 1);
    if ((slots_[at] & ~kNumberMask) == (hash & ~kNumberMask) && equal(texts_[number], text)) return last_ = number;
  }
  last_ = size();
  slots_[at] = (hash & ~kNumberMask) | (std::uint64_t{last_} + 1);
  texts_.push_back(arena_.copy(text));
  return last_;
}

void TextTable::grow() {
  std::vector<std::uint64_t> slots(slots_.empty() ? 64 : slots_.size() * 2);
  const std::size_t mask = slots.size() - 1;
  for (std::uint32_t number = 0; number < texts_.size(); ++number) {
    const std::uint64_t hash = hash_of(texts_[number]);
    std::size_t at = hash & mask;
    while (slots[at] != 0) at = (at + 1) & mask;
    slots[at] = (hash & ~kNumberMask) | (std::uint64_t{number} + 1);
  }
  slots_.swap(slots);
}

}  // namespace flatpoint::pickle
