#include "plan/balance.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"

namespace flatpoint::plan {
namespace {

constexpr std::uint64_t kMaxMarks = std::uint64_t{1} << 33;

/// Sums that only a broken file makes leave 64 bits stay at the last number, as in a plan.
template <class Sum>
std::uint64_t clamped(Sum sum) noexcept {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  return sum > kMost ? kMost : static_cast<std::uint64_t>(sum);
}

}  // namespace

Balancer::Balancer(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape, std::uint32_t rank_count)
    : metadata_(metadata),
      mesh_shape_(mesh_shape),
      rank_count_(rank_count),
      words_((metadata.file_count() + 63) / 64) {}

Result<LoadBalance> Balancer::run(MeshTargets& from) {
  if (std::uint64_t{rank_count_} * words_ > kMaxMarks / 64) {
    return fail(ErrorCode::TooLarge,
                fmt::format("{} ranks times {} files pass the limit of 2^33", rank_count_, metadata_.file_count()));
  }
  balance_.ranks.resize(rank_count_);
  balance_.files.resize(metadata_.file_count());
  balance_.issues = from.issues;
  ranks_.resize(rank_count_);
  file_bytes_.resize(metadata_.file_count());
  read_by_all_.resize(metadata_.file_count());
  marks_.resize(words_ * rank_count_);

  std::vector<std::vector<std::uint32_t>> members(from.classes.size());
  for (std::uint32_t i = 0; i < from.targets.size(); ++i) {
    const Target& target = from.targets[i];
    if (target.pattern != kBytesPattern) {
      members[target.pattern - 1].push_back(i);
    } else {
      RETURN_IF_ERROR(add_bytes(target));
    }
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    RETURN_IF_ERROR(find_readers(from.classes[i]));
    ClassSums sums;
    for (const std::uint32_t member : members[i]) {
      RETURN_IF_ERROR(add_tensor(from.targets[member], sums));
    }
    add_class(sums);
  }
  finish();
  return std::move(balance_);
}

/// Asks every rank once, then turns the answers around: per chunk its ranks.
Result<void> Balancer::find_readers(TensorClass& tensors) {
  const TensorView& tensor = tensors.tensor;
  const auto named = [&](const Error& error) {
    return fail(error.code,
                fmt::format("FQN '{}' of size {}: {}", tensor.fqn(), columns::to_string(tensor.size()), error.message));
  };
  const auto sharding = Sharding::create(tensor.size(), mesh_shape_, tensors.placements);
  if (!sharding) return named(sharding.error());
  readers_.begin.assign(std::size_t{tensor.chunk_count()} + 1, 0);
  readers_.elements.assign(rank_count_, 0);
  readers_.items.assign(rank_count_, 0);
  readers_.file.assign(tensor.chunk_count(), kNoFile);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> reads;  // chunk, rank
  readers_.chunks = 0;
  readers_.uncovered.clear();
  std::uint32_t lacking = 0;  // ranks that want what no chunk holds
  Size offsets(tensor.ndim());
  Size sizes(tensor.ndim());
  for (std::uint32_t rank = 0; rank < rank_count_; ++rank) {
    sharding->local_box(rank, offsets, sizes);
    std::uint64_t wanted = 0;
    if (!columns::volume(sizes, wanted) || wanted > std::numeric_limits<std::int64_t>::max()) {
      return named({ErrorCode::TooLarge, fmt::format("the elements of rank {} leave 64 bits", rank)});
    }
    for (Overlaps hit(tensor, offsets, sizes, tensors.index_for_query()); !hit.done(); hit.next()) {
      std::uint64_t elements = 1;
      for (std::size_t d = 0; d < sizes.size(); ++d) {
        if (hit.length(d) < 0) return named({ErrorCode::Corrupt, "the checkpoint states chunks of negative size"});
        elements *= static_cast<std::uint64_t>(hit.length(d));  // at most `wanted`
      }
      readers_.elements[rank] += elements;
      ++readers_.items[rank];
      ++readers_.begin[hit.chunk() + 1];
      reads.emplace_back(hit.chunk(), rank);
    }
    if (readers_.elements[rank] >= wanted || lacking++ > 0) continue;
    readers_.uncovered = fmt::format("saved chunks hold {} of the {} elements wanted by rank {}",
                                     clamped(readers_.elements[rank]), wanted, rank);
  }
  if (lacking > 1) readers_.uncovered += fmt::format(" ({} ranks want some that none holds)", lacking);
  readers_.chunks = static_cast<std::uint32_t>(std::ranges::count_if(readers_.begin, [](auto n) { return n > 0; }));
  for (std::size_t i = 1; i < readers_.begin.size(); ++i) readers_.begin[i] += readers_.begin[i - 1];
  readers_.ranks.resize(reads.size());
  auto next = readers_.begin;
  for (const auto& [chunk, rank] : reads) readers_.ranks[next[chunk]++] = rank;
  return {};
}

std::uint32_t Balancer::file_of(const Target& target, std::uint32_t chunk) const noexcept {
  return base::read_once(metadata_.columns().chunk_files, std::size_t{target.chunk_begin} + chunk);
}

std::optional<std::uint64_t> Balancer::length_of(const Target& target, std::uint32_t chunk) const noexcept {
  const auto lengths = metadata_.columns().chunk_lengths;
  const std::size_t at = std::size_t{target.length_begin} + (target.lengths_differ ? chunk : 0);
  return at < lengths.size() ? std::optional(base::read_once(lengths, at)) : std::nullopt;
}

/// Whether a chunk has an offset, and the bytes from there on end within 64 bits.
bool Balancer::ends_inside(const Target& target, std::uint32_t chunk, std::uint64_t length) const noexcept {
  const auto offsets = metadata_.columns().chunk_byte_offsets;
  const std::size_t row = std::size_t{target.chunk_begin} + chunk;
  return row < offsets.size() && base::read_once(offsets, row) <= std::numeric_limits<std::uint64_t>::max() - length;
}

tl::unexpected<Error> Balancer::corrupt(const Target& target, std::uint32_t chunk) const {
  const auto entry = metadata_.entry(target.wanted);
  return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': the storage information of chunk {} lies outside its columns",
                                              entry ? entry->fqn() : "?", chunk));
}

void Balancer::report(LoadIssueKind kind, bool fatal, const Target& target, std::string_view what) {
  const auto entry = metadata_.entry(target.wanted);
  const std::string_view fqn = entry ? entry->fqn() : "?";
  balance_.issues.push_back({kind, fatal, std::string(fqn), fmt::format("FQN '{}': {}", fqn, what)});
}

void Balancer::mark(std::uint32_t rank, std::uint32_t file) noexcept {
  marks_[rank * words_ + file / 64] |= std::uint64_t{1} << file % 64;
}

Result<void> Balancer::add_bytes(const Target& target) {
  const std::uint32_t file = file_of(target, 0);
  if (file == kNoFile) {
    balance_.chunks_unstored += rank_count_;
    report(LoadIssueKind::NoStorage, true, target, "1 of the 1 chunks needed have no storage information");
    return {};
  }
  const auto length = length_of(target, 0);
  if (file >= balance_.files.size() || !length || !ends_inside(target, 0, *length)) return corrupt(target, 0);
  ++everyone_.items;
  everyone_.needed_bytes += *length;
  everyone_.stored_bytes += *length;
  file_bytes_[file] += Sum{*length} * rank_count_;
  read_by_all_[file] = true;
  return {};
}

/// Sums over the class speak for a tensor whose chunks have one length and whose dtype is known; others go reader by
/// reader.
Result<void> Balancer::add_tensor(const Target& target, ClassSums& sums) {
  const auto chunk_count = static_cast<std::uint32_t>(readers_.begin.size() - 1);
  if (!readers_.uncovered.empty()) report(LoadIssueKind::Uncovered, false, target, readers_.uncovered);
  if (chunk_count == 0) return {};
  const bool uniform = !target.lengths_differ && target.item_size != 0;
  const auto first_length = length_of(target, 0);
  std::uint32_t unstored = 0;
  ++sums.tensors;
  sums.item_sizes += target.item_size;
  if (uniform) sums.lengths += first_length.value_or(0);
  for (std::uint32_t chunk = 0; chunk < chunk_count; ++chunk) {
    const auto readers = readers_.of(chunk);
    if (readers.empty()) continue;
    const std::uint32_t file = file_of(target, chunk);
    const auto length = uniform ? first_length : length_of(target, chunk);
    if (file == kNoFile) {
      take_off(readers, uniform ? first_length.value_or(0) : 0);
      ++unstored;
      continue;
    }
    if (file >= balance_.files.size() || !length || !ends_inside(target, chunk, *length)) {
      return corrupt(target, chunk);
    }
    file_bytes_[file] += Sum{*length} * readers.size();
    if (readers_.file[chunk] != file) {
      readers_.file[chunk] = file;
      for (const std::uint32_t rank : readers) mark(rank, file);
    }
    if (uniform) continue;
    for (const std::uint32_t rank : readers) {
      ranks_[rank].stored_bytes += *length;
      if (target.item_size == 0) ranks_[rank].needed_bytes += *length;
    }
  }
  if (unstored > 0) {
    report(LoadIssueKind::NoStorage, true, target,
           fmt::format("{} of the {} chunks needed have no storage information", unstored, readers_.chunks));
  }
  return {};
}

/// What the sums over the class count although the chunk is stored nowhere.
void Balancer::take_off(std::span<const std::uint32_t> readers, std::uint64_t length) {
  balance_.chunks_unstored += readers.size();
  for (const std::uint32_t rank : readers) {
    --ranks_[rank].items;
    ranks_[rank].stored_bytes -= length;
  }
}

/// Unsigned sums wrap, so that what was taken off before comes out right.
void Balancer::add_class(const ClassSums& sums) {
  for (std::uint32_t rank = 0; rank < rank_count_; ++rank) {
    RankSums& load = ranks_[rank];
    load.items += sums.tensors * readers_.items[rank];
    load.stored_bytes += sums.lengths * readers_.items[rank];
    load.needed_bytes += sums.item_sizes * readers_.elements[rank];
  }
}

void Balancer::finish() {
  RankSums total;
  for (std::uint32_t rank = 0; rank < rank_count_; ++rank) {
    RankLoad& load = balance_.ranks[rank];
    load.items = ranks_[rank].items + everyone_.items;
    load.needed_bytes = clamped(ranks_[rank].needed_bytes + everyone_.needed_bytes);
    load.stored_bytes = clamped(ranks_[rank].stored_bytes + everyone_.stored_bytes);
    for (std::uint32_t file = 0; file < read_by_all_.size(); ++file) {
      if (read_by_all_[file]) mark(rank, file);
    }
    for (std::size_t word = 0; word < words_; ++word) {
      for (std::uint64_t bits = marks_[rank * words_ + word]; bits != 0; bits &= bits - 1) {
        ++balance_.files[word * 64 + static_cast<std::size_t>(std::countr_zero(bits))].ranks;
        ++load.files;
      }
    }
    total.items += load.items;
    total.needed_bytes += ranks_[rank].needed_bytes + everyone_.needed_bytes;
    total.stored_bytes += ranks_[rank].stored_bytes + everyone_.stored_bytes;
    if (load.stored_bytes > balance_.ranks[balance_.most_loaded_rank].stored_bytes) balance_.most_loaded_rank = rank;
  }
  balance_.total = {total.items, clamped(total.needed_bytes), clamped(total.stored_bytes), 0};
  for (std::uint32_t file = 0; file < balance_.files.size(); ++file) {
    balance_.files[file].bytes = clamped(file_bytes_[file]);
    balance_.total.files += balance_.files[file].ranks > 0;
    if (balance_.files[file].bytes > balance_.files[balance_.most_loaded_file].bytes) balance_.most_loaded_file = file;
  }
}

}  // namespace flatpoint::plan
