// base/mapping.hpp - the bytes of a file, mapped or read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/file.hpp"
#include "flatpoint/buffer.hpp"
#include "flatpoint/error.hpp"

namespace flatpoint::base {

/// Bytes. What is larger is mapped or refused, never copied: a file of the format ends below 2 GiB.
inline constexpr std::uint64_t kMaxCopy = 0x7FFFFFFF;

/// Owns a read-only mapping, or a copy where the file could not be mapped. Move-only.
class Mapping {
 public:
  /// Maps a file; reads it where `copy` asks for it, mapping fails, or tens of thousands are mapped already. `path` is
  /// for messages. Errors: Io.
  [[nodiscard]] static Result<Mapping> map(const File& file, const std::filesystem::path& path, bool copy);
  /// The same, from its path. Errors: NotFound, Io.
  [[nodiscard]] static Result<Mapping> open(const std::filesystem::path& path, bool copy);

  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  [[nodiscard]] bool is_copy() const noexcept { return mapped_ == nullptr; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return mapped_ != nullptr ? std::span(mapped_, size_) : copy_.bytes();
  }

 private:
  Mapping() = default;
  const std::byte* mapped_ = nullptr;
  std::size_t size_ = 0;
  Buffer copy_;
};

}  // namespace flatpoint::base
