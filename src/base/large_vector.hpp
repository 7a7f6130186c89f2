// base/large_vector.hpp - a vector for columns of millions of values.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace flatpoint::base {

/// Memory on huge pages where the system gives them: filling 32 MB costs 16 page faults instead of 8192, and walking it
/// at random misses the TLB less. Smaller sizes come from the heap. Throws std::bad_alloc only.
void* allocate_large(std::size_t size);
/// REQUIRES: `size` is what was allocated.
void free_large(void* block, std::size_t size) noexcept;

/// For std::vector: large blocks, and `resize` leaves new values uninitialised.
template <class T>
struct LargeAllocator {
  using value_type = T;
  LargeAllocator() = default;
  template <class U>
  LargeAllocator(const LargeAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(allocate_large(count * sizeof(T)));
  }
  void deallocate(T* block, std::size_t count) noexcept { free_large(block, count * sizeof(T)); }

  /// Without arguments only; with arguments std::vector does it itself.
  template <class U>
  void construct(U* at) noexcept {
    ::new (static_cast<void*>(at)) U;
  }

  bool operator==(const LargeAllocator&) const noexcept { return true; }
};

template <class T>
using LargeVector = std::vector<T, LargeAllocator<T>>;

}  // namespace flatpoint::base
