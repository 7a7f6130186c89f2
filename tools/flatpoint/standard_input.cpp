#include "standard_input.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "base/format.hpp"
#include "progress.hpp"

namespace flatpoint::tool {
namespace {

Result<std::vector<std::byte>> read_all(std::uint64_t limit) {
  constexpr std::size_t kLeast = std::size_t{1} << 16;
  const Waiting waiting("standard input");
  std::vector<std::byte> bytes;
  for (std::size_t size = 0;;) {
    if (bytes.size() - size < kLeast) bytes.resize(std::max(2 * size, 2 * kLeast));
    const ssize_t count = ::read(STDIN_FILENO, bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return fail(ErrorCode::Io, fmt::format("standard input: {}", std::generic_category().message(errno)));
    size += static_cast<std::size_t>(count);
    if (size > limit)
      return fail(ErrorCode::TooLarge,
                  fmt::format("standard input: more bytes than max_input_bytes, which is {}", limit));
    if (count > 0) continue;
    bytes.resize(size);
    return bytes;
  }
}

}  // namespace

Result<std::span<const std::byte>> standard_input(std::uint64_t limit) {
  static const auto all = read_all(limit);
  if (!all) return tl::unexpected(all.error());
  return std::span<const std::byte>(*all);
}

Result<MetadataFile> open_file(const std::filesystem::path& path, OpenMode mode, std::uint64_t limit) {
  if (!is_standard_stream(path)) return MetadataFile::open(path, mode);
  const auto bytes = standard_input(limit);
  if (!bytes) return tl::unexpected(bytes.error());
  return MetadataFile::from_bytes(*bytes);
}

}  // namespace flatpoint::tool
