#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "convert/ranges.hpp"

namespace flatpoint::data {
namespace {

constexpr std::uint64_t kBlock = std::uint64_t{1} << 20;       // in memory; the L2 cache holds it
constexpr std::uint64_t kToldPiece = std::uint64_t{64} << 20;  // until progress is told

}  // namespace

Result<void> RangeCopier::copy(const DataFile& from, std::uint64_t begin, std::uint64_t bytes, OutputFile& to,
                               std::uint64_t at) {
  Range range{begin, at, bytes};
  if (can_clone_) RETURN_IF_ERROR(clone(from, to, range));
  if (can_copy_) RETURN_IF_ERROR(copy_in_kernel(from, to, range));
  return copy_through_memory(from, to, range);
}

Result<void> RangeCopier::advance(Range& range, std::uint64_t bytes) {
  range.begin += bytes;
  range.at += bytes;
  range.left -= bytes;
  return advance_(bytes) ? Result<void>() : fail(ErrorCode::Io, "the conversion was stopped");
}

/// As many whole blocks as there are. Where that fails for whatever reason, copying tells it.
Result<void> RangeCopier::clone(const DataFile& from, OutputFile& to, Range& range) {
  const std::uint64_t bytes = range.left / kPage * kPage;
  if (bytes == 0 || range.begin % kPage != 0 || range.at % kPage != 0) return {};
  file_clone_range blocks{};
  blocks.src_fd = from.local()->descriptor();
  blocks.src_offset = range.begin;
  blocks.src_length = bytes;
  blocks.dest_offset = range.at;
  if (::ioctl(to.descriptor(), FICLONERANGE, &blocks) != 0) {
    can_clone_ = errno == EINTR;
    return {};
  }
  cloned_ += bytes;
  return advance(range, bytes);
}

Result<void> RangeCopier::copy_in_kernel(const DataFile& from, OutputFile& to, Range& range) {
  while (range.left > 0) {
    auto in = static_cast<::off_t>(range.begin);
    auto out = static_cast<::off_t>(range.at);
    const auto n =
        ::copy_file_range(from.local()->descriptor(), &in, to.descriptor(), &out, std::min(range.left, kToldPiece), 0);
    if (n > 0) {
      RETURN_IF_ERROR(advance(range, static_cast<std::uint64_t>(n)));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == ENOSPC || errno == EIO || errno == EDQUOT || errno == EFBIG))
      return base::system_error(to.path(), "copy_file_range", errno);
    // Another file system, one that does not know it, or one that copies nothing (of /proc, or where a file ends).
    if (n < 0) can_copy_ = false;
    return {};
  }
  return {};
}

Result<void> RangeCopier::copy_through_memory(const DataFile& from, OutputFile& to, Range& range) {
  if (range.left > 0 && block_.empty()) block_.resize(kBlock);
  while (range.left > 0) {
    const auto bytes = std::span(block_).first(std::min(range.left, kBlock));
    RETURN_IF_ERROR(from.read(range.begin, bytes));
    RETURN_IF_ERROR(to.write(range.at, bytes));
    RETURN_IF_ERROR(advance(range, bytes.size()));
  }
  return {};
}

}  // namespace flatpoint::data
