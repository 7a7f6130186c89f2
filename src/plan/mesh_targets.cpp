#include "plan/mesh_targets.hpp"

#include <algorithm>
#include <cstring>

#include "base/failing.hpp"
#include "base/format.hpp"
#include "columns/boxes.hpp"

namespace flatpoint::plan {
namespace {

/// An index costs as much as some dozens of queries without.
constexpr std::uint32_t kQueriesWorthAnIndex = 32;
constexpr std::uint32_t kChunksWorthAnIndex = 64;

/// A tensor of fewer dimensions is replicated where others are sharded.
std::vector<Placement> placements_for(std::span<const Placement> placements, std::int64_t ndim) {
  std::vector<Placement> fitting;
  for (const Placement& placement : placements) {
    const auto fits = [ndim](const auto& p) {
      if constexpr (requires { p.dim; }) return p.dim >= -ndim && p.dim < ndim;
      return true;
    };
    fitting.push_back(std::visit(fits, placement) ? placement : Placement(Replicate{}));
  }
  return fitting;
}

}  // namespace

const OverlapIndex* TensorClass::index_for_query() {
  if (geometry.layout != ChunkLayout::Explicit || geometry.chunk_count < kChunksWorthAnIndex) return nullptr;
  if (++queries == kQueriesWorthAnIndex) index = OverlapIndex(tensor);
  return &index;
}

Result<void> TensorClass::local_box(std::span<const std::int64_t> mesh_shape, std::uint32_t rank, Size& box) const {
  const std::size_t dimensions = geometry.ndim;
  box.resize(2 * dimensions);
  if (sharding) {
    sharding->local_box(rank, std::span(box).first(dimensions), std::span(box).last(dimensions));
    return {};
  }
  auto made = flatpoint::local_box(tensor.size(), mesh_shape, placements, rank);
  RETURN_IF_ERROR(made);
  std::ranges::copy(made->offsets, box.begin());
  std::ranges::copy(made->sizes, box.begin() + static_cast<std::ptrdiff_t>(dimensions));
  return {};
}

Result<MeshTargets> MeshTargets::create(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape,
                                        const PlacementsOf& placements_of) {
  MeshTargets made;
  made.targets.reserve(metadata.size());
  std::uint64_t rows = 0;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const auto entry = metadata.entry_in_dcp_order(i);
    if (!entry) return fail(ErrorCode::Corrupt, fmt::format("entry {} in DCP's order lies outside its columns", i));
    // No two entries of a sound file share rows; those of a hostile one could multiply.
    rows += entry->row().chunk_count;
    if (rows > metadata.columns().chunk_rows()) {
      return fail(ErrorCode::Corrupt, fmt::format("FQN '{}': its rows belong to other FQNs as well", entry->fqn()));
    }
    const auto placements = placements_of(entry->fqn());
    if (!placements) continue;
    if (placements->size() != mesh_shape.size()) {
      return fail(ErrorCode::InvalidArgument, fmt::format("FQN '{}': {} placements for a mesh of {} dimensions",
                                                          entry->fqn(), placements->size(), mesh_shape.size()));
    }
    RETURN_IF_ERROR(made.add(*entry, mesh_shape, *placements));
  }
  std::ranges::stable_partition(made.targets, [](const Target& target) { return target.pattern == kBytesPattern; });
  return made;
}

Result<void> MeshTargets::add(const EntryView& entry, std::span<const std::int64_t> mesh_shape,
                              std::span<const Placement> placements) {
  const auto issue = [&](LoadIssueKind kind, std::string_view what) {
    issues.push_back({kind, true, std::string(entry.fqn()), fmt::format("FQN '{}': {}", entry.fqn(), what)});
  };
  const EntryRow& row = entry.row();
  switch (entry.type()) {
    case StorageType::Tensor: {
      const auto tensor = entry.tensor();
      if (tensor) return add_tensor(*tensor, mesh_shape, placements);
      return fail(ErrorCode::Corrupt,
                  fmt::format("FQN '{}': its size or boxes lie outside their columns", entry.fqn()));
    }
    case StorageType::Bytes:
      if (row.chunk_count == 0) {
        issue(LoadIssueKind::NoStorage, "its bytes have no storage information");
      } else {
        targets.push_back({entry.position(), row.chunk_begin, row.length_begin, kBytesPattern, 0, false});
      }
      return {};
    default: issue(LoadIssueKind::TypeMismatch, "the checkpoint holds an object of a foreign class"); return {};
  }
}

Result<void> MeshTargets::add_tensor(const TensorView& tensor, std::span<const std::int64_t> mesh_shape,
                                     std::span<const Placement> placements) {
  const Geometry geometry = Geometry::of(tensor);
  auto fitting = placements_for(placements, tensor.ndim());
  const std::uint32_t id = ids_.find_or_add(geometry.hash(seed_), [&](std::uint32_t i) {
    return classes[i].geometry == geometry && classes[i].placements == fitting;
  });
  if (id == classes.size()) {
    classes.push_back({.geometry = geometry, .tensor = tensor, .placements = std::move(fitting)});
    if (auto box = local_box(tensor.size(), mesh_shape, classes.back().placements, 0); !box) {
      return fail(box.error().code, fmt::format("FQN '{}' of size {}: {}", tensor.fqn(),
                                                columns::to_string(tensor.size()), box.error().message));
    }
  }
  const EntryRow& row = tensor.row();
  ++classes[id].members;
  targets.push_back(
      {tensor.position(), row.chunk_begin, row.length_begin, id + 1, item_size_of(tensor), row.lengths_differ != 0});
  return {};
}

void MeshTargets::prepare_for_all_ranks(const MetadataView& metadata, std::span<const std::int64_t> mesh_shape) {
  find_shared_files(metadata);
  for (TensorClass& tensors : classes) {
    auto sharding = Sharding::create(tensors.tensor.size(), mesh_shape, tensors.placements);
    if (sharding) tensors.sharding = std::move(*sharding);  // otherwise local_box tells, rank by rank
  }
}

void MeshTargets::find_shared_files(const MetadataView& metadata) {
  const auto chunk_files = metadata.columns().chunk_files;
  for (const Target& target : targets) {
    if (target.pattern == kBytesPattern) continue;
    TensorClass& tensors = classes[target.pattern - 1];
    const auto own = chunk_files.subspan(target.chunk_begin, tensors.geometry.chunk_count);
    if (tensors.files.empty()) {
      tensors.files.assign(own.begin(), own.end());
      tensors.shares_files =
          std::ranges::all_of(tensors.files, [&](auto file) { return file < metadata.file_count(); });
    } else if (tensors.shares_files) {
      tensors.shares_files = std::memcmp(tensors.files.data(), own.data(), own.size_bytes()) == 0;
    }
  }
}

}  // namespace flatpoint::plan
