#include "data/zstd.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <memory>

#include "base/format.hpp"

namespace flatpoint::data {
namespace {

// libzstd's streaming interface, stable since 1.0.
struct InBuffer {
  const void* bytes;
  std::size_t size;
  std::size_t at;
};
struct OutBuffer {
  void* bytes;
  std::size_t size;
  std::size_t at;
};

struct Library {
  void* (*create)() = nullptr;
  std::size_t (*free)(void*) = nullptr;
  std::size_t (*decompress)(void*, OutBuffer*, InBuffer*) = nullptr;
  unsigned (*is_error)(std::size_t) = nullptr;
  const char* (*error_name)(std::size_t) = nullptr;

  [[nodiscard]] bool complete() const noexcept {
    return create != nullptr && free != nullptr && decompress != nullptr && is_error != nullptr &&
           error_name != nullptr;
  }
};

template <class Function>
void find(void* library, const char* name, Function& function) noexcept {
  function = reinterpret_cast<Function>(::dlsym(library, name));
}

Library load() noexcept {
  Library found;
  void* const library = ::dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return found;
  find(library, "ZSTD_createDStream", found.create);
  find(library, "ZSTD_freeDStream", found.free);
  find(library, "ZSTD_decompressStream", found.decompress);
  find(library, "ZSTD_isError", found.is_error);
  find(library, "ZSTD_getErrorName", found.error_name);
  return found;
}

}  // namespace

Result<std::vector<std::byte>> decompress_zstd(std::span<const std::byte> frames, std::uint64_t limit) {
  static const Library library = load();
  if (!library.complete())
    return fail(ErrorCode::UnknownTransform, "stream.zstd needs libzstd.so.1, which is not installed");
  const std::unique_ptr<void, std::size_t (*)(void*)> stream(library.create(), library.free);
  if (!stream) return fail(ErrorCode::TooLarge, "no memory to decompress");
  std::vector<std::byte> bytes(std::min<std::uint64_t>(limit, std::max<std::uint64_t>(4096, frames.size() * 2)));
  InBuffer in{frames.data(), frames.size(), 0};
  OutBuffer out{bytes.data(), bytes.size(), 0};
  for (;;) {
    const std::size_t left = library.decompress(stream.get(), &out, &in);
    if (library.is_error(left) != 0)
      return fail(ErrorCode::BadItem, fmt::format("stream.zstd: {}", library.error_name(left)));
    if (left == 0 && in.at == in.size) break;
    if (out.at < out.size) {
      if (in.at == in.size) return fail(ErrorCode::BadItem, "stream.zstd: the last frame is cut short");
      continue;
    }
    if (bytes.size() >= limit)
      return fail(ErrorCode::TooLarge, fmt::format("stream.zstd: more than max_decompressed = {} bytes", limit));
    bytes.resize(std::min<std::uint64_t>(limit, bytes.size() * 2));
    out = {bytes.data(), bytes.size(), out.at};
  }
  bytes.resize(out.at);
  return bytes;
}

}  // namespace flatpoint::data
