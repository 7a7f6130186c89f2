#include "flatpoint/buffer.hpp"

#include "base/large_vector.hpp"

namespace flatpoint {

Buffer::Buffer(std::size_t size)
    : block_(static_cast<std::byte*>(base::allocate_large(size)), Release{size}), size_(size) {}

void Buffer::Release::operator()(std::byte* block) const noexcept { base::free_large(block, allocated); }

}  // namespace flatpoint
