#include "flatpoint/load_plan.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/failing.hpp"
#include "base/format.hpp"
#include "base/xxh3.hpp"
#include "columns/boxes.hpp"
#include "columns/seed.hpp"
#include "plan/entry_finder.hpp"
#include "plan/id_table.hpp"
#include "plan/plan_writer.hpp"

namespace flatpoint {
namespace {

using plan::Geometry;
using plan::Pattern;
using plan::Target;

/// From so many comparisons of a box with a chunk an index pays.
constexpr std::uint64_t kWorthAnIndex = 4096;

/// Resolves what is wanted against the checkpoint, FQN by FQN.
class Resolver {
 public:
  Resolver(const MetadataView& metadata, const LoadOptions& options, LoadPlan& plan)
      : metadata_(metadata), options_(options), finder_(metadata), writer_(metadata, plan) {}

  Result<void> run(std::span<const Wanted> wanted) {
    seen_.assign(metadata_.size(), false);
    entries_.assign(wanted.size(), 0);
    targets_.reserve(wanted.size());
    for (std::uint32_t i = 0; i < wanted.size(); ++i) {
      RETURN_IF_ERROR(resolve(i, wanted[i]));
    }
    // DCP's writers lay bytes before tensors.
    std::ranges::stable_partition(targets_, [](const Target& target) { return target.pattern == plan::kBytesPattern; });
    find_unexpected();
    writer_.set_entries(std::move(entries_));
    return writer_.write(targets_, options_);
  }

 private:
  Result<void> resolve(std::uint32_t i, const Wanted& wanted) {
    if (wanted.boxes.size() != 2 * wanted.size.size() * wanted.box_count) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("FQN '{}': {} values for {} boxes of {} dimensions", wanted.fqn, wanted.boxes.size(),
                              wanted.box_count, wanted.size.size()));
    }
    const auto entry = finder_.find(wanted.fqn);
    if (entry.corrupt())
      return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': its entry lies outside its columns", wanted.fqn));
    if (entry.absent()) {
      writer_.add_issue(LoadIssueKind::Missing, options_.strict, wanted.fqn,
                        fmt::format("FQN '{}' is not in the checkpoint", wanted.fqn));
      return {};
    }
    if (seen_[entry->position()]) {
      writer_.add_issue(LoadIssueKind::Repeated, true, wanted.fqn, fmt::format("FQN '{}' is wanted twice", wanted.fqn));
      return {};
    }
    seen_[entry->position()] = true;
    entries_[i] = entry->position();
    // No two entries of a sound file share rows; those of a hostile one could multiply.
    rows_ += entry->row().chunk_count;
    if (rows_ > metadata_.columns().chunk_rows()) {
      return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': its rows belong to other FQNs as well", wanted.fqn));
    }
    switch (entry->type()) {
      case StorageType::Tensor: return resolve_tensor(i, wanted, *entry);
      case StorageType::Bytes: return resolve_bytes(i, wanted, *entry);
      default:
        mismatch(LoadIssueKind::TypeMismatch, true, wanted, "the checkpoint holds an object of a foreign class");
        return {};
    }
  }

  Result<void> resolve_bytes(std::uint32_t i, const Wanted& wanted, const EntryView& entry) {
    if (wanted.type != StorageType::Bytes) {
      mismatch(LoadIssueKind::TypeMismatch, false, wanted, "a tensor is wanted, the checkpoint holds bytes");
      if (wanted.box_count == 0) return {};
    }
    const EntryRow& row = entry.row();
    if (row.chunk_count == 0) {
      mismatch(LoadIssueKind::NoStorage, true, wanted, "its bytes have no storage information");
      return {};
    }
    targets_.push_back({i, row.chunk_begin, row.length_begin, plan::kBytesPattern, 0, false});
    return {};
  }

  Result<void> resolve_tensor(std::uint32_t i, const Wanted& wanted, const EntryView& entry) {
    const auto tensor = entry.tensor();
    if (!tensor)
      return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': its size or boxes lie outside their columns", wanted.fqn));
    if (wanted.type != StorageType::Tensor) {
      mismatch(LoadIssueKind::TypeMismatch, true, wanted, "bytes are wanted, the checkpoint holds a tensor");
      return {};
    }
    if (!std::ranges::equal(wanted.size, tensor->size())) {
      mismatch(LoadIssueKind::SizeMismatch, true, wanted,
               fmt::format("size {} is wanted, the checkpoint holds {}", columns::to_string(wanted.size),
                           columns::to_string(tensor->size())));
      return {};
    }
    if (wanted.dtype && *wanted.dtype != tensor->dtype()) {
      mismatch(LoadIssueKind::DtypeMismatch, false, wanted,
               fmt::format("{} is wanted, the checkpoint holds {}", name_of(*wanted.dtype), tensor->dtype_name()));
    }
    if (wanted.box_count == 0) return {};
    const std::uint32_t pattern = pattern_of(wanted, *tensor);
    if (auto fits = report_pattern(wanted, writer_.pattern(pattern)); !fits || !*fits) return fits.map([](bool) {});
    const EntryRow& row = tensor->row();
    targets_.push_back(
        {i, row.chunk_begin, row.length_begin, pattern, plan::item_size_of(*tensor), row.lengths_differ != 0});
    return {};
  }

  /// Computed for the first tensor of its shape, chunks and wanted boxes.
  std::uint32_t pattern_of(const Wanted& wanted, const TensorView& tensor) {
    const Geometry geometry = Geometry::of(tensor);
    const std::uint64_t hash =
        XXH3_64bits_withSeed(wanted.boxes.data(), wanted.boxes.size_bytes(), geometry.hash(seed_) + wanted.box_count);
    const auto equals = [&](std::uint32_t id) {
      const Known& known = known_[id];
      return known.geometry == geometry && known.wanted->box_count == wanted.box_count &&
             std::ranges::equal(known.wanted->boxes, wanted.boxes);
    };
    const std::uint32_t id = patterns_.find_or_add(hash, equals);
    if (id == known_.size()) {
      OverlapIndex index;
      if (wanted.box_count > 1 && std::uint64_t{wanted.box_count} * tensor.chunk_count() > kWorthAnIndex)
        index = OverlapIndex(tensor);
      known_.push_back({geometry, &wanted, writer_.add_pattern(tensor, wanted.box_count, wanted.boxes, &index)});
    }
    return known_[id].pattern;
  }

  /// False where the boxes do not fit the tensor.
  Result<bool> report_pattern(const Wanted& wanted, const Pattern& pattern) {
    const std::size_t ndim = wanted.size.size();
    const auto box = [&] {
      const auto values = wanted.boxes.subspan(2 * ndim * pattern.fault_box, 2 * ndim);
      return fmt::format("box {} at {} with sizes {}", pattern.fault_box, columns::to_string(values.first(ndim)),
                         columns::to_string(values.last(ndim)));
    };
    switch (pattern.fault) {
      case Pattern::Fault::None: break;
      case Pattern::Fault::Outside:
        mismatch(LoadIssueKind::BoxOutside, true, wanted,
                 fmt::format("{} reaches outside size {}", box(), columns::to_string(wanted.size)));
        return false;
      case Pattern::Fault::Overflow:
        mismatch(LoadIssueKind::BoxOutside, true, wanted, fmt::format("the elements of {} leave 64 bits", box()));
        return false;
      case Pattern::Fault::Corrupt:
        return fail(ErrorCode::Corrupt,
                    fmt::format("FQN '{}': the checkpoint states chunks of negative size", wanted.fqn));
    }
    if (pattern.found_elements < pattern.wanted_elements) {
      mismatch(LoadIssueKind::Uncovered, false, wanted,
               fmt::format("saved chunks hold {} of the {} elements wanted", pattern.found_elements,
                           pattern.wanted_elements));
    }
    return true;
  }

  void mismatch(LoadIssueKind kind, bool fatal, const Wanted& wanted, std::string_view what) {
    writer_.add_issue(kind, fatal, wanted.fqn, fmt::format("FQN '{}': {}", wanted.fqn, what));
  }

  void find_unexpected() {
    std::vector<std::uint32_t> unexpected;
    for (std::uint32_t position = 0; position < seen_.size(); ++position) {
      if (!seen_[position]) unexpected.push_back(position);
    }
    writer_.set_unexpected(std::move(unexpected));
  }

  struct Known {
    Geometry geometry;
    const Wanted* wanted;  // the first with these boxes
    std::uint32_t pattern;
  };

  MetadataView metadata_;
  LoadOptions options_;
  plan::EntryFinder finder_;
  PlanWriter writer_;
  std::uint64_t seed_ = columns::next_seed();
  plan::IdTable patterns_;
  std::vector<Known> known_;
  std::vector<bool> seen_;  // per entry
  std::vector<std::uint32_t> entries_;
  std::vector<Target> targets_;
  std::uint64_t rows_ = 0;
};

}  // namespace

Result<LoadPlan> plan_load(const MetadataView& metadata, std::span<const Wanted> wanted, const LoadOptions& options) {
  LoadPlan plan;
  RETURN_IF_ERROR(Resolver(metadata, options, plan).run(wanted));
  return plan;
}

std::string_view to_string(LoadIssueKind kind) noexcept {
  switch (kind) {
    case LoadIssueKind::Missing: return "missing";
    case LoadIssueKind::Repeated: return "repeated";
    case LoadIssueKind::SizeMismatch: return "size_mismatch";
    case LoadIssueKind::TypeMismatch: return "type_mismatch";
    case LoadIssueKind::DtypeMismatch: return "dtype_mismatch";
    case LoadIssueKind::BoxOutside: return "box_outside";
    case LoadIssueKind::Uncovered: return "uncovered";
    case LoadIssueKind::NoStorage: return "no_storage";
  }
  return "unknown";
}

std::string to_string(const LoadIssue& issue) {
  return std::string(issue.fatal ? "error " : "note ").append(to_string(issue.kind)).append(": ").append(issue.message);
}

LoadItemType ReadItemView::type() const noexcept {
  return item().region == 0 ? LoadItemType::Bytes : LoadItemType::Tensor;
}

std::uint32_t ReadItemView::file() const noexcept {
  const auto behind = std::ranges::upper_bound(plan_->reads_, i_, {}, &FileRead::item_begin);
  return std::prev(behind)->file;
}

Lookup<EntryView> ReadItemView::entry() const noexcept {
  return plan_->metadata_.entry(plan_->entries_.empty() ? wanted() : plan_->entries_[wanted()]);
}

std::string_view ReadItemView::fqn() const noexcept {
  const auto found = entry();
  return found ? found->fqn() : std::string_view();
}

/// A third of the values between this region and the next.
std::span<const std::int64_t> ReadItemView::values(std::size_t which) const noexcept {
  const std::size_t next = std::size_t{item().region} + 1;
  const std::uint64_t end = next < plan_->regions_.size() ? plan_->regions_[next].values : plan_->region_values_.size();
  const std::uint64_t ndim = (end - region().values) / 3;
  return std::span(plan_->region_values_).subspan(region().values + which * ndim, ndim);
}

ReadItem ReadItemView::to_value() const {
  const auto copy = [](std::span<const std::int64_t> values) { return Size(values.begin(), values.end()); };
  ReadItem value{type(),
                 {std::string(fqn()), {}, {}},
                 copy(dest_offsets()),
                 {std::string(fqn()), {}, {}},
                 copy(storage_offsets()),
                 copy(lengths())};
  const auto found = entry();
  const auto tensor = found ? found->tensor() : Lookup<TensorView>(LookupStatus::Corrupt);
  if (!tensor) return value;
  const auto saved = tensor->chunk_by_row(chunk());
  if (!saved) return value;
  Size& from = value.storage_index.offset.emplace();
  Size& to = value.dest_index.offset.emplace();
  for (unsigned d = 0; d < tensor->ndim(); ++d) {
    from.push_back(saved->offset(static_cast<std::uint8_t>(d)));
    to.push_back(base::wrapping_subtract(from.back(), value.dest_offsets[d] - value.storage_offsets[d]));
  }
  value.dest_index.index = box();
  return value;
}

}  // namespace flatpoint
