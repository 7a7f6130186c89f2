// Load plans: what is wanted as Python says it, and the plan as a sequence of read items.
#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

struct Plan {
  Opened opened;
  LoadPlan plan;
};

/// The plans of a mesh's ranks. Each is made when it is asked for; the planner serves one thread at a time.
struct MeshPlan {
  Opened opened;
  std::shared_ptr<MeshPlanner> planner;
  std::shared_ptr<std::mutex> busy = std::make_shared<std::mutex>();
};

/// One item of the mapping, with the memory that a Wanted borrows.
struct WantedItem {
  Text fqn;
  StorageType type = StorageType::Tensor;
  std::vector<std::int64_t> size{};
  std::vector<std::int64_t> boxes{};
  std::uint32_t box_count = 0;
  std::optional<ScalarType> dtype{};

  [[nodiscard]] Wanted to_wanted() const { return {fqn.view(), type, size, box_count, boxes, dtype}; }
};

void append_box(WantedItem& item, nb::handle box) {
  if (nb::len(box) != 2) throw nb::value_error("a box is a pair: offsets, sizes");
  for (int part = 0; part < 2; ++part) {
    const auto values = to_values(nb::object(box[part]));
    if (values.size() != item.size.size())
      throw nb::value_error("a box needs one offset and one size for each dimension");
    item.boxes.insert(item.boxes.end(), values.begin(), values.end());
  }
  ++item.box_count;
}

void append_whole(WantedItem& item) {
  item.boxes.resize(item.size.size());
  item.boxes.insert(item.boxes.end(), item.size.begin(), item.size.end());
  item.box_count = 1;
}

/// `what`: boxes, None for all of it, or a Wanted, which says more. What it leaves open is as the checkpoint has it.
WantedItem to_item(const MetadataView& metadata, nb::handle fqn, nb::handle what) {
  WantedItem item{Text(fqn)};
  nb::object boxes = nb::borrow(what);
  nb::object size = nb::none();
  const auto saved = find_entry(metadata, fqn);
  if (found(saved)) item.type = saved->type();
  if (nb::isinstance(what, records().wanted)) {
    boxes = what.attr("boxes");
    size = what.attr("size");
    if (const nb::object dtype = what.attr("dtype"); !dtype.is_none()) {
      item.dtype = scalar_type_from_name(Text(dtype).view());
      if (!item.dtype) {
        throw nb::value_error(
            "Wanted.dtype is no dtype that is known; expected torch's name without \"torch.\": float32");
      }
    }
    if (const nb::object kind = what.attr("kind"); !kind.is_none()) {
      constexpr std::array<std::string_view, 2> kKinds{"tensor", "bytes"};
      if (std::ranges::find(kKinds, Text(kind).view()) == kKinds.end()) {
        raise_unknown("kind", Text(kind).view(), kKinds);
      }
      item.type = Text(kind).view() == "bytes" ? StorageType::Bytes : StorageType::Tensor;
    }
  }
  if (item.type != StorageType::Tensor) return item;
  if (!size.is_none()) {
    item.size = to_values(size);
  } else if (found(saved) && saved->type() == StorageType::Tensor) {
    const auto saved_size = value_of(saved->tensor()).size();
    item.size.assign(saved_size.begin(), saved_size.end());
  }
  if (boxes.is_none()) {
    append_whole(item);
  } else if (found(saved) || !size.is_none()) {  // else of no known size, and missing whatever the boxes are
    for (nb::handle box : boxes) append_box(item, box);
  }
  return item;
}

nb::object to_tuple_or_none(const std::optional<Size>& values) {
  return values ? nb::object(to_tuple(*values)) : nb::none();
}

nb::object make_read_item(const Plan& plan, std::uint32_t i) {
  const ReadItemView view = plan.plan.item(i);
  const ReadItem item = view.to_value();
  const auto path = value_of(plan.opened->file.view().file_name(view.file()));
  return make_record(records().read_item, to_str(view.fqn()), item.type == LoadItemType::Bytes ? "bytes" : "tensor",
                     view.box(), to_tuple_or_none(item.dest_index.offset), to_tuple(item.dest_offsets),
                     to_tuple_or_none(item.storage_index.offset), to_tuple(item.storage_offsets),
                     to_tuple(item.lengths), to_str(path), view.byte_offset(), view.length());
}

nb::tuple issues_of(const Plan& plan) { return make_issues(plan.plan.issues()); }

/// Per item the exact bytes of its file that hold its elements: (relative_path, offset, length).
nb::tuple ranges_of(const Plan& plan) {
  const auto ranges = value_of([&]() -> Result<std::vector<std::vector<data::ByteRange>>> {
    const nb::gil_scoped_release release;
    const auto reader = plan.opened->reader();
    if (!reader) return tl::unexpected(reader.error());
    return (*reader)->ranges(plan.plan);
  }());
  nb::list items;
  for (const auto& item : ranges) {
    nb::list parts;
    for (const data::ByteRange& range : item) {
      const auto path = value_of(plan.opened->file.view().file_name(range.file));
      parts.append(nb::make_tuple(to_str(path), range.offset, range.length));
    }
    items.append(nb::tuple(parts));
  }
  return nb::tuple(items);
}

nb::tuple reads_of(const Plan& plan) {
  nb::list reads;
  for (const FileRead& read : plan.plan.reads()) {
    const auto path = value_of(plan.opened->file.view().file_name(read.file));
    reads.append(make_record(records().file_read, to_str(path), read.byte_offset, read.length, read.item_begin,
                             read.item_count));
  }
  return nb::tuple(reads);
}

nb::tuple unexpected_of(const Plan& plan) {
  nb::list fqns;
  for (const std::uint32_t at : plan.plan.unexpected()) {
    fqns.append(to_str(value_of(plan.opened->file.view().entry(at)).fqn()));
  }
  return nb::tuple(fqns);
}

nb::object plan_of_rank(const MeshPlan& mesh, std::uint32_t rank) {
  auto plan = [&] {
    const nb::gil_scoped_release release;
    const std::lock_guard lock(*mesh.busy);
    return mesh.planner->plan(rank);
  }();
  return nb::cast(Plan{mesh.opened, value_of(std::move(plan))});
}

nb::object make_rank_load(const RankLoad& load) {
  return make_record(records().rank_load, load.items, load.files, load.needed_bytes, load.stored_bytes);
}

nb::object make_balance(const MeshPlan& mesh) {
  const LoadBalance balance = value_of([&] {
    const nb::gil_scoped_release release;
    const std::lock_guard lock(*mesh.busy);
    return mesh.planner->balance();
  }());
  nb::list ranks;
  for (const RankLoad& load : balance.ranks) ranks.append(make_rank_load(load));
  nb::list files;
  for (std::uint32_t i = 0; i < balance.files.size(); ++i) {
    const auto path = value_of(mesh.opened->file.view().file_name(i));
    files.append(make_record(records().file_load, to_str(path), balance.files[i].bytes, balance.files[i].ranks));
  }
  return make_record(records().load_balance, nb::tuple(ranks), nb::tuple(files), make_rank_load(balance.total),
                     balance.most_loaded_rank, balance.read_amplification(), balance.chunks_unstored,
                     make_issues(balance.issues), balance.loadable());
}

std::vector<Placement> to_placements(nb::handle placements) {
  if (PyUnicode_Check(placements.ptr()) != 0) return value_of(parse_placements(Text(placements).view()));
  std::vector<Placement> all;
  for (nb::handle each : placements) {  // as torch prints them: Shard(dim=0)
    const nb::object text = nb::str(each);
    for (Placement& placement : value_of(parse_placements(Text(text).view()))) all.push_back(placement);
  }
  return all;
}

/// Asks a function of Python's for the placements of each FQN once. What it raises is kept until the library returned.
class PlacementsOfPython {
 public:
  explicit PlacementsOfPython(nb::handle function) : function_(function) {}

  std::optional<std::span<const Placement>> operator()(std::string_view fqn) {
    const auto [at, is_new] = known_.try_emplace(std::string(fqn));
    if (is_new && !error_) at->second = ask(fqn);
    if (!at->second) return std::nullopt;
    return *at->second;
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::optional<std::vector<Placement>> ask(std::string_view fqn) {
    try {
      const nb::object placements = function_(to_str(fqn));
      if (placements.is_none()) return std::nullopt;
      return to_placements(placements);
    } catch (...) {
      error_ = std::current_exception();
      return std::nullopt;
    }
  }

  nb::handle function_;
  std::unordered_map<std::string, std::optional<std::vector<Placement>>> known_;
  std::exception_ptr error_;
};

}  // namespace

nb::tuple make_issues(std::span<const LoadIssue> issues) {
  nb::list made;
  for (const LoadIssue& issue : issues) {
    made.append(make_record(records().load_issue, to_str(to_string(issue.kind)), issue.fatal, to_str(issue.fqn),
                            to_str(issue.message)));
  }
  return nb::tuple(made);
}

nb::object make_mesh_plan(const Opened& opened, nb::handle mesh, nb::handle placements, const LoadOptions& options) {
  const auto shape = to_values(mesh);
  if (PyCallable_Check(placements.ptr()) != 0) {
    PlacementsOfPython placements_of(placements);
    auto planner = MeshPlanner::create(
        opened->file.view(), shape, [&](std::string_view fqn) { return placements_of(fqn); }, options);
    placements_of.rethrow();
    return nb::cast(MeshPlan{opened, std::make_shared<MeshPlanner>(value_of(std::move(planner)))});
  }
  const auto parsed = to_placements(placements);
  auto planner = [&] {
    const nb::gil_scoped_release release;
    return MeshPlanner::create(opened->file.view(), shape, parsed, options);
  }();
  return nb::cast(MeshPlan{opened, std::make_shared<MeshPlanner>(value_of(std::move(planner)))});
}

nb::object make_plan(const Opened& opened, nb::handle wanted, const LoadOptions& options) {
  const MetadataView metadata = opened->file.view();
  std::vector<WantedItem> items;
  const nb::object pairs = wanted.attr("items")();
  std::vector<nb::object> kept;  // what Text borrows from
  for (nb::handle pair : pairs) {
    kept.push_back(nb::borrow(pair));
    items.push_back(to_item(metadata, nb::object(pair[0]), nb::object(pair[1])));
  }
  std::vector<Wanted> borrowed;
  for (const WantedItem& item : items) borrowed.push_back(item.to_wanted());
  auto plan = [&] {
    const nb::gil_scoped_release release;
    return plan_load(metadata, borrowed, options);
  }();
  return nb::cast(Plan{opened, value_of(std::move(plan))});
}

void bind_plan(nb::module_& m) {
  nb::class_<MeshPlan> mesh(m, "MeshPlan", nb::is_final(), "The plans of a mesh's ranks: a lazy sequence of LoadPlan.");
  bind_sequence<MeshPlan>(
      mesh, [](const MeshPlan& p) { return p.planner->rank_count(); }, &plan_of_rank);
  mesh.def("balance", &make_balance, "How the load spreads over ranks and files: a LoadBalance.")
      .def("__repr__",
           [](const MeshPlan& p) { return nb::str("MeshPlan({} ranks)").attr("format")(p.planner->rank_count()); });
  nb::class_<Plan> type(m, "LoadPlan", nb::is_final(), "What one rank reads: a sequence of ReadItem, grouped by file.");
  bind_sequence<Plan>(
      type, [](const Plan& p) { return p.plan.size(); }, &make_read_item);
  type.def("ranges", &ranges_of,
           "Per item the exact bytes that hold its elements: (relative_path, offset, length). Reads the ends of items.")
      .def_prop_ro("reads", &reads_of, "FileRead: the ranges of files that serve the items, by file, then offset.")
      .def_prop_ro("issues", &issues_of, "LoadIssue: everything that does not fit, in the order of what was wanted.")
      .def_prop_ro("unexpected", &unexpected_of, "FQNs of the checkpoint that were not wanted, sorted.")
      .def_prop_ro(
          "loadable", [](const Plan& p) { return p.plan.loadable(); }, "Whether no issue is fatal.")
      .def_prop_ro(
          "needed_bytes", [](const Plan& p) { return p.plan.needed_bytes(); }, "Bytes of the wanted elements.")
      .def_prop_ro(
          "stored_bytes", [](const Plan& p) { return p.plan.stored_bytes(); },
          "Bytes of the stored chunks that hold them, each counted once.")
      .def_prop_ro(
          "read_bytes", [](const Plan& p) { return p.plan.read_bytes(); }, "Bytes of all reads.")
      .def("__repr__", [](const Plan& p) {
        return nb::str("LoadPlan({} items in {} reads of {} files, {} issues)")
            .attr("format")(p.plan.size(), p.plan.reads().size(), p.plan.file_count(), p.plan.issues().size());
      });
}

}  // namespace flatpoint::python
