// base/large_vector.hpp - a vector for columns of millions of values.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <vector>

namespace flatpoint::base {

/// Memory on huge pages where the system gives them: filling 32 MB costs 16 page faults instead of 8192, and walking it
/// at random misses the TLB less. Smaller sizes come from the heap. Throws std::bad_alloc only.
void* allocate_large(std::size_t size);
/// REQUIRES: `size` is what was allocated.
void free_large(void* block, std::size_t size) noexcept;

/// While one lives, large blocks that its thread frees keep their pages, and those that it allocates take them over:
/// the system need not clear fresh ones. For work that frees its input before it allocates its output. What is left
/// over goes back to the system at the end.
class PageReuse {
 public:
  PageReuse() noexcept;
  PageReuse(const PageReuse&) = delete;
  PageReuse& operator=(const PageReuse&) = delete;
  ~PageReuse();

  /// For allocate_large and free_large. `keep` is false where there is no room.
  bool keep(std::byte* block, std::size_t size) noexcept;
  void fill(std::byte* block, std::size_t size) noexcept;

 private:
  struct Block {
    std::byte* begin;
    std::size_t size;
  };
  std::array<Block, 16> freed_{};
  std::size_t count_ = 0;
  PageReuse* outer_;
};

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

/// Frees the memory of columns that are not needed any more, which `= {}` would keep.
template <class... Columns>
void release(Columns&... columns) {
  ((columns = Columns()), ...);
}

}  // namespace flatpoint::base
