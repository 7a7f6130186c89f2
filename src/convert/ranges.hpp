// convert/ranges.hpp - chunks that are one range of bytes on both sides, and how they are copied.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "convert/output_file.hpp"
#include "data/files.hpp"
#include "flatpoint/types.hpp"

namespace flatpoint::data {

/// Ranges that begin at multiples of this in both files can share their place on the disk.
inline constexpr std::uint64_t kPage = 4096;

/// Whether the elements of a chunk lie together in its tensor, row-major. REQUIRES: a size per dimension.
[[nodiscard]] bool is_one_range(const ChunkStorageMetadata& chunk, std::span<const std::int64_t> whole) noexcept;

/// Copies ranges between files inside of the kernel: shared with the source where the file system can do that and both
/// ends lie at blocks, else copied there, else through memory.
class RangeCopier {
 public:
  /// `advance` is told of bytes as they are done, and says whether to go on.
  explicit RangeCopier(std::function<bool(std::uint64_t)> advance) : advance_(std::move(advance)) {}

  /// Errors: Truncated, Io (also where it was stopped).
  [[nodiscard]] Result<void> copy(const DataFile& from, std::uint64_t begin, std::uint64_t bytes, OutputFile& to,
                                  std::uint64_t at);
  [[nodiscard]] std::uint64_t cloned() const noexcept { return cloned_; }

 private:
  struct Range {
    std::uint64_t begin, at, left;
  };
  [[nodiscard]] Result<void> clone(const DataFile& from, OutputFile& to, Range& range);
  [[nodiscard]] Result<void> copy_in_kernel(const DataFile& from, OutputFile& to, Range& range);
  [[nodiscard]] Result<void> copy_through_memory(const DataFile& from, OutputFile& to, Range& range);
  [[nodiscard]] Result<void> advance(Range& range, std::uint64_t bytes);

  std::function<bool(std::uint64_t)> advance_;
  bool can_clone_ = true;
  bool can_copy_ = true;
  std::uint64_t cloned_ = 0;
  std::vector<std::byte> block_;
};

}  // namespace flatpoint::data
