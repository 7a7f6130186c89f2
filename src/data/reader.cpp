
#include <atomic>
#include <bit>
#include <thread>

#include "archive/crc32.hpp"
#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "data/copy_box.hpp"
#include "data/coverage.hpp"
#include "data/files.hpp"
#include "data/items.hpp"
#include "flatpoint/data.hpp"
#include "flatpoint/overlap.hpp"
#include "plan/list_ranges.hpp"

namespace flatpoint::data {

struct Reader::State {
  State(const MetadataView& view, std::filesystem::path folder, const ReaderOptions& given)
      : metadata(view), options(given), files(view, std::move(folder), options), items(files, options) {}

  MetadataView metadata;
  ReaderOptions options;
  mutable Files files;
  mutable Items items;
};

namespace {

/// The overlap of a chunk and a box, and the memory of the box.
struct Piece {
  std::optional<TensorView> tensor;  // unset: bytes
  ChunkView chunk;
  StorageInfoView bytes;
  std::string_view fqn;
  Size chunk_offsets;
  Size box_offsets;
  Size lengths;
  std::byte* to = nullptr;
  std::span<const std::int64_t> byte_strides;
};

/// Takes over the files that were touched, each once, for the check at the end.
class Touched {
 public:
  void add(const std::shared_ptr<const DataFile>& file) {
    const std::lock_guard lock(mutex_);
    files_.try_emplace(file.get(), file);
  }
  [[nodiscard]] Result<void> check_unchanged() const {
    for (const auto& [key, file] : files_) {
      RETURN_IF_ERROR(file->check_unchanged());
    }
    return {};
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const DataFile*, std::shared_ptr<const DataFile>> files_;
};

/// Whether there is anything to compare a chunk's bytes with.
bool has_checksum(const ChunkSource& source) { return source.tensor.crc32 || source.recorded.any(); }

Result<void> compare(const Checksums& found, const Checksums& stated, std::string_view by) {
  if (stated.crc32 && found.crc32 != stated.crc32) {
    return fail(ErrorCode::Checksum,
                fmt::format("its bytes have the CRC-32 {:08x}, {} says {:08x}", *found.crc32, by, *stated.crc32));
  }
  if (stated.xxh3 && found.xxh3 != stated.xxh3) {
    return fail(ErrorCode::Checksum,
                fmt::format("its bytes have the XXH3-64 {:016x}, {} says {:016x}", *found.xxh3, by, *stated.xxh3));
  }
  return {};
}

/// Compares a chunk's bytes with what its item and the metadata say of them, in one pass where they say it of the same.
Result<void> check_storage(ChunkSource& source, Scratch& scratch) {
  const Checksums by_item{source.tensor.crc32, {}};
  const std::uint64_t storage = source.item_begin + source.tensor.storage_begin;
  const std::uint64_t bytes = source.tensor.storage_bytes;
  const bool is_recorded = source.recorded.any();
  const bool is_one_range = is_recorded && source.first_element() == storage && source.data_bytes() == bytes;
  if (by_item.any() || is_one_range) {
    Checksums wanted = by_item;
    if (is_one_range && !wanted.crc32) wanted.crc32 = source.recorded.crc32;
    if (is_one_range) wanted.xxh3 = source.recorded.xxh3;
    const auto found = checksums_of(source, storage, bytes, wanted, scratch);
    RETURN_IF_ERROR(found);
    auto same = compare(*found, by_item, "the item");
    if (same && is_one_range) same = compare(*found, source.recorded, "the metadata");
    if (!same || is_one_range) return same;
  }
  if (!is_recorded) return {};
  const auto found = checksums_of(source, source.first_element(), source.data_bytes(), source.recorded, scratch);
  RETURN_IF_ERROR(found);
  return compare(*found, source.recorded, "the metadata");
}

BoxCopy box_copy(const ChunkSource& source, const Piece& piece) {
  const std::uint64_t element = item_size(source.tensor.dtype);
  BoxCopy copy{{}, element, source.first_element(), piece.to};
  for (std::size_t i = 0; i < piece.lengths.size(); ++i) {
    const std::int64_t from = source.tensor.strides[i] * static_cast<std::int64_t>(element);
    copy.dimensions.push_back({piece.lengths[i], from, piece.byte_strides[i]});
    copy.begin += static_cast<std::uint64_t>(piece.chunk_offsets[i] * from);
    copy.to += piece.box_offsets[i] * piece.byte_strides[i];
  }
  return copy;
}

bool has_elements(const Piece& piece) { return std::ranges::find(piece.lengths, 0) == piece.lengths.end(); }

struct Work {
  const MetadataView& metadata;
  Files& files;
  Items& items;
  const ReadOptions& options;
  Touched touched;
};

Result<void> read_bytes(Work& work, const Piece& piece, ReadReport& report) {
  const auto file = work.files.open(piece.bytes.file());
  if (!file) return tl::unexpected(at_item(file.error(), piece.fqn, piece.bytes));
  work.touched.add(*file);
  auto done = (*file)->read(piece.bytes.byte_offset(), {piece.to, piece.bytes.length()});
  if (!done) return tl::unexpected(at_item(std::move(done.error()), piece.fqn, piece.bytes));
  report.needed_bytes += piece.bytes.length();
  report.read_bytes += piece.bytes.length();
  return {};
}

Result<void> read_piece(Work& work, const Piece& piece, Scratch& scratch, ReadReport& report) {
  if (!piece.tensor) return read_bytes(work, piece, report);
  if (!has_elements(piece)) return {};
  auto source = work.items.open(*piece.tensor, piece.chunk, Ask::WhereUnknown);
  if (source && work.options.verify && !has_checksum(*source))
    source = work.items.open(*piece.tensor, piece.chunk, Ask::Always);
  RETURN_IF_ERROR(source);
  work.touched.add(source->file);
  Result<void> done;
  if (work.options.verify) done = check_storage(*source, scratch);
  if (done) done = copy_box(*source, box_copy(*source, piece), work.options, scratch, report);
  if (!done) return tl::unexpected(at_item(std::move(done.error()), piece.fqn, *piece.chunk.storage()));
  return {};
}

/// Reads all pieces, by several threads where asked for. The error is that of the first piece that failed.
Result<ReadReport> read_pieces(Work& work, std::span<const Piece> pieces) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<std::pair<std::size_t, Error>> first;
  ReadReport total;
  const auto run = [&] {
    Scratch scratch;
    ReadReport report;
    for (std::size_t i = 0; (i = next.fetch_add(1)) < pieces.size();) {
      auto done = work.options.stop.stop_requested() ? fail(ErrorCode::Io, "reading was stopped")
                                                     : read_piece(work, pieces[i], scratch, report);
      if (done) continue;
      next = pieces.size();
      const std::lock_guard lock(mutex);
      if (!first || i < first->first) first.emplace(i, std::move(done.error()));
    }
    const std::lock_guard lock(mutex);
    total.needed_bytes += report.needed_bytes;
    total.read_bytes += report.read_bytes;
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < std::min<std::size_t>(work.options.threads, pieces.size()); ++i)
    threads.emplace_back(run);
  run();
  threads.clear();
  if (first) return tl::unexpected(std::move(first->second));
  RETURN_IF_ERROR(work.touched.check_unchanged());
  return total;
}

tl::unexpected<Error> corrupt(std::string_view fqn) {
  return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': the metadata breaks a rule; `verify` names it", fqn));
}

Size dense_byte_strides(std::span<const std::int64_t> sizes, std::uint32_t element) {
  Size strides = contiguous_strides(sizes);
  for (std::int64_t& stride : strides) stride *= element;
  return strides;
}

Result<void> check_box(const TensorView& tensor, std::span<const std::int64_t> offsets,
                       std::span<const std::int64_t> sizes) {
  const auto whole = tensor.size();
  bool inside = offsets.size() == whole.size() && sizes.size() == whole.size();
  for (std::size_t i = 0; inside && i < whole.size(); ++i) {
    inside = offsets[i] >= 0 && sizes[i] >= 0 && sizes[i] <= whole[i] && offsets[i] <= whole[i] - sizes[i];
  }
  if (inside) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("FQN '{}': a box at [{}] with sizes [{}] does not lie inside size [{}]", tensor.fqn(),
                          fmt::join(offsets, ", "), fmt::join(sizes, ", "), fmt::join(whole, ", ")));
}

/// Chunks of a grid tile their tensor by construction; others are looked at.
bool tiles_by_construction(const TensorView& tensor) {
  return tensor.row().chunk_layout == ChunkLayout::Grid || tensor.row().chunk_layout == ChunkLayout::EvenGrid ||
         tensor.row().chunk_layout == ChunkLayout::Whole;
}

Result<void> check_covered(const TensorView& tensor, std::span<const std::int64_t> offsets,
                           std::span<const std::int64_t> sizes, std::span<const Piece> pieces) {
  if (tiles_by_construction(tensor) && !pieces.empty()) return {};
  std::vector<ChunkStorageMetadata> parts;
  parts.reserve(pieces.size());
  for (const Piece& piece : pieces) parts.push_back({piece.box_offsets, piece.lengths});
  const ChunkStorageMetadata box{Size(sizes.size(), 0), Size(sizes.begin(), sizes.end())};
  auto hole = find_hole(box, parts);
  if (!hole) return {};
  for (std::size_t i = 0; i < offsets.size(); ++i) hole->offsets[i] += offsets[i];
  return fail(ErrorCode::Holes,
              fmt::format("FQN '{}': no chunk holds the elements at [{}] with sizes [{}]", tensor.fqn(),
                          fmt::join(hole->offsets, ", "), fmt::join(hole->sizes, ", ")));
}

}  // namespace

Result<std::uint64_t> box_bytes(const TensorView& tensor, std::span<const std::int64_t> sizes) {
  std::uint64_t bytes = 0;
  if (columns::volume(sizes, bytes) && base::multiply(bytes, item_size(tensor.dtype()), bytes) && bytes <= INT64_MAX)
    return bytes;
  return fail(ErrorCode::TooLarge, fmt::format("FQN '{}': a box of sizes [{}] has more bytes than there is memory",
                                               tensor.fqn(), fmt::join(sizes, ", ")));
}

Reader::Reader(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<Reader> Reader::open(const MetadataView& metadata, const std::filesystem::path& folder,
                            const ReaderOptions& options) {
  return Reader(std::make_unique<State>(metadata, folder, options));
}

Result<Reader> Reader::open(const dcp::OpenedCheckpoint& checkpoint, const ReaderOptions& options) {
  return open(checkpoint.file.view(), checkpoint.path.parent_path(), options);
}

Result<ChunkBytes> Reader::locate(const TensorView& tensor, const ChunkView& chunk) const {
  const auto source = state_->items.open(tensor, chunk, Ask::WhereUnknown);
  RETURN_IF_ERROR(source);
  const char* const reason = source->is_compressed ? "stream.zstd" : source->tensor.is_dense() ? nullptr : "strides";
  if (reason != nullptr) {
    return tl::unexpected(
        at_item({ErrorCode::NotPlain, fmt::format("not a plain tensor: {}", reason)}, tensor.fqn(), *chunk.storage()));
  }
  const std::uint64_t bytes = source->data_bytes();
  ChunkBytes found{{source->number, source->first_element(), bytes}, {}, {}};
  if (source->file->is_as_recorded()) {
    found.crc32 = source->recorded.crc32;
    found.xxh3 = source->recorded.xxh3;
  }
  if (!found.crc32 && bytes == source->tensor.storage_bytes) found.crc32 = source->tensor.crc32;
  return found;
}

Result<MappedChunk> Reader::map(const TensorView& tensor, const ChunkView& chunk) const {
  const auto where = locate(tensor, chunk);
  RETURN_IF_ERROR(where);
  const auto file = state_->files.map(where->range.file);
  if (!file) return tl::unexpected(at_item(file.error(), tensor.fqn(), *chunk.storage()));
  if (!base::in_range(where->range.offset, where->range.length, file->size()))
    return tl::unexpected(at_item({ErrorCode::Truncated, "the file ends inside it"}, tensor.fqn(), *chunk.storage()));
  const auto bytes = file->subspan(where->range.offset, where->range.length);
  const int zeros = std::countr_zero(reinterpret_cast<std::uintptr_t>(bytes.data()) | 4096U);
  return MappedChunk{bytes, std::size_t{1} << static_cast<unsigned>(zeros)};
}

Result<ReadReport> Reader::read(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                std::span<const std::int64_t> sizes, const Destination& to,
                                const ReadOptions& options) const {
  RETURN_IF_ERROR(check_box(tensor, offsets, sizes));
  if (columns::is_empty(sizes)) return ReadReport{};
  RETURN_IF_ERROR(box_bytes(tensor, sizes));
  const Size dense = dense_byte_strides(sizes, item_size(tensor.dtype()));
  const std::span<const std::int64_t> strides = to.byte_strides.empty() ? std::span(dense) : to.byte_strides;
  if (strides.size() != sizes.size()) return fail(ErrorCode::InvalidArgument, "a stride is needed per dimension");
  std::vector<Piece> pieces;
  for (Overlaps hit(tensor, offsets, sizes); !hit.done(); hit.next()) {
    const auto chunk = tensor.chunk_by_row(hit.chunk());
    if (!chunk) return corrupt(tensor.fqn());
    Piece piece{tensor, *chunk, {}, tensor.fqn(), {}, {}, {}, to.data, strides};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (hit.length(i) < 0 || hit.chunk_offset(i) < 0) return corrupt(tensor.fqn());
      piece.chunk_offsets.push_back(hit.chunk_offset(i));
      piece.box_offsets.push_back(hit.box_offset(i));
      piece.lengths.push_back(hit.length(i));
    }
    pieces.push_back(std::move(piece));
  }
  RETURN_IF_ERROR(check_covered(tensor, offsets, sizes, pieces));
  Work work{state_->metadata, state_->files, state_->items, options, {}};
  return read_pieces(work, pieces);
}

namespace {

/// The pieces of a plan. Errors: Holes, InvalidArgument, Corrupt.
Result<std::vector<Piece>> pieces_of(const MetadataView& metadata, const LoadPlan& plan,
                                     std::span<const Destination> destinations) {
  for (const LoadIssue& issue : plan.issues()) {
    const bool hole = issue.kind == LoadIssueKind::Uncovered || issue.kind == LoadIssueKind::NoStorage;
    if (hole || issue.fatal) return fail(hole ? ErrorCode::Holes : ErrorCode::InvalidArgument, issue.message);
  }
  std::vector<Piece> pieces;
  pieces.reserve(plan.size());
  for (std::uint32_t i = 0; i < plan.size(); ++i) {
    const ReadItemView item = plan.item(i);
    const auto entry = metadata.find(item.fqn());
    if (!entry) return corrupt(item.fqn());
    Piece piece;
    piece.fqn = entry->fqn();
    piece.to = destinations.empty() ? nullptr : destinations[i].data;
    if (item.type() == LoadItemType::Bytes) {
      const auto storage = entry->bytes_storage();
      if (!storage) return corrupt(item.fqn());
      piece.bytes = *storage;
    } else {
      const auto tensor = entry->tensor();
      const auto chunk = tensor ? tensor->chunk_by_row(item.chunk()) : Lookup<ChunkView>(LookupStatus::Absent);
      if (!chunk) return corrupt(item.fqn());
      piece.tensor = *tensor;
      piece.chunk = *chunk;
      const auto copied = [](std::span<const std::int64_t> values) { return Size(values.begin(), values.end()); };
      piece.chunk_offsets = copied(item.storage_offsets());
      piece.box_offsets = copied(item.dest_offsets());
      piece.lengths = copied(item.lengths());
      if (!destinations.empty()) piece.byte_strides = destinations[i].byte_strides;
      if (!destinations.empty() && piece.byte_strides.size() != piece.lengths.size()) {
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("FQN '{}': item {} of the plan needs a stride per dimension", item.fqn(), i));
      }
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

/// Chunks that overlap may hide a hole from the count of elements that a plan makes.
Result<void> check_disjoint(const LoadPlan& plan, std::span<const Piece> pieces) {
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> boxes;
  for (std::uint32_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].tensor || tiles_by_construction(*pieces[i].tensor)) continue;
    boxes[std::uint64_t{plan.item(i).wanted()} << 32U | plan.item(i).box()].push_back(i);
  }
  for (const auto& [key, items] : boxes) {
    const std::size_t ndim = pieces[items.front()].lengths.size();
    std::vector<std::int64_t> values;
    for (const std::uint32_t i : items) {
      values.insert(values.end(), pieces[i].box_offsets.begin(), pieces[i].box_offsets.end());
      values.insert(values.end(), pieces[i].lengths.begin(), pieces[i].lengths.end());
    }
    const OverlapIndex index(static_cast<std::uint8_t>(ndim), static_cast<std::uint32_t>(items.size()), values);
    for (const std::uint32_t i : items) {
      std::size_t hits = 0;
      for (Overlaps hit(index, pieces[i].box_offsets, pieces[i].lengths); !hit.done(); hit.next()) {
        bool shares = true;
        for (std::size_t d = 0; d < ndim; ++d) shares = shares && hit.length(d) > 0;
        hits += shares ? 1 : 0;
      }
      if (hits > 1) {
        return fail(ErrorCode::Holes,
                    fmt::format("FQN '{}': chunks overlap, so that counting their elements does not show "
                                "that they cover the box; read it by itself",
                                pieces[i].fqn));
      }
    }
  }
  return {};
}

/// Appends the runs of a box in ascending order, joined where they touch. False beyond `left` ranges.
bool list_runs(const BoxRuns& runs, std::size_t level, ByteRange at, std::vector<ByteRange>& ranges,
               std::size_t& left) {
  if (level < runs.dimensions.size()) {
    for (std::int64_t i = 0; i < runs.dimensions[level].length; ++i) {
      if (!list_runs(runs, level + 1, at, ranges, left)) return false;
      at.offset += static_cast<std::uint64_t>(runs.dimensions[level].from);
    }
    return true;
  }
  if (!ranges.empty() && ranges.back().offset + ranges.back().length == at.offset) {
    ranges.back().length += runs.run;
    return true;
  }
  if (left == 0) return false;
  --left;
  ranges.push_back({at.file, at.offset, runs.run});
  return true;
}

}  // namespace

Result<ReadReport> Reader::read(const LoadPlan& plan, std::span<const Destination> destinations,
                                const ReadOptions& options) const {
  if (destinations.size() != plan.size()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} destinations for a plan of {} items", destinations.size(), plan.size()));
  }
  if (plan.size() == 0) return ReadReport{};
  const auto pieces = pieces_of(state_->metadata, plan, destinations);
  RETURN_IF_ERROR(pieces);
  RETURN_IF_ERROR(check_disjoint(plan, *pieces));
  Work work{state_->metadata, state_->files, state_->items, options, {}};
  return read_pieces(work, *pieces);
}

Result<std::vector<std::vector<ByteRange>>> Reader::ranges(const LoadPlan& plan, std::size_t max_ranges) const {
  const auto pieces = pieces_of(state_->metadata, plan, {});
  RETURN_IF_ERROR(pieces);
  std::vector<std::vector<ByteRange>> all(pieces->size());
  std::size_t left = max_ranges;
  for (std::size_t i = 0; i < pieces->size(); ++i) {
    const Piece& piece = (*pieces)[i];
    if (!piece.tensor) {
      all[i].push_back({piece.bytes.file(), piece.bytes.byte_offset(), piece.bytes.length()});
      continue;
    }
    if (!has_elements(piece)) continue;
    const auto where = locate(*piece.tensor, piece.chunk);
    RETURN_IF_ERROR(where);
    Size sizes;
    for (std::uint8_t d = 0; d < piece.chunk.ndim(); ++d) sizes.push_back(piece.chunk.size(d));
    const std::uint32_t element = item_size(piece.tensor->dtype());
    const Size strides = dense_byte_strides(sizes, element);
    BoxCopy copy{{}, element, where->range.offset, nullptr};
    const Size to = dense_byte_strides(piece.lengths, element);
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      copy.dimensions.push_back({piece.lengths[d], strides[d], to[d]});
      copy.begin += static_cast<std::uint64_t>(piece.chunk_offsets[d] * strides[d]);
    }
    if (!list_runs(runs_of(copy), 0, {where->range.file, copy.begin, 0}, all[i], left))
      return fail(ErrorCode::TooLarge, fmt::format("the plan needs more than max_ranges = {} ranges", max_ranges));
  }
  return all;
}

Result<std::vector<BoxRange>> Reader::ranges(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                             std::span<const std::int64_t> sizes, std::size_t max_ranges) const {
  return plan::list_ranges(tensor, offsets, sizes, max_ranges, [&](const ChunkView& chunk) -> Result<ChunkData> {
    const auto known = chunk.data();
    if (known.corrupt()) return corrupt(tensor.fqn());
    if (known) return *known;
    const auto found = locate(tensor, chunk);
    RETURN_IF_ERROR(found);
    return ChunkData{found->range.file, found->range.offset, found->range.length};
  });
}

namespace {

/// Of a bytes item, what `read` makes of it.
template <class T>
Result<T> value_of(const Reader& reader, const EntryView& entry, Result<T> (*read)(const archive::ItemSource&)) {
  const auto bytes = reader.read_item(entry);
  RETURN_IF_ERROR(bytes);
  const base::MemorySource memory(*bytes);
  auto value = read(archive::ItemSource(memory, 0, bytes->size()));
  if (!value) return tl::unexpected(at_item(std::move(value.error()), entry.fqn(), *entry.bytes_storage()));
  return value;
}

}  // namespace

Result<std::vector<std::byte>> Reader::read_item(const EntryView& entry) const {
  const auto storage = entry.bytes_storage();
  if (storage.corrupt()) return corrupt(entry.fqn());
  if (storage.absent()) return fail(ErrorCode::Holes, fmt::format("FQN '{}' has no bytes item", entry.fqn()));
  return state_->items.load(entry.fqn(), *storage);
}

Result<std::string> Reader::read_value(const EntryView& entry) const {
  return value_of(*this, entry, &archive::read_plain_value);
}

Result<Buffer> Reader::read_plain_pickle(const EntryView& entry) const {
  return value_of(*this, entry, &archive::read_plain_pickle);
}

Result<bool> Reader::check(const TensorView& tensor, const ChunkView& chunk, bool bytes) const {
  auto source = state_->items.open(tensor, chunk, Ask::Always);
  RETURN_IF_ERROR(source);
  if (!bytes) return has_checksum(*source);
  const StorageInfoView storage = *chunk.storage();
  Scratch scratch;
  auto done = check_storage(*source, scratch);
  const FileBytes file(*source->file);
  const base::MemorySource memory(source->decompressed);
  const archive::ItemSource item = source->is_compressed
                                       ? archive::ItemSource(memory, 0, source->decompressed.size())
                                       : archive::ItemSource(file, storage.byte_offset(), storage.length());
  if (done && source->is_archive)
    done = archive::check_records(item, archive::Records::BesideStorages).map([](bool) {});
  if (done) done = source->file->check_unchanged();
  if (!done) return tl::unexpected(at_item(std::move(done.error()), tensor.fqn(), storage));
  return has_checksum(*source);
}

Result<bool> Reader::check(const EntryView& entry, bool bytes) const {
  const auto item = read_item(entry);
  RETURN_IF_ERROR(item);
  const base::MemorySource memory(*item);
  const archive::ItemSource source(memory, 0, item->size());
  auto known = bytes ? archive::check_records(source, archive::Records::All)
                     : archive::Zip::open(source).map([](const archive::Zip&) { return true; });
  if (!known) return tl::unexpected(at_item(std::move(known.error()), entry.fqn(), *entry.bytes_storage()));
  return known;
}

}  // namespace flatpoint::data
