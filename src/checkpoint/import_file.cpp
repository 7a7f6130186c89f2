
#include <chrono>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "base/mapping.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/diff.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/torch_checkpointing.hpp"
#include "format/encode.hpp"

namespace flatpoint::dcp {
namespace {

/// How long a file can change without its time changing: a tick of the kernel's clock (10 ms at most), or the two
/// seconds of a file system that stores whole ones.
constexpr std::int64_t tick_of(std::int64_t modified_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return modified_ns % kSecond == 0 ? 2 * kSecond : kSecond / 50;
}

std::int64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

Result<Imported> import_manifest(std::span<const std::byte> pickle, const ImportOptions& options) {
  torch_checkpointing::ImportOptions theirs;
  theirs.limits = {options.limits.max_input_bytes, options.limits.max_depth,  options.limits.max_memo,
                   options.limits.max_opcodes,     options.limits.max_chunks, options.limits.max_output_bytes};
  theirs.modified_ns = options.modified_ns;
  theirs.modified_recently = options.modified_recently;
  theirs.etag = options.etag;
  auto imported = torch_checkpointing::import_pickle(pickle, theirs);
  RETURN_IF_ERROR(imported);
  return Imported{std::move(imported->bytes), std::move(imported->findings)};
}

}  // namespace

Result<Imported> import_file(const std::filesystem::path& path, const ImportOptions& options) {
  const std::int64_t begun = now_ns();
  const auto file = base::File::open(path);
  RETURN_IF_ERROR(file);
  const auto mapping = base::Mapping::map(*file, path, /*copy=*/false);
  RETURN_IF_ERROR(mapping);
  ImportOptions with_time = options;
  if (!options.modified_ns) {
    with_time.modified_ns = file->modified_ns();
    with_time.modified_recently = file->modified_ns() > begun - tick_of(file->modified_ns());
  }
  const bool is_other =
      path.filename() == torch_checkpointing::kManifestName || torch_checkpointing::is_manifest(mapping->bytes());
  auto imported = is_other ? import_manifest(mapping->bytes(), with_time) : import_pickle(mapping->bytes(), with_time);
  if (!file->is_unchanged()) {
    return fail(ErrorCode::Io, fmt::format("{}: changed while it was imported", path.string()));
  }
  if (!imported) imported.error().message = fmt::format("{}: {}", path.string(), imported.error().message);
  return imported;
}

Result<Buffer> record_source(const MetadataView& metadata, const std::filesystem::path& pickle) {
  ImportOptions options;
  options.fragment_rank = metadata.columns().fragment_rank;
  auto imported = import_file(pickle, options);
  RETURN_IF_ERROR(imported);
  const auto file = MetadataFile::from_buffer(std::move(imported->bytes));
  RETURN_IF_ERROR(file);
  const auto differences = diff(metadata, file->view());
  RETURN_IF_ERROR(differences);
  if (!differences->same())
    return fail(ErrorCode::Conflict, fmt::format("{}: does not say all that the file says", pickle.string()));
  Columns columns = metadata.columns();
  columns.source = file->view().columns().source;
  return format::encode(columns);
}

}  // namespace flatpoint::dcp
