#include "base/text_map.hpp"

#include "base/seeded_hash.hpp"

namespace flatpoint::base {

std::size_t TextHash::operator()(std::string_view text) const noexcept { return seeded_hash(text.data(), text.size()); }

}  // namespace flatpoint::base
