#include "plan/plan_writer.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "base/xxh3.hpp"
#include "columns/boxes.hpp"

namespace flatpoint {

using plan::Pattern;
using plan::Target;

namespace {

constexpr std::size_t kMaxItems = std::numeric_limits<std::uint32_t>::max() - 1;

/// Targets between asking for a row and using it: memory answers in the time that so many take.
constexpr std::size_t kPrefetchDistance = 12;

/// Runs that are merged; with more of them sorting is quicker.
constexpr int kMostMerges = 3;

tl::unexpected<Error> too_many() {
  return fail(ErrorCode::TooLarge, fmt::format("the plan would have more than {} read items", kMaxItems));
}

/// Sums that only a broken file makes leave 64 bits stay at the last number.
void add(std::uint64_t& sum, std::uint64_t value) noexcept {
  if (__builtin_add_overflow(sum, value, &sum)) sum = std::numeric_limits<std::uint64_t>::max();
}

/// Elements of a box; false where they leave int64.
bool volume(std::span<const std::int64_t> sizes, std::uint64_t& elements) noexcept {
  return columns::volume(sizes, elements) &&
         elements <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

}  // namespace

namespace plan {

Geometry Geometry::of(const TensorView& tensor) noexcept {
  const EntryRow& row = tensor.row();
  return {row.size_begin, row.box_begin, row.chunk_count, row.ndim, row.chunk_layout};
}

std::uint64_t Geometry::hash(std::uint64_t seed) const noexcept {
  const std::uint64_t words[] = {std::uint64_t{size_begin} << 32 | box_begin, std::uint64_t{chunk_count} << 32 |
                                                                                  std::uint64_t{ndim} << 8 |
                                                                                  static_cast<std::uint8_t>(layout)};
  return XXH3_64bits_withSeed(words, sizeof words, seed);
}

}  // namespace plan

PlanWriter::PlanWriter(const MetadataView& metadata, LoadPlan& plan) : metadata_(metadata), plan_(plan) {
  plan_.metadata_ = metadata;
  plan_.reads_.clear();  // items are written over
  plan_.entries_.clear();
  plan_.unexpected_.clear();
  plan_.issues_.clear();
  plan_.needed_bytes_ = plan_.stored_bytes_ = plan_.read_bytes_ = 0;
  plan_.file_count_ = plan_.fatal_ = 0;
  plan_.regions_.assign(1, {});  // of bytes
  plan_.region_values_.assign(3, 0);
  patterns_.push_back({.region_begin = 0, .region_end = 1});
  files_.push_back(kNoFile);  // so that no pattern's begin at 0
  file_at_.assign(std::size_t{metadata.file_count()} + 1, 0);
}

std::uint32_t PlanWriter::add_pattern(const TensorView& tensor, std::uint32_t box_count,
                                      std::span<const std::int64_t> boxes, const OverlapIndex* index) {
  const std::size_t ndim = tensor.ndim();
  Pattern pattern;
  pattern.region_begin = pattern.region_end = static_cast<std::uint32_t>(plan_.regions_.size());
  for (std::uint32_t box = 0; box < box_count && pattern.fault == Pattern::Fault::None; ++box) {
    const auto offsets = boxes.subspan(2 * ndim * box, ndim);
    const auto sizes = boxes.subspan(2 * ndim * box + ndim, ndim);
    std::uint64_t elements = 0;
    pattern.fault_box = box;
    if (columns::reaches_outside(tensor.size(), offsets.data(), sizes.data())) {
      pattern.fault = Pattern::Fault::Outside;
    } else if (!volume(sizes, elements)) {
      pattern.fault = Pattern::Fault::Overflow;
    } else if (!add_regions(tensor, box, offsets, sizes, index, pattern)) {
      pattern.fault = Pattern::Fault::Corrupt;
    }
    add(pattern.wanted_elements, elements);
  }
  patterns_.push_back(pattern);
  return static_cast<std::uint32_t>(patterns_.size() - 1);
}

/// The regions of one box, in the order of Overlaps. False where the file's boxes contradict themselves.
bool PlanWriter::add_regions(const TensorView& tensor, std::uint32_t box, std::span<const std::int64_t> offsets,
                             std::span<const std::int64_t> sizes, const OverlapIndex* index, Pattern& pattern) {
  const std::size_t ndim = tensor.ndim();
  auto& values = plan_.region_values_;
  for (Overlaps hit(tensor, offsets, sizes, index); !hit.done(); hit.next()) {
    if (plan_.regions_.size() > kMaxItems) return true;  // `write` refuses
    const std::size_t at = values.size();
    values.resize(at + 3 * ndim);
    std::uint64_t elements = 1;
    for (std::size_t d = 0; d < ndim; ++d) {
      values[at + d] = hit.chunk_offset(d);
      values[at + ndim + d] = hit.box_offset(d);
      const std::int64_t length = values[at + 2 * ndim + d] = hit.length(d);
      if (length < 0 || hit.chunk_offset(d) < 0) return false;
      elements *= static_cast<std::uint64_t>(length);  // at most the box's, which fit
    }
    add(pattern.found_elements, elements);
    plan_.regions_.push_back({at, hit.chunk(), box});
  }
  pattern.region_end = static_cast<std::uint32_t>(plan_.regions_.size());
  return true;
}

void PlanWriter::share_files(std::uint32_t i, std::uint32_t targets, std::span<const std::uint32_t> chunk_files) {
  Pattern& pattern = patterns_[i];
  pattern.shared_files = files_.size();
  for (std::uint32_t region = pattern.region_begin; region < pattern.region_end; ++region) {
    files_.push_back(chunk_files[plan_.regions_[region].chunk]);
    file_at_[files_.back() + 1] += targets;
  }
  shared_targets_ += targets;
  items_ += std::uint64_t{targets} * (pattern.region_end - pattern.region_begin);
}

void PlanWriter::add_issue(LoadIssueKind kind, bool fatal, std::string_view fqn, std::string message) {
  plan_.issues_.push_back({kind, fatal, std::string(fqn), std::move(message)});
  plan_.fatal_ += fatal;
}

tl::unexpected<Error> PlanWriter::corrupt(const Target& target, std::string_view what) const {
  const auto entry = metadata_.entry(entry_of(target));
  return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': {}", entry ? entry->fqn() : "?", what));
}

Result<void> PlanWriter::write(std::span<const Target> targets, const LoadOptions& options) {
  if (plan_.regions_.size() > kMaxItems) return too_many();
  RETURN_IF_ERROR(count_items(targets));
  RETURN_IF_ERROR(place_items(targets));
  sort_items();
  join_items(options.max_gap);
  return {};
}

std::uint32_t PlanWriter::entry_of(const Target& target) const noexcept {
  return plan_.entries_.empty() ? target.wanted : plan_.entries_[target.wanted];
}

/// Asks for a target's rows before they are needed: they lie anywhere in columns of millions of rows.
template <class T>
void PlanWriter::prefetch(std::span<const T> column, const Target& target) const noexcept {
  const Pattern& pattern = patterns_[target.pattern];
  if (pattern.region_begin == pattern.region_end || column.empty()) return;
  const T* const rows = column.data() + target.chunk_begin;
  const std::uint32_t first = plan_.regions_[pattern.region_begin].chunk;
  const std::uint32_t last = plan_.regions_[pattern.region_end - 1].chunk;
  __builtin_prefetch(rows + first);
  if (last != first) __builtin_prefetch(rows + last);
}

/// Notes each item's file and how many items a file has, where that is not known yet. The file numbers are kept: the
/// column may change underneath.
Result<void> PlanWriter::count_items(std::span<const Target> targets) {
  const auto chunk_files = metadata_.columns().chunk_files;
  const std::uint32_t file_count = metadata_.file_count();
  own_files_ = files_.size();
  const auto shares = [&](const Target& target) { return patterns_[target.pattern].shared_files != 0; };
  std::size_t left = targets.size() - shared_targets_;
  std::size_t end = 0;  // behind the last target that does not share
  std::uint64_t own = 0;
  for (; left > 0; ++end) {
    if (shares(targets[end])) continue;
    --left;
    own += patterns_[targets[end].pattern].region_end - patterns_[targets[end].pattern].region_begin;
  }
  if (items_ + own > kMaxItems) return too_many();
  files_.resize(own_files_ + own);
  std::uint32_t* next = files_.data() + own_files_;
  for (std::size_t i = 0; i < end; ++i) {
    if (shares(targets[i])) continue;
    if (i + kPrefetchDistance < end) prefetch(chunk_files, targets[i + kPrefetchDistance]);
    const Target& target = targets[i];
    const Pattern& pattern = patterns_[target.pattern];
    std::uint32_t unstored = 0;
    for (std::uint32_t region = pattern.region_begin; region < pattern.region_end; ++region) {
      const std::uint32_t chunk = plan_.regions_[region].chunk;
      const std::uint32_t file = base::read_once(chunk_files, std::size_t{target.chunk_begin} + chunk);
      *next++ = file;
      if (file < file_count) {
        ++file_at_[file + 1];
      } else if (file == kNoFile) {
        ++unstored;
      } else {
        return corrupt(target, fmt::format("chunk {} lies in file {} of {}", chunk, file, file_count));
      }
    }
    if (unstored > 0) report_unstored(target, unstored);
  }
  return {};
}

void PlanWriter::report_unstored(const Target& target, std::uint32_t unstored) {
  const Pattern& pattern = patterns_[target.pattern];
  const auto entry = metadata_.entry(entry_of(target));
  const std::string_view fqn = entry ? entry->fqn() : "?";
  add_issue(LoadIssueKind::NoStorage, true, fqn,
            fmt::format("FQN '{}': {} of the {} chunks needed have no storage information", fqn, unstored,
                        pattern.region_end - pattern.region_begin));
}

/// Puts each item behind those of its file that come before it.
Result<void> PlanWriter::place_items(std::span<const Target> targets) {
  const auto byte_offsets = metadata_.columns().chunk_byte_offsets;
  const auto lengths = metadata_.columns().chunk_lengths;
  for (std::size_t file = 1; file < file_at_.size(); ++file) {
    plan_.file_count_ += file_at_[file] > 0;
    file_at_[file] += file_at_[file - 1];
  }
  const std::uint32_t count = file_at_.back();
  if (count > plan_.items_.capacity()) plan_.items_ = {};  // nothing of them is kept, so let no growth copy and double
  plan_.items_.resize(count);
  // Of these nothing below changes the place; the compiler cannot know.
  Item* const items = plan_.items_.data();
  std::uint32_t* const next_of_file = file_at_.data();
  const LoadPlan::Region* const regions = plan_.regions_.data();
  const std::uint32_t* own = files_.data() + own_files_;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (i + kPrefetchDistance < targets.size()) prefetch(byte_offsets, targets[i + kPrefetchDistance]);
    const Target target = targets[i];
    const Pattern& pattern = patterns_[target.pattern];
    const std::uint32_t begin = pattern.region_begin;
    const std::uint32_t end = pattern.region_end;
    const bool shared = pattern.shared_files != 0;
    const std::uint32_t* const files = shared ? files_.data() + pattern.shared_files : own;
    if (!shared) own += end - begin;
    std::uint64_t stored = 0;
    for (std::uint32_t region = begin; region < end; ++region) {
      const std::uint32_t file = files[region - begin];
      if (file == kNoFile) continue;
      const std::uint32_t chunk = regions[region].chunk;
      const std::size_t row = std::size_t{target.chunk_begin} + chunk;
      const std::size_t length_at = std::size_t{target.length_begin} + (target.lengths_differ ? chunk : 0);
      if (row >= byte_offsets.size() || length_at >= lengths.size()) {
        return corrupt(target, fmt::format("the storage information of chunk {} lies outside its columns", chunk));
      }
      const std::uint64_t byte_offset = base::read_once(byte_offsets, row);
      const std::uint64_t length = base::read_once(lengths, length_at);
      if (length > std::numeric_limits<std::uint64_t>::max() - byte_offset) {
        return corrupt(
            target, fmt::format("chunk {} lies at byte {} with {} bytes, beyond 64 bits", chunk, byte_offset, length));
      }
      items[next_of_file[file]++] = {byte_offset, length, target.wanted, region};
      add(stored, length);
    }
    std::uint64_t needed = stored;
    if (target.item_size != 0 && !base::multiply(pattern.found_elements, std::uint64_t{target.item_size}, needed)) {
      needed = std::numeric_limits<std::uint64_t>::max();
    }
    add(plan_.needed_bytes_, needed);
  }
  return {};
}

/// By position in each file. Writers lay tensors down in the order of the state dict, so files mostly are sorted
/// already, or are few sorted runs: DCP's order has the FQNs that rank 0 did not write at its end.
void PlanWriter::sort_items() {
  const auto before = [this](const Item& a, const Item& b) {
    if (a.byte_offset != b.byte_offset) return a.byte_offset < b.byte_offset;
    if (a.wanted != b.wanted) return a.wanted < b.wanted;
    const LoadPlan::Region& x = plan_.regions_[a.region];
    const LoadPlan::Region& y = plan_.regions_[b.region];
    return std::tie(x.box, x.chunk) < std::tie(y.box, y.chunk);
  };
  const auto items = plan_.items_.begin();
  std::ptrdiff_t begin = 0;
  for (std::size_t file = 0; file + 1 < file_at_.size(); ++file) {
    const std::ptrdiff_t end = file_at_[file];
    const auto first = items + std::exchange(begin, end);
    const auto last = items + end;
    auto sorted = std::is_sorted_until(first, last, before);
    for (int merges = 0; sorted != last && merges < kMostMerges; ++merges) {
      const auto run_end = std::is_sorted_until(sorted, last, before);
      std::inplace_merge(first, sorted, run_end, before);
      sorted = run_end;
    }
    if (sorted != last) std::sort(first, last, before);
  }
}

void PlanWriter::join_items(std::uint64_t max_gap) {
  const std::span<const Item> items = plan_.items_;
  std::uint32_t i = 0;
  for (std::uint32_t file = 0; file + 1 < file_at_.size(); ++file) {
    const std::uint32_t file_end = file_at_[file];
    while (i < file_end) {
      const std::uint32_t first = i;
      std::uint64_t end = items[i].byte_offset;
      std::uint64_t stored = 0;
      for (; i < file_end; ++i) {
        const Item& item = items[i];
        if (i != first && item.byte_offset > end && item.byte_offset - end > max_gap) break;
        const std::uint64_t item_end = item.byte_offset + item.length;
        if (item_end <= end) continue;
        stored += item_end - std::max(end, item.byte_offset);
        end = item_end;
      }
      const std::uint64_t length = end - items[first].byte_offset;
      plan_.reads_.push_back({items[first].byte_offset, length, file, first, i - first});
      add(plan_.stored_bytes_, stored);
      add(plan_.read_bytes_, length);
    }
  }
}

}  // namespace flatpoint
