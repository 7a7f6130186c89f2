// safetensors/header.hpp - the header of a safetensors file: 8 bytes of length, JSON, then the tensors without gaps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_source.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::safetensors {

/// What the reference implementation allows.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr std::size_t kLengthBytes = 8;
inline constexpr std::string_view kMetadataKey = "__metadata__";

struct HeaderTensor {
  std::string name;
  ScalarType dtype = ScalarType::Other;
  Size shape;                // in elements of dtype: an F4's counts pairs in its last dimension
  std::uint64_t offset = 0;  // bytes from `Header::data_begin`
  std::uint64_t length = 0;  // bytes: exactly those of the shape
};

struct Header {
  std::uint64_t data_begin = 0;       // bytes from the length's first
  std::vector<HeaderTensor> tensors;  // by offset, without gaps
  std::map<std::string, std::string> metadata;

  /// The tensors whose bytes lie there, counted from the length's first: one, or several empty ones.
  [[nodiscard]] std::span<const HeaderTensor> at(std::uint64_t begin, std::uint64_t length) const noexcept;
  /// Null where there is none of that name.
  [[nodiscard]] const HeaderTensor* find(std::string_view name) const noexcept;
};

/// The header's length, out of the first 8 bytes. Errors: BadItem; TooLarge above kMaxHeaderBytes.
[[nodiscard]] Result<std::uint64_t> header_length(std::span<const std::byte> first_bytes,
                                                  std::optional<std::uint64_t> total);

/// The JSON of a header. `data_bytes`: what follows it, where that is known. As strict as the reference implementation,
/// and stricter: no key twice. Errors: BadItem says what and, for JSON, at which byte; NotPlain names a tensor whose
/// dtype flatpoint's schema does not have.
[[nodiscard]] Result<Header> parse_header(std::string_view json, std::optional<std::uint64_t> data_bytes);

/// The header of `total` bytes that begin at `begin`. Errors: as above; Io where reading failed.
[[nodiscard]] Result<Header> read_header(const base::ByteSource& bytes, std::uint64_t begin,
                                         std::optional<std::uint64_t> total);

/// Whether these are the first 9 bytes of a header: a length that is allowed, and '{'.
[[nodiscard]] bool looks_like_header(std::span<const std::byte> first_bytes) noexcept;

}  // namespace flatpoint::safetensors
