#include "base/large_vector.hpp"

#include <sys/mman.h>

#include <cstdint>

namespace flatpoint::base {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 2 * kHugePage;

constexpr std::size_t round_up(std::size_t size) noexcept { return (size + kHugePage - 1) / kHugePage * kHugePage; }

}  // namespace

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
  return begin + head;
}

void free_large(void* block, std::size_t size) noexcept {
  if (size < kLarge) {
    ::operator delete(block);  // Clang has no sized one by default
  } else {
    ::munmap(block, round_up(size));
  }
}

}  // namespace flatpoint::base
