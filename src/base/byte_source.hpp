// base/byte_source.hpp - where `decode` takes its numbers from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
    std::ranges::copy(file_.subspan(position, to.size()), to.begin());  // which allows for no bytes at no address
    return true;
  }

 private:
  std::span<const std::byte> file_;
};

}  // namespace flatpoint::base
