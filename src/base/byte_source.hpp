// base/byte_source.hpp - where `decode` takes its numbers from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace flatpoint::base {

class ByteSource {
 public:
  /// Copies the bytes at `position`; false where reading fails. REQUIRES: they lie inside the file.
  virtual bool read(std::uint64_t position, std::span<std::byte> to) const noexcept = 0;

 protected:
  ~ByteSource() = default;
};

/// The file in memory.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> file) noexcept : file_(file) {}

  bool read(std::uint64_t position, std::span<std::byte> to) const noexcept override {
    std::memcpy(to.data(), file_.data() + position, to.size());
    return true;
  }

 private:
  std::span<const std::byte> file_;
};

}  // namespace flatpoint::base
