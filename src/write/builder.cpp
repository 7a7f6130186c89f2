#include "flatpoint/builder.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"
#include "columns/file_rows.hpp"
#include "format/constants.hpp"
#include "write/builder_checks.hpp"
#include "write/builder_state.hpp"

namespace flatpoint {

using write::BuilderEntry;
using write::BuilderRows;
using write::BuilderState;
using write::check_boxes;
using write::check_columns;
using write::invalid;
using write::kMaxDimensions;
using write::value_at;

namespace {

constexpr std::size_t kMaxTransforms = std::numeric_limits<std::uint16_t>::max() - 1;

ChunkColumns one_chunk(std::span<const std::int64_t> offsets, std::span<const std::int64_t> sizes,
                       const StoredAt& stored) {
  return {1,
          offsets,
          sizes,
          {{&stored.file, 1},
           {&stored.byte_offset, 1},
           {&stored.length, 1},
           {&stored.transforms, 1},
           {&stored.data_begin, 1},
           {&stored.checksum, 1}},
          {&stored.rank, 1}};
}

tl::unexpected<Error> with_fqn(std::string_view fqn, Error&& error) {
  return fail(error.code, fmt::format("FQN '{}': {}", fqn, error.message));
}

}  // namespace

namespace write {

std::string_view BuilderState::copy(std::string_view text) {
  auto* memory = static_cast<char*>(text_memory.allocate(text.size() + 1, 1));
  std::memcpy(memory, text.data(), text.size());
  return {memory, text.size()};
}

Result<std::uint16_t> BuilderState::type_number(std::string_view name) {
  if (const auto known = type_numbers.find(name); known != type_numbers.end()) return known->second;
  if (type_names.size() >= std::numeric_limits<std::uint16_t>::max() - 1U) {
    return fail(ErrorCode::TooLarge, fmt::format("dtype '{}': {} names of dtypes and layouts are the format's limit",
                                                 name, type_names.size()));
  }
  const auto number = static_cast<std::uint16_t>(type_names.size());
  type_names.push_back(copy(name));
  type_numbers.emplace(type_names.back(), number);
  return number;
}

/// Checks a declaration; what it adds to `sizes` and to the texts means nothing until the entry is kept.
Result<BuilderEntry> BuilderState::make_tensor(std::string_view fqn, const TensorProperties& from,
                                               std::span<const std::int64_t> size) {
  RETURN_IF_ERROR(check_fqn(fqn));
  if (size.size() > kMaxDimensions)
    return invalid(fqn, fmt::format("{} dimensions; the format's limit is {}", size.size(), kMaxDimensions));
  if (is_strict()) {
    RETURN_IF_ERROR(check_size(fqn, size));
    if (from.memory_format == MemoryFormat::Other) return invalid(fqn, "a memory format that DCP cannot write");
  }
  if (from.strides && from.strides->size() != size.size()) {
    return invalid(
        fqn, fmt::format("strides {} do not fit size {}", columns::to_string(*from.strides), columns::to_string(size)));
  }
  BuilderEntry entry;
  TensorPropertiesRow& to = entry.properties;
  to.dtype = from.dtype;
  to.layout = from.layout;
  to.memory_format = from.memory_format;
  to.requires_grad = from.requires_grad;
  to.pin_memory = from.pin_memory;
  to.strides = from.strides ? StridesKind::Explicit : StridesKind::Absent;
  for (const bool is_dtype : {true, false}) {
    if (is_dtype ? from.dtype != ScalarType::Other : from.layout != Layout::Other) continue;
    const auto number = type_number(is_dtype ? from.dtype_name : from.layout_name);
    RETURN_IF_ERROR(number);
    (is_dtype ? to.dtype_name : to.layout_name) = *number;
  }
  entry.ndim = static_cast<std::uint8_t>(size.size());
  entry.size_begin = sizes.size();
  sizes.insert(sizes.end(), size.begin(), size.end());
  entry.strides_begin = sizes.size();
  if (from.strides) sizes.insert(sizes.end(), from.strides->begin(), from.strides->end());
  entry.fqn = copy(fqn);
  return entry;
}

/// Rule E7 of `count` chunks from number `first` of the columns on, but for the lengths of files. `box_sizes`: of
/// these.
Result<void> BuilderState::check_data(const BuilderEntry& entry, const ChunkColumns& chunks, std::size_t first,
                                      std::size_t count, std::span<const std::int64_t> box_sizes) const {
  const StoredColumns& stored = chunks.stored;
  if (stored.data_begins.empty() || stored.files.empty()) return {};
  const std::uint32_t item = item_size(entry.properties.dtype);
  for (std::size_t i = 0; i < count; ++i) {
    columns::StoredRow row;
    row.file = value_at(stored.files, first + i);
    columns::each_column(
        [&](auto member, const auto& column) {
          row.*member = columns::value_or(column, first + i, columns::StoredRow{}.*member);
        },
        stored);
    const bool is_transformed = row.transforms != 0 && !transform_lists[row.transforms - 1U].descriptors.empty();
    const auto box = box_sizes.subspan(i * entry.ndim, entry.ndim);
    if (columns::keeps_rule_e7(row, is_transformed, box, item)) continue;
    return invalid(entry.fqn,
                   is_transformed
                       ? "data that are transformed have no begin"
                       : fmt::format("data of sizes {} that begin {} bytes into a range of {} bytes at {} end outside",
                                     columns::to_string(box), row.data_begin, row.length, row.byte_offset));
  }
  return {};
}

void BuilderState::append_rows(const ChunkColumns& chunks, std::span<const BuilderRows> of) {
  append_boxes(chunks, of);
  append_ranks(chunks);
  rows.append(chunks.stored, chunks.count);
}

void BuilderState::append_boxes(const ChunkColumns& chunks, std::span<const BuilderRows> of) {
  const std::size_t before = boxes.size();
  boxes.resize(before + chunks.offsets.size() + chunks.sizes.size());
  std::int64_t* box = boxes.data() + before;
  const std::int64_t* from = chunks.offsets.data();
  const std::int64_t* extent = chunks.sizes.data();
  for (const BuilderRows& block : of) {
    const std::size_t ndim = entries[block.entry].ndim;
    for (std::uint32_t i = 0; i < block.count; ++i, box += 2 * ndim, from += ndim, extent += ndim) {
      for (std::size_t d = 0; d < ndim; ++d) {
        box[d] = from[d];
        box[ndim + d] = extent[d];
      }
    }
  }
}

void BuilderState::append_ranks(const ChunkColumns& chunks) {
  if (ranks.empty() && fits_file_ranks(chunks)) return;
  if (ranks.empty()) {
    ranks.resize(rows.size());
    std::ranges::transform(rows.files, ranks.begin(), [this](std::uint32_t file) { return rank_of_file(file); });
  }
  columns::append_values(ranks, chunks.ranks, chunks.count, 0U);
}

/// Whether each file still has one rank that writes it; notes those of files that had none.
bool BuilderState::fits_file_ranks(const ChunkColumns& chunks) {
  file_ranks.resize(file_names.size(), kNobody);
  const bool is_fragment = fragment_rank >= 0;
  for (std::size_t i = 0; i < chunks.count; ++i) {
    const std::uint32_t file = columns::value_or(chunks.stored.files, i, kNoFile);
    const std::uint32_t rank = is_fragment ? 0 : columns::value_or(chunks.ranks, i, 0U);
    if (file != kNoFile && file_ranks[file] == kNobody) file_ranks[file] = rank;
    if (rank != rank_of_file(file)) return false;
  }
  return true;
}

}  // namespace write

MetadataBuilder::MetadataBuilder(std::unique_ptr<BuilderState> state) noexcept : state_(std::move(state)) {}
MetadataBuilder::MetadataBuilder(MetadataBuilder&&) noexcept = default;
MetadataBuilder& MetadataBuilder::operator=(MetadataBuilder&&) noexcept = default;
MetadataBuilder::~MetadataBuilder() = default;

MetadataBuilder MetadataBuilder::create(Checks checks) {
  return MetadataBuilder(std::make_unique<BuilderState>(checks, -1));
}

MetadataBuilder MetadataBuilder::create_fragment(std::uint32_t fragment_rank, Checks checks) {
  return MetadataBuilder(std::make_unique<BuilderState>(checks, static_cast<std::int32_t>(fragment_rank)));
}

std::uint32_t MetadataBuilder::add_file(std::string_view relative_path) {
  BuilderState& s = *state_;
  if (const auto known = s.file_numbers.find(relative_path); known != s.file_numbers.end()) return known->second;
  const auto number = static_cast<std::uint32_t>(s.file_names.size());
  s.file_names.push_back(s.copy(relative_path));
  s.file_numbers.emplace(s.file_names.back(), number);
  return number;
}

Result<void> MetadataBuilder::set_file_facts(std::uint32_t file, const FileFacts& facts) {
  BuilderState& s = *state_;
  if (file >= s.file_names.size()) {
    return fail(ErrorCode::InvalidArgument, fmt::format("file {} is unknown: there are {}", file, s.file_names.size()));
  }
  s.file_facts.resize(s.file_names.size());
  if (s.file_facts[file] && *s.file_facts[file] != facts)
    return fail(ErrorCode::Conflict, fmt::format("the facts of data file '{}' are set twice", s.file_names[file]));
  s.file_facts[file] = facts;
  return {};
}

Result<void> MetadataBuilder::set_checksum_kind(ChecksumKind kind) {
  BuilderState& s = *state_;
  if (kind != ChecksumKind::Xxh3 && kind != ChecksumKind::Crc32)
    return fail(ErrorCode::InvalidArgument, "checksums are of kind xxh3 or crc32");
  if (s.checksum_kind && *s.checksum_kind != kind)
    return fail(ErrorCode::Conflict, "the kind of the checksums is set twice, to different values");
  s.checksum_kind = kind;
  return {};
}

Result<std::uint16_t> MetadataBuilder::add_transforms(std::span<const std::string_view> descriptors,
                                                      SequenceType type) {
  BuilderState& s = *state_;
  std::string key(1, static_cast<char>(type));
  for (const std::string_view descriptor : descriptors) key += fmt::format("{} {}", descriptor.size(), descriptor);
  const auto known = s.transform_numbers.find(key);
  if (known != s.transform_numbers.end()) return known->second;
  if (s.transform_lists.size() >= kMaxTransforms) {
    return fail(ErrorCode::TooLarge,
                fmt::format("{} lists of transform descriptors are the format's limit", kMaxTransforms));
  }
  write::DraftTransformList list{{descriptors.begin(), descriptors.end()}, type};
  for (std::string_view& descriptor : list.descriptors) descriptor = s.copy(descriptor);
  s.transform_lists.push_back(std::move(list));
  const auto number = static_cast<std::uint16_t>(s.transform_lists.size());
  s.transform_numbers.emplace(std::move(key), number);
  return number;
}

Result<TensorId> MetadataBuilder::add_tensor(std::string_view fqn, const TensorProperties& properties,
                                             std::span<const std::int64_t> size) {
  BuilderState& s = *state_;
  auto entry = s.make_tensor(fqn, properties, size);
  RETURN_IF_ERROR(entry);
  s.entries.push_back(*entry);
  return TensorId{static_cast<std::uint32_t>(s.entries.size() - 1)};
}

Result<void> MetadataBuilder::add_chunk(TensorId tensor, std::span<const std::int64_t> offsets,
                                        std::span<const std::int64_t> sizes, const StoredAt& stored) {
  return add_chunks(tensor, one_chunk(offsets, sizes, stored));
}

Result<void> MetadataBuilder::add_chunks(TensorId tensor, const ChunkColumns& chunks) {
  BuilderState& s = *state_;
  const auto number = static_cast<std::uint32_t>(tensor);
  if (number >= s.entries.size() || s.entries[number].type != StorageType::Tensor) {
    return fail(ErrorCode::InvalidArgument, fmt::format("tensor {} is unknown to this builder", number));
  }
  const BuilderEntry& entry = s.entries[number];
  auto checked =
      check_columns(chunks, chunks.count * entry.ndim, s.file_names.size(), s.transform_lists.size(), s.is_strict());
  if (!checked) return with_fqn(entry.fqn, std::move(checked.error()));
  if (s.is_strict()) {
    const auto size = std::span(std::as_const(s.sizes)).subspan(entry.size_begin, entry.ndim);
    RETURN_IF_ERROR(check_boxes(entry.fqn, size, chunks.count, chunks.offsets.data(), chunks.sizes.data()));
  }
  RETURN_IF_ERROR(s.check_data(entry, chunks, 0, chunks.count, chunks.sizes));
  s.blocks.push_back({number, static_cast<std::uint32_t>(chunks.count), s.rows.size(), s.boxes.size()});
  s.append_rows(chunks, {&s.blocks.back(), 1});
  return {};
}

Result<TensorId> MetadataBuilder::add_tensor(std::string_view fqn, const TensorStorageMetadata& tensor,
                                             std::span<const StoredAt> stored) {
  if (!stored.empty() && stored.size() != tensor.chunks.size()) {
    return invalid(fqn, fmt::format("{} places for {} chunks", stored.size(), tensor.chunks.size()));
  }
  const std::size_t ndim = tensor.size.size();
  Size offsets;
  Size sizes;
  for (const ChunkStorageMetadata& chunk : tensor.chunks) {
    if (chunk.offsets.size() != ndim || chunk.sizes.size() != ndim) {
      return invalid(
          fqn, fmt::format("chunk with offsets {} sizes {} in a tensor of size {}", columns::to_string(chunk.offsets),
                           columns::to_string(chunk.sizes), columns::to_string(tensor.size)));
    }
    offsets.insert(offsets.end(), chunk.offsets.begin(), chunk.offsets.end());
    sizes.insert(sizes.end(), chunk.sizes.begin(), chunk.sizes.end());
  }
  std::vector<std::uint32_t> files, ranks, begins;
  std::vector<std::uint64_t> byte_offsets, lengths, checksums;
  std::vector<std::uint16_t> transforms;
  for (const StoredAt& at : stored) {
    files.push_back(at.file), byte_offsets.push_back(at.byte_offset), lengths.push_back(at.length);
    transforms.push_back(at.transforms), ranks.push_back(at.rank);
    begins.push_back(at.data_begin), checksums.push_back(at.checksum);
  }
  const auto dimensions = static_cast<std::uint8_t>(std::min(ndim, kMaxDimensions));
  if (dimensions != ndim)
    return invalid(fqn, fmt::format("{} dimensions; the format's limit is {}", ndim, kMaxDimensions));
  const auto chunk_count = static_cast<std::uint32_t>(tensor.chunks.size());
  return add_tensors(
      {{&fqn, 1},
       {&tensor.properties, 1},
       {&dimensions, 1},
       tensor.size,
       {&chunk_count, 1},
       {tensor.chunks.size(), offsets, sizes, {files, byte_offsets, lengths, transforms, begins, checksums}, ranks}});
}

Result<void> MetadataBuilder::add_sharded(TensorId tensor, const Sharding& sharding, const StoredColumns& stored) {
  BuilderState& s = *state_;
  if (s.fragment_rank >= 0)
    return fail(ErrorCode::InvalidArgument, "a fragment holds one rank's chunk, not all of a sharding");
  const auto number = static_cast<std::uint32_t>(tensor);
  if (number < s.entries.size()) {
    const BuilderEntry& entry = s.entries[number];
    const auto size = std::span(std::as_const(s.sizes)).subspan(entry.size_begin, entry.ndim);
    if (!std::ranges::equal(size, sharding.size())) {
      return invalid(entry.fqn, fmt::format("a sharding of size {} for a tensor of size {}",
                                            columns::to_string(sharding.size()), columns::to_string(size)));
    }
  }
  const std::vector<std::uint32_t> ranks = sharding.chunk_ranks();
  const std::size_t dimensions = sharding.size().size();
  Size offsets(ranks.size() * dimensions);
  Size sizes(offsets.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    sharding.local_box(ranks[i], std::span(offsets).subspan(i * dimensions, dimensions),
                       std::span(sizes).subspan(i * dimensions, dimensions));
  }
  return add_chunks(tensor, {ranks.size(), offsets, sizes, stored, ranks});
}

Result<TensorId> MetadataBuilder::add_tensors(const TensorColumns& tensors) {
  BuilderState& s = *state_;
  const std::size_t n = tensors.fqns.size();
  for (const auto& [column, values] :
       {std::pair("properties", tensors.properties.size()), std::pair("dimensions", tensors.dimensions.size()),
        std::pair("chunk_counts", tensors.chunk_counts.size())}) {
    if (values == n || values == 1) continue;
    return fail(ErrorCode::InvalidArgument, fmt::format("column {} has {} values for {} tensors", column, values, n));
  }
  std::vector<BuilderEntry> entries;
  std::vector<BuilderRows> blocks;
  entries.reserve(n);
  blocks.reserve(n);
  std::size_t size_values = 0;
  std::size_t chunks = 0;
  std::size_t box_values = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t ndim = value_at(tensors.dimensions, i);
    const std::uint32_t count = value_at(tensors.chunk_counts, i);
    if (!base::in_range(size_values, ndim, tensors.sizes.size())) {
      return invalid(tensors.fqns[i],
                     fmt::format("column sizes ends at {} values, before this tensor's", tensors.sizes.size()));
    }
    const auto size = tensors.sizes.subspan(size_values, ndim);
    auto entry = s.make_tensor(tensors.fqns[i],
                               tensors.properties.size() == 1 ? tensors.properties[0] : tensors.properties[i], size);
    RETURN_IF_ERROR(entry);
    entries.push_back(*entry);
    if (count > 0)
      blocks.push_back({static_cast<std::uint32_t>(s.entries.size() + i), count, s.rows.size() + chunks,
                        s.boxes.size() + 2 * box_values});
    size_values += ndim;
    chunks += count;
    box_values += std::size_t{count} * ndim;
  }
  if (size_values != tensors.sizes.size()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("column sizes has {} values; {} tensors need {}", tensors.sizes.size(), n, size_values));
  }
  if (chunks != tensors.chunks.count) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("chunk_counts add up to {}, but there are {} chunks", chunks, tensors.chunks.count));
  }
  RETURN_IF_ERROR(
      check_columns(tensors.chunks, box_values, s.file_names.size(), s.transform_lists.size(), s.is_strict()));
  for (const BuilderRows& of : blocks) {
    const BuilderEntry& entry = entries[of.entry - s.entries.size()];
    const std::size_t values = std::size_t{of.count} * entry.ndim;
    auto data = s.check_data(entry, tensors.chunks, of.begin - s.rows.size(), of.count,
                             tensors.chunks.sizes.subspan((of.box_begin - s.boxes.size()) / 2, values));
    RETURN_IF_ERROR(data);
  }
  for (const BuilderRows& of : blocks) {
    if (!s.is_strict()) break;
    const BuilderEntry& entry = entries[of.entry - s.entries.size()];
    const std::size_t at = (of.box_begin - s.boxes.size()) / 2;
    auto boxes = check_boxes(entry.fqn, std::span(std::as_const(s.sizes)).subspan(entry.size_begin, entry.ndim),
                             of.count, tensors.chunks.offsets.data() + at, tensors.chunks.sizes.data() + at);
    RETURN_IF_ERROR(boxes);
  }
  const auto first = TensorId{static_cast<std::uint32_t>(s.entries.size())};
  s.entries.insert(s.entries.end(), entries.begin(), entries.end());
  s.blocks.insert(s.blocks.end(), blocks.begin(), blocks.end());
  s.append_rows(tensors.chunks, blocks);
  return first;
}

Result<void> MetadataBuilder::add_bytes(std::string_view fqn, const StoredAt& stored) {
  BuilderState& s = *state_;
  RETURN_IF_ERROR(write::check_fqn(fqn));
  const ChunkColumns row = one_chunk({}, {}, stored);
  if (auto checked = check_columns(row, 0, s.file_names.size(), s.transform_lists.size(), s.is_strict()); !checked) {
    return with_fqn(fqn, std::move(checked.error()));
  }
  BuilderEntry entry;
  entry.fqn = s.copy(fqn);
  entry.type = StorageType::Bytes;
  s.entries.push_back(entry);
  s.blocks.push_back({static_cast<std::uint32_t>(s.entries.size() - 1), 1, s.rows.size(), s.boxes.size()});
  s.append_rows(row, {&s.blocks.back(), 1});
  return {};
}

Result<void> MetadataBuilder::set_planner_path(std::string_view fqn, std::span<const PlannerKey> keys) {
  BuilderState& s = *state_;
  std::string joined;
  std::vector<PathElementRow> path;
  for (const PlannerKey& key : keys) {
    if (&key != keys.data()) joined += '.';
    PathElementRow element{1, 0, 0};
    if (const auto* position = std::get_if<std::int64_t>(&key)) {
      joined += fmt::format("{}", *position);
      element.is_index = 1;
    } else {
      const std::string_view text = std::get<std::string_view>(key);
      const auto dots = static_cast<std::size_t>(std::count(text.begin(), text.end(), '.'));
      if (dots >= std::numeric_limits<std::uint16_t>::max())
        return invalid(fqn, fmt::format("a planner key with {} dots", dots));
      joined += text;
      element.components = static_cast<std::uint16_t>(dots + 1);
    }
    path.push_back(element);
  }
  if (keys.empty() || joined != fqn)
    return invalid(fqn, fmt::format("its planner path, joined with dots, is '{}'", joined));
  const auto [known, is_new] =
      s.path_numbers.try_emplace(std::move(path), static_cast<std::uint32_t>(s.path_numbers.size()));
  static_cast<void>(is_new);
  s.planner_paths.emplace_back(s.copy(fqn), known->second);
  return {};
}

Result<void> MetadataBuilder::set_storage_meta(const StorageMeta& meta) {
  if (state_->storage_meta && *state_->storage_meta != meta)
    return fail(ErrorCode::Conflict, "storage_meta is set twice, to different values");
  state_->storage_meta = meta;
  return {};
}

Result<void> MetadataBuilder::set_version(std::string_view version) {
  BuilderState& s = *state_;
  if (s.version && *s.version != version) {
    return fail(ErrorCode::Conflict, fmt::format("version is set twice, to '{}' and '{}'", *s.version, version));
  }
  s.version = s.copy(version);
  return {};
}

Result<Buffer> MetadataBuilder::finish() && { return state_->finish(); }

}  // namespace flatpoint
