// Where the elements of all chunks lie, for the columns of the metadata file.
#include <algorithm>
#include <ctime>
#include <map>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/xxh3.hpp"
#include "columns/boxes.hpp"
#include "data/items.hpp"
#include "flatpoint/data.hpp"
#include "format/encode.hpp"

namespace flatpoint::data {
namespace {

/// A file that was written so recently may be written again without its time changing.
constexpr std::int64_t kRecently = 2'000'000'000;  // ns; the coarsest clock of a file system is FAT's

std::int64_t now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class DataFinder {
 public:
  DataFinder(const MetadataView& metadata, const std::filesystem::path& folder, const FindDataOptions& options)
      : metadata_(metadata),
        options_(options),
        reader_options_{.allow_outside = options.allow_outside, .ranges = nullptr},
        files_(metadata, folder, reader_options_),
        begins_(metadata.columns().chunk_files.size(), kNoDataBegin),
        checksums_(options.checksums ? begins_.size() : 0, kNoChecksum),
        lengths_(metadata.file_count(), kNoFileLength),
        times_(metadata.file_count(), kNoFileTime),
        formats_(metadata.file_count(), FileFormat::Unknown) {}

  Result<FoundData> run() {
    if (options_.progress) {
      const auto add = [this](Items&, const TensorView&, const ChunkView&, const StorageInfoView& storage) {
        total_ += storage.length();
        return Result<void>();
      };
      RETURN_IF_ERROR(for_each_chunk(add));
    }
    const auto look = [this](Items& items, const TensorView& tensor, const ChunkView& chunk,
                             const StorageInfoView& storage) {
      auto done = look_at(items, tensor, chunk, storage);
      done_ += storage.length();
      if (options_.progress) options_.progress(done_, total_);
      return done;
    };
    RETURN_IF_ERROR(for_each_chunk(look));
    for (const auto& [number, state] : states_) {
      const auto file = files_.open(number);  // Changed where it is another one by now
      RETURN_IF_ERROR(file);
      RETURN_IF_ERROR((*file)->check_unchanged());
    }
    return encode();
  }

 private:
  static tl::unexpected<Error> corrupt() {
    return fail(ErrorCode::Corrupt, "the metadata breaks a rule; `flatpoint verify --check rules` names it");
  }

  /// Visits the chunks that lie in a file and whose elements have a size.
  template <class Visit>
  Result<void> for_each_chunk(Visit&& visit) {
    for (std::uint32_t i = 0; i < metadata_.size(); ++i) {
      const auto entry = metadata_.entry(i);
      if (!entry) return corrupt();
      const auto tensor = entry->tensor();
      if (tensor.corrupt()) return corrupt();
      if (!tensor || item_size(tensor->dtype()) == 0) continue;
      Items items(files_, reader_options_);  // what it remembers is of one tensor
      for (std::uint32_t row = 0; row < tensor->chunk_count(); ++row) {
        const auto chunk = tensor->chunk_by_row(row);
        const auto storage = chunk ? chunk->storage() : Lookup<StorageInfoView>(LookupStatus::Corrupt);
        if (storage.corrupt()) return corrupt();
        if (storage.absent()) continue;
        RETURN_IF_ERROR(visit(items, *tensor, *chunk, *storage));
      }
    }
    return {};
  }

  Result<void> look_at(Items& items, const TensorView& tensor, const ChunkView& chunk, const StorageInfoView& storage) {
    const std::int64_t begun = now_ns();
    auto source = items.open(tensor, chunk, Ask::Always);
    ++found_.chunks;
    if (!source) {
      const ErrorCode code = source.error().code;
      // An empty chunk may share the item, and the key in storage_data, of another.
      const bool is_empty = columns::is_empty(chunk.to_value().sizes);
      const bool passed_over = code == ErrorCode::NotPlain || code == ErrorCode::UnknownTransform ||
                               (code == ErrorCode::SizeMismatch && is_empty);
      if (!passed_over) return tl::unexpected(std::move(source.error()));
      return note(kNoDataBegin, chunk.row());
    }
    note_file(*source, begun, storage);
    if (source->is_compressed || !source->tensor.is_dense()) return note(kNoDataBegin, chunk.row());
    // Behind the item where torch wrote by SerializationFormat.SAFETENSORS, which leaves the place of a header.
    const std::uint64_t begin = source->first_element() - storage.byte_offset();
    const bool is_in_item = base::in_range(begin, source->data_bytes(), storage.length());
    if (!is_in_item || begin >= kNoDataBegin) return note(kNoDataBegin, chunk.row());
    if (options_.checksums) {
      const auto found = checksums_of(*source, source->first_element(), source->data_bytes(), {{}, 0}, scratch_);
      if (!found) return tl::unexpected(at_item(found.error(), tensor.fqn(), storage));
      checksums_[chunk.row()] = *found->xxh3;
    }
    return note(static_cast<std::uint32_t>(begin), chunk.row());
  }

  Result<void> note(std::uint32_t begin, std::uint32_t row) {
    begins_[row] = begin;
    found_.not_plain += begin == kNoDataBegin;
    differ_ |= common_.value_or(begin) != begin;
    common_ = begin;
    return {};
  }

  void note_file(const ChunkSource& source, std::int64_t begun, const StorageInfoView& storage) {
    const FileState& state = source.file->state();
    const std::uint32_t number = source.number;
    if (!states_.try_emplace(number, state).second) return;
    lengths_[number] = static_cast<std::uint64_t>(state.size);
    if (state.modified_ns < begun - kRecently) times_[number] = state.modified_ns;
    const FileFormat known = source.file->format();
    if (known == FileFormat::Archive) {
      formats_[number] = known;
      return;
    }
    formats_[number] = source.is_archive                                 ? FileFormat::TorchSave
                       : source.first_element() == storage.byte_offset() ? FileFormat::Safetensors
                                                                         : FileFormat::Mixed;
  }

  Result<FoundData> encode() {
    Columns c = metadata_.columns();
    const std::uint32_t common = common_.value_or(kNoDataBegin);
    c.chunk_data_begins = differ_ ? std::span<const std::uint32_t>(begins_) : std::span(&common, 1);
    if (!differ_ && common == kNoDataBegin) c.chunk_data_begins = {};
    const bool has_checksums =
        std::ranges::any_of(checksums_, [](std::uint64_t checksum) { return checksum != kNoChecksum; });
    c.checksum_kind = has_checksums ? ChecksumKind::Xxh3 : ChecksumKind::Absent;
    c.chunk_checksums = has_checksums ? std::span<const std::uint64_t>(checksums_) : std::span<const std::uint64_t>();
    const bool has_times = std::ranges::any_of(times_, [](std::int64_t time) { return time != kNoFileTime; });
    c.file_lengths = states_.empty() ? std::span<const std::uint64_t>() : std::span<const std::uint64_t>(lengths_);
    c.file_times = has_times ? std::span<const std::int64_t>(times_) : std::span<const std::int64_t>();
    c.file_formats = states_.empty() ? std::span<const FileFormat>() : std::span<const FileFormat>(formats_);
    auto bytes = format::encode(c);
    RETURN_IF_ERROR(bytes);
    found_.bytes = std::move(*bytes);
    return std::move(found_);
  }

  const MetadataView& metadata_;
  const FindDataOptions& options_;
  ReaderOptions reader_options_;
  Files files_;
  std::vector<std::uint32_t> begins_;
  std::vector<std::uint64_t> checksums_;
  std::vector<std::uint64_t> lengths_;
  std::vector<std::int64_t> times_;
  std::vector<FileFormat> formats_;
  std::map<std::uint32_t, FileState> states_;  // of the files that were read
  std::optional<std::uint32_t> common_;        // begin of the chunks so far, where they agree
  bool differ_ = false;
  std::uint64_t total_ = 0;  // bytes of items
  std::uint64_t done_ = 0;
  Scratch scratch_;
  FoundData found_;
};

}  // namespace

Result<FoundData> find_data(const MetadataView& metadata, const std::filesystem::path& folder,
                            const FindDataOptions& options) {
  return DataFinder(metadata, folder, options).run();
}

}  // namespace flatpoint::data
