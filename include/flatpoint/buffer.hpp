// flatpoint/buffer.hpp - the bytes of a finished metadata file in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace flatpoint {

/// Owns bytes that are 8-byte aligned, as the format asks. Move-only; not thread-safe to modify, safe to read.
class Buffer {
 public:
  using OwnsWhatItLends = void;

  Buffer() = default;
  /// Uninitialised bytes; throws std::bad_alloc only.
  explicit Buffer(std::size_t size);

  [[nodiscard]] std::span<const std::byte> bytes() const& noexcept { return {data(), size_}; }
  std::span<const std::byte> bytes() const&& = delete;  // would outlive its buffer
  [[nodiscard]] std::span<std::byte> mutable_bytes() & noexcept { return {data(), size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Forgets the first `count` bytes. REQUIRES: count <= size(), a multiple of 8.
  void drop_front(std::size_t count) noexcept {
    begin_ += count;
    size_ -= count;
  }
  /// Forgets the last `count` bytes. REQUIRES: count <= size().
  void drop_back(std::size_t count) noexcept { size_ -= count; }

 private:
  [[nodiscard]] std::byte* data() const noexcept { return block_.get() + begin_; }

  struct Release {
    Release() noexcept : allocated(0) {}
    explicit Release(std::size_t bytes) noexcept : allocated(bytes) {}
    void operator()(std::byte* block) const noexcept;
    std::size_t allocated;
  };

  std::unique_ptr<std::byte[], Release> block_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace flatpoint
