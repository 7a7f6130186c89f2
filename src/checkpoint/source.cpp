#include "flatpoint/source.hpp"

#include <algorithm>
#include <cerrno>

#include "base/failing.hpp"
#include "base/file.hpp"
#include "base/format.hpp"
#include "base/hash.hpp"
#include "flatpoint/buffer.hpp"
#include "flatpoint/safetensors.hpp"
#include "safetensors/manifest.hpp"

namespace flatpoint::dcp {
namespace {

/// Of a file as it is, block by block: a mapping could be cut short underneath.
Result<std::uint64_t> file_digest(const base::File& file, const std::filesystem::path& path) {
  constexpr std::size_t kBlock = std::size_t{1} << 18;  // hashed while the cache holds it
  Buffer block(std::min(file.size(), kBlock));
  base::Digest digest;
  for (std::size_t done = 0; done < file.size();) {
    const auto piece = block.mutable_bytes().first(std::min(file.size() - done, kBlock));
    const auto count = file.read(done, piece);
    if (count < 0) return base::system_error(path, "read", errno);
    if (count != std::ssize(piece)) {
      return fail(ErrorCode::Io, fmt::format("{}: shrank from {} bytes while it was read", path.string(), file.size()));
    }
    digest.add(piece);
    done += piece.size();
  }
  return digest.value();
}

/// A mark says more than a time: it is of all files.
Result<SourceCheck> check_safetensors(const SourceRecord& record, const std::filesystem::path& source,
                                      TrustTime trust_time) {
  if (!safetensors::is_safetensors(source))
    return SourceCheck{SourceMatch::Stale, "it is none of safetensors files, as the source record says"};
  const auto manifest = safetensors::Manifest::of(source);
  RETURN_IF_ERROR(manifest);
  const std::string mark = trust_time == TrustTime::Yes ? manifest->mark() : std::string();
  return match_source(record, {manifest->length(), 0, mark}, [&] { return manifest->digest(); });
}

}  // namespace

Result<SourceCheck> match_source(const SourceRecord& record, const PickleFacts& pickle,
                                 const std::function<Result<std::uint64_t>()>& digest) {
  if (pickle.length != record.length) {
    return SourceCheck{SourceMatch::Stale,
                       fmt::format("it has {} bytes, the source record says {}", pickle.length, record.length)};
  }
  const bool same_time =
      record.modified_ns != 0 && record.modified_ns == pickle.modified_ns && !record.modified_recently;
  const bool same_etag = !record.etag.empty() && record.etag == pickle.etag;
  if (same_time || same_etag) return SourceCheck{SourceMatch::Same, {}};
  const auto actual = digest();
  RETURN_IF_ERROR(actual);
  if (*actual == record.digest) return SourceCheck{SourceMatch::SameBytes, {}};
  return SourceCheck{SourceMatch::Stale,
                     fmt::format("its XXH3-64 is {:016x}, the source record says {:016x}", *actual, record.digest)};
}

std::uint64_t content_digest(std::span<const std::byte> content) noexcept { return base::digest(content); }

Result<SourceCheck> check_source(const MetadataView& metadata, const std::filesystem::path& source,
                                 TrustTime trust_time) {
  const auto& record = metadata.columns().source;
  if (!record) return SourceCheck{};
  if (record->kind == SourceKind::Safetensors) return check_safetensors(*record, source, trust_time);
  const auto file = base::File::open(source);
  RETURN_IF_ERROR(file);
  const std::int64_t modified_ns = trust_time == TrustTime::Yes ? file->modified_ns() : 0;
  return match_source(*record, {file->size(), modified_ns}, [&] { return file_digest(*file, source); });
}

}  // namespace flatpoint::dcp
