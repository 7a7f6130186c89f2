#include "base/large_vector.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

#include "flatpoint/buffer.hpp"

namespace flatpoint::base {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 2 * kHugePage;

thread_local PageReuse* reuse = nullptr;

constexpr std::size_t round_up(std::size_t size) noexcept { return (size + kHugePage - 1) / kHugePage * kHugePage; }

}  // namespace

PageReuse::PageReuse() noexcept : outer_(reuse) { reuse = this; }

PageReuse::~PageReuse() {
  reuse = outer_;
  while (count_ > 0) {
    --count_;
    ::munmap(freed_[count_].begin, freed_[count_].size);
  }
}

bool PageReuse::keep(std::byte* block, std::size_t size) noexcept {
#ifdef MREMAP_FIXED
  if (count_ == freed_.size()) return false;
  freed_[count_++] = {block, size};
  return true;
#else
  return false;
#endif
}

/// Moves pages without touching them. What does not succeed leaves the block's own fresh pages.
void PageReuse::fill(std::byte* block, std::size_t size) noexcept {
#ifdef MREMAP_FIXED
  while (size > 0 && count_ > 0) {
    Block& from = freed_[count_ - 1];
    const std::size_t part = std::min(size, from.size);
    std::byte* const pages = from.begin + (from.size - part);
    if (::mremap(pages, part, part, MREMAP_MAYMOVE | MREMAP_FIXED, block) == MAP_FAILED) return;
    from.size -= part;
    if (from.size == 0) --count_;
    block += part;
    size -= part;
  }
#endif
}

void* allocate_large(std::size_t size) {
  if (size < kLarge) return ::operator new(size);
  const std::size_t wanted = round_up(size);
  const std::size_t mapped = wanted + kHugePage;  // so that a huge page begins inside
  void* const mapping = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(mapping);
  const std::size_t head = (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (head > 0) ::munmap(begin, head);
  if (head < kHugePage) ::munmap(begin + head + wanted, kHugePage - head);
#ifdef MADV_HUGEPAGE
  ::madvise(begin + head, wanted, MADV_HUGEPAGE);
#endif
  if (reuse != nullptr) reuse->fill(begin + head, wanted);
  return begin + head;
}

void free_large(void* block, std::size_t size) noexcept {
  if (size < kLarge) {
    ::operator delete(block);  // Clang has no sized one by default
    return;
  }
  if (reuse != nullptr && reuse->keep(static_cast<std::byte*>(block), round_up(size))) return;
  ::munmap(block, round_up(size));
}

}  // namespace flatpoint::base

namespace flatpoint {

Buffer::Buffer(std::size_t size)
    : block_(static_cast<std::byte*>(base::allocate_large(size)), Release{size}), size_(size) {}

void Buffer::Release::operator()(std::byte* block) const noexcept { base::free_large(block, allocated); }

}  // namespace flatpoint
