// What ranks wrote alone, joined.
#include "flatpoint/merge.hpp"

#include "opened.hpp"

namespace flatpoint::python {
namespace {

nb::list open_folder(nb::handle folder, nb::handle limits) {
  const auto path = to_path(folder);
  dcp::OpenOptions options;
  options.mode = OpenMode::Copy;  // they are merged
  if (!limits.is_none()) set_limits(options.import.limits, limits);
  auto opened = value_of([&] {
    const nb::gil_scoped_release release;
    return dcp::open_fragments(path, options);
  }());
  nb::list checkpoints;
  for (dcp::OpenedCheckpoint& fragment : opened) {
    DataPlace place = place_beside(fragment.path);
    checkpoints.append(make_checkpoint(std::move(fragment), std::move(place)));
  }
  return checkpoints;
}

Result<dcp::OpenedCheckpoint> merge_all(std::vector<Opened> opened, const MergeOptions& options) {
  std::vector<Fragment> fragments;
  for (Opened& each : opened) {
    auto copy = private_copy(each);
    if (!copy) return tl::unexpected(std::move(copy.error()));
    each = std::move(*copy);
    const Columns& columns = each->file.view().columns();
    if (columns.fragment_rank < 0) {
      return tl::unexpected(Error{ErrorCode::InvalidArgument,
                                  each->path.string() + ": is no fragment: it does not say which rank wrote it"});
    }
    const auto rank = static_cast<std::uint32_t>(columns.fragment_rank);
    fragments.push_back({&columns, rank, each->path.empty() ? "rank " + std::to_string(rank) : each->path.string()});
  }
  auto merged = merge(fragments, options);
  if (!merged) return tl::unexpected(std::move(merged.error()));
  return MetadataFile::from_buffer(std::move(merged->bytes)).map([&](MetadataFile&& file) {
    return dcp::OpenedCheckpoint{std::move(file), {}, dcp::Origin::Flatpoint, {}, std::move(merged->findings)};
  });
}

/// That of all, or none.
DataPlace common_place(const std::vector<Opened>& opened) {
  DataPlace place;
  for (const Opened& each : opened) {
    const DataPlace& other = each->place();
    if (&each == &opened.front()) place = other;
    if (other.folder != place.folder) return {};
    place.allow_outside = place.allow_outside && other.allow_outside;
  }
  return place;
}

nb::object merge_checkpoints(nb::handle checkpoints, bool partial) {
  std::vector<Opened> opened;
  for (const nb::handle checkpoint : checkpoints) opened.push_back(opened_of(checkpoint));
  auto merged = [&] {
    const nb::gil_scoped_release release;
    return merge_all(opened, {.complete = !partial});
  }();
  return make_checkpoint(value_of(std::move(merged)), common_place(opened));
}

}  // namespace

void bind_merge(nb::module_& m) {
  m.def("open_fragments", &open_folder, nb::arg("folder"), nb::kw_only(), nb::arg("limits") = nb::none(),
        "What ranks wrote alone into a folder, by name.");
  m.def("merge", &merge_checkpoints, nb::arg("fragments"), nb::kw_only(), nb::arg("partial"),
        "The whole that fragments are, in memory; its findings are what is odd about it.");
}

}  // namespace flatpoint::python
