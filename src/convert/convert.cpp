// Writes what was planned: file by file, forward only, into a folder that takes its name at the end.
#include "flatpoint/convert.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "archive/crc32.hpp"
#include "archive/write_item.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "convert/dcp_metadata.hpp"
#include "convert/output_file.hpp"
#include "convert/ranges.hpp"
#include "convert/target_folder.hpp"
#include "data/slabs.hpp"
#include "flatpoint/data_diff.hpp"
#include "flatpoint/overlap.hpp"

namespace flatpoint::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";

ReaderOptions with_outside(bool allowed) {
  ReaderOptions options;
  options.allow_outside = allowed;
  return options;
}

class Converter {
 public:
  Converter(const dcp::OpenedCheckpoint& source, const Reader& reader, const Conversion& plan, TargetFolder& target,
            const ConvertRun& options)
      : metadata_(source.file.view()),
        folder_(source.path.parent_path()),
        reader_(reader),
        plan_(plan),
        target_(target),
        options_(options),
        reader_options_(with_outside(options.allow_outside)),
        files_(metadata_, folder_, reader_options_),
        copier_([this](std::uint64_t bytes) { return advance(bytes); }) {}

  Result<ConvertReport> run() {
    if (plan_.to == ConvertTo::Dcp) RETURN_IF_ERROR(make_pickle());
    RETURN_IF_ERROR(make_files());
    for (const ConvertedFile& file : plan_.files) {
      RETURN_IF_ERROR(write_file(file));
    }
    for (const std::string& name : plan_.carried) {
      RETURN_IF_ERROR(carry(name));
    }
    RETURN_IF_ERROR(check_source());
    RETURN_IF_ERROR(write_index());
    if (options_.verify) RETURN_IF_ERROR(verify());
    RETURN_IF_ERROR(target_.publish(options_.sync));
    report_.cloned = copier_.cloned();
    return report_;
  }

 private:
  /// No space is an error before the first byte.
  [[nodiscard]] Result<void> make_files() {
    for (const ConvertedFile& file : plan_.files) {
      auto made = OutputFile::create(target_.path(file.name), file.bytes);
      RETURN_IF_ERROR(made);
      RETURN_IF_ERROR(made->close());
      report_.bytes += file.bytes;
    }
    return {};
  }

  [[nodiscard]] Result<void> write_file(const ConvertedFile& file) {
    auto out = OutputFile::open(target_.path(file.name));
    RETURN_IF_ERROR(out);
    RETURN_IF_ERROR(out->write(0, file.head));
    for (const ConvertedBytes& object : file.objects) {
      const auto item = reader_.read_item(object.entry);
      RETURN_IF_ERROR(item);
      if (item->size() != object.bytes)
        return fail(ErrorCode::Changed, fmt::format("FQN '{}': was written meanwhile", object.entry.fqn()));
      RETURN_IF_ERROR(out->write(object.begin, *item));
    }
    for (const ConvertedTensor& converted : file.tensors) {
      RETURN_IF_ERROR(plan_.to == ConvertTo::Dcp ? write_item(converted, *out) : write_tensor(converted, *out));
    }
    return finish(*out);
  }

  [[nodiscard]] Result<void> finish(OutputFile& out) const {
    if (options_.sync) RETURN_IF_ERROR(out.sync());
    if (options_.verify) out.forget_cached();
    return out.close();
  }

  [[nodiscard]] Result<void> write_tensor(const ConvertedTensor& converted, OutputFile& out) {
    const TensorView& tensor = converted.tensor;
    bool is_compressed = false;
    bool is_interleaved = false;
    std::vector<ChunkView> chunks;
    for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
      const ChunkView chunk = *tensor.chunk_by_row(i);
      const ChunkStorageMetadata box = chunk.to_value();
      if (columns::is_empty(box.sizes)) continue;
      is_interleaved = is_interleaved || !is_one_range(box, tensor.size());
      const auto storage = chunk.storage();
      is_compressed = is_compressed || (storage && storage->transform_count().value_or(0) > 0);
      chunks.push_back(chunk);
    }
    if (is_interleaved)
      return weave(tensor, Size(tensor.size().size(), 0), tensor.size(), is_compressed, out, converted.begin);
    const Size strides = contiguous_strides(tensor.size());
    for (const ChunkView& chunk : chunks) {
      const ChunkStorageMetadata box = chunk.to_value();
      std::uint64_t at = 0;
      for (std::size_t d = 0; d < strides.size(); ++d) at += static_cast<std::uint64_t>(box.offsets[d] * strides[d]);
      at = converted.begin + at * item_size(tensor.dtype());
      const auto where = reader_.locate(tensor, chunk);
      if (!where && where.error().code != ErrorCode::NotPlain) return tl::unexpected(where.error());
      RETURN_IF_ERROR(where ? copy(where->range, out, at)
                            : weave(tensor, box.offsets, box.sizes, is_compressed, out, at));
    }
    return {};
  }

  /// A chunk with the archive around it. Its checksum needs every byte, so that all go through memory.
  [[nodiscard]] Result<void> write_item(const ConvertedTensor& converted, OutputFile& out) {
    const archive::TensorItem item(converted.tensor.dtype(), converted.box.sizes, converted.bytes);
    RETURN_IF_ERROR(out.write(converted.item_begin, item.head()));
    crc_ = 0;
    RETURN_IF_ERROR(weave(converted.tensor, converted.box.offsets, converted.box.sizes, overlaps_compressed(converted),
                          out, converted.begin));
    return out.write(converted.begin + converted.bytes, item.tail(crc_));
  }

  [[nodiscard]] static bool overlaps_compressed(const ConvertedTensor& converted) {
    for (Overlaps hit(converted.tensor, converted.box.offsets, converted.box.sizes); !hit.done(); hit.next()) {
      const auto chunk = converted.tensor.chunk_by_row(hit.chunk());
      const auto storage = chunk ? chunk->storage() : Lookup<StorageInfoView>(LookupStatus::Absent);
      if (storage && storage->transform_count().value_or(0) > 0) return true;
    }
    return false;
  }

  [[nodiscard]] Result<void> copy(const ByteRange& range, OutputFile& out, std::uint64_t at) {
    const auto file = files_.open(range.file);
    RETURN_IF_ERROR(file);
    used_.try_emplace(range.file, (*file)->state());
    return copier_.copy(**file, range.offset, range.length, out, at);
  }

  /// Puts a box together in memory, part by part. A compressed chunk gives its bytes once, so that all that it has a
  /// part in is one part.
  [[nodiscard]] Result<void> weave(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                   std::span<const std::int64_t> sizes, bool at_once, OutputFile& out,
                                   std::uint64_t at) {
    const auto put = [&](std::span<const std::int64_t> part, std::span<const std::int64_t> lengths,
                         std::uint64_t bytes) -> Result<void> {
      if (block_.size() < bytes) block_.resize(bytes);
      RETURN_IF_ERROR(reader_.read(tensor, part, lengths, {block_.data(), {}}, {.stop = options_.stop}));
      const auto woven = std::span(block_).first(bytes);
      if (plan_.to == ConvertTo::Dcp) crc_ = archive::crc32(crc_, woven);
      RETURN_IF_ERROR(out.write(at, woven));
      at += bytes;
      return advance(bytes) ? Result<void>() : fail(ErrorCode::Io, "the conversion was stopped");
    };
    if (!at_once) return for_each_slab(offsets, sizes, item_size(tensor.dtype()), put);
    const auto bytes = box_bytes(tensor, sizes);
    RETURN_IF_ERROR(bytes);
    auto done = put(offsets, sizes, *bytes);
    block_ = {};
    return done;
  }

  [[nodiscard]] Result<void> carry(const std::string& name) {
    auto from = base::File::open(folder_ / name);
    RETURN_IF_ERROR(from);
    auto out = OutputFile::create(target_.path(name), from->size());
    RETURN_IF_ERROR(out);
    const DataFile file((folder_ / name).string(), {}, std::move(*from), {});
    const std::uint64_t bytes = file.local()->size();
    RangeCopier copier([](std::uint64_t) { return true; });
    RETURN_IF_ERROR(copier.copy(file, 0, bytes, *out, 0));
    report_.bytes += bytes;
    return finish(*out);
  }

  /// What was copied without a look at it is still what it was; Reader sees to what it reads.
  [[nodiscard]] Result<void> check_source() const {
    Files now(metadata_, folder_, reader_options_);
    for (const auto& [number, state] : used_) {
      const auto file = now.open(number);
      RETURN_IF_ERROR(file);
      if ((*file)->state() != state)
        return fail(ErrorCode::Changed, fmt::format("{}: was written or replaced meanwhile", (*file)->path()));
    }
    return {};
  }

  /// Last: a folder without an index is not whole.
  [[nodiscard]] Result<void> write_index() {
    if (plan_.to == ConvertTo::Dcp) return write_metadata();
    return plan_.index.empty() ? Result<void>() : write_whole(kIndexName, std::as_bytes(std::span(plan_.index)));
  }

  /// What the metadata cannot hold is an error before the first byte.
  [[nodiscard]] Result<void> make_pickle() {
    const auto built = metadata_of(plan_, metadata_);
    RETURN_IF_ERROR(built);
    const auto facts = MetadataFile::from_bytes(built->bytes());
    RETURN_IF_ERROR(facts);
    auto pickle = dcp::export_pickle(facts->view());
    RETURN_IF_ERROR(pickle);
    pickle_ = std::move(pickle->bytes);
    return {};
  }

  [[nodiscard]] Result<void> write_metadata() {
    RETURN_IF_ERROR(write_whole(dcp::kPickleName, pickle_.bytes()));
    const auto imported = dcp::import_file(target_.path(dcp::kPickleName));
    RETURN_IF_ERROR(imported);
    return write_whole(kMetadataFileName, imported->bytes.bytes());
  }

  [[nodiscard]] Result<void> write_whole(const char* name, std::span<const std::byte> bytes) {
    auto out = OutputFile::create(target_.path(name), bytes.size());
    RETURN_IF_ERROR(out);
    RETURN_IF_ERROR(out->write(0, bytes));
    report_.bytes += bytes.size();
    return finish(*out);
  }

  [[nodiscard]] Result<void> verify() {
    const auto opened = dcp::open_checkpoint(target_.folder());
    RETURN_IF_ERROR(opened);
    const MetadataView written = opened->file.view();
    const auto reader = Reader::open(*opened);
    RETURN_IF_ERROR(reader);
    std::set<std::string_view> seen;
    for (const ConvertedFile& file : plan_.files) {
      for (const ConvertedBytes& object : file.objects) {
        const auto entry = written.find(object.name);
        const auto same = entry ? equal_items(reader_, object.entry, *reader, *entry) : Result<bool>(false);
        RETURN_IF_ERROR(same);
        if (!*same) return not_what_was_written(object.entry.fqn());
      }
      for (const ConvertedTensor& converted : file.tensors) {
        if (seen.insert(converted.name).second) RETURN_IF_ERROR(verify(converted, written, *reader));
      }
    }
    return {};
  }

  static tl::unexpected<Error> not_what_was_written(std::string_view fqn) {
    return fail(ErrorCode::Checksum, fmt::format("FQN '{}': what was read back is not what was written", fqn));
  }

  [[nodiscard]] Result<void> verify(const ConvertedTensor& converted, const MetadataView& metadata,
                                    const Reader& reader) {
    const TensorView& tensor = converted.tensor;
    for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
      const ChunkView chunk = *tensor.chunk_by_row(i);
      if (columns::is_empty(chunk.to_value().sizes)) continue;
      RETURN_IF_ERROR(reader_.check(tensor, chunk, true));
    }
    const auto entry = metadata.find(converted.name);
    const auto written = entry ? entry->tensor() : Lookup<TensorView>(LookupStatus::Absent);
    bool same = written && written->dtype() == tensor.dtype() && std::ranges::equal(written->size(), tensor.size());
    if (same) {
      const std::uint64_t before = done_;
      const auto show = [&](std::uint64_t bytes) { tell(before + bytes); };
      const auto difference = compare(reader_, tensor, reader, *written, {.all = false, .progress = show});
      RETURN_IF_ERROR(difference);
      same = difference->same;
      done_ = before + *box_bytes(tensor, tensor.size());
    }
    if (same) return {};
    return not_what_was_written(tensor.fqn());
  }

  bool advance(std::uint64_t bytes) {
    tell(done_ += bytes);
    return !options_.stop.stop_requested();
  }
  void tell(std::uint64_t done) const {
    if (options_.progress) options_.progress(done, plan_.tensor_bytes * (options_.verify ? 2 : 1));
  }

  MetadataView metadata_;
  fs::path folder_;
  const Reader& reader_;
  const Conversion& plan_;
  TargetFolder& target_;
  const ConvertRun& options_;
  ReaderOptions reader_options_;
  Files files_;
  RangeCopier copier_;
  std::map<std::uint32_t, FileState> used_;
  std::vector<std::byte> block_;
  Buffer pickle_;          // of a target of DCP
  std::uint32_t crc_ = 0;  // of the item that is written
  std::uint64_t done_ = 0;
  ConvertReport report_;
};

}  // namespace

Result<ConvertReport> convert(const dcp::OpenedCheckpoint& source, const Reader& reader, const Conversion& plan,
                              const fs::path& target, const ConvertRun& options) {
  auto folder = TargetFolder::create(target, options.force, source.path.parent_path());
  RETURN_IF_ERROR(folder);
  return Converter(source, reader, plan, *folder, options).run();
}

}  // namespace flatpoint::data
