// Checkpoint: an open file as Python's Mapping of FQNs.
#include <cstring>

#include "flatpoint/diff.hpp"
#include "flatpoint/records.hpp"
#include "flatpoint/verify.hpp"
#include "flatpoint/write_file.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

struct Checkpoint {
  Opened opened;  // null once closed

  [[nodiscard]] const Opened& get() const {
    if (!opened) throw nb::value_error("the checkpoint is closed");
    return opened;
  }
  [[nodiscard]] MetadataView view() const { return get()->file.view(); }
};

/// FQNs as a sequence: a range of the sorted order, or all of DCP's.
struct Fqns {
  Opened opened;
  EntryRange range;
  bool dcp_order;

  [[nodiscard]] Lookup<EntryView> entry(std::uint32_t i) const noexcept {
    const MetadataView view = opened->file.view();
    return dcp_order ? view.entry_in_dcp_order(range.begin + i) : view.entry(range.begin + i);
  }
};

Fqns all_fqns(const Checkpoint& checkpoint) { return {checkpoint.get(), {0, checkpoint.view().size()}, true}; }

nb::object iterate(const Checkpoint& checkpoint) {
  return checked(PySeqIter_New(nb::cast(all_fqns(checkpoint)).ptr()));
}

nb::object get_item(const Checkpoint& checkpoint, nb::handle fqn) {
  const auto entry = find_entry(checkpoint.view(), fqn);
  if (found(entry)) return make_entry(checkpoint.opened, *entry);
  PyErr_SetObject(PyExc_KeyError, fqn.ptr());
  throw nb::python_error();
}

nb::object get_or(const Checkpoint& checkpoint, nb::handle fqn, nb::handle otherwise) {
  const auto entry = find_entry(checkpoint.view(), fqn);
  return found(entry) ? make_entry(checkpoint.opened, *entry) : nb::borrow(otherwise);
}

bool contains(const Checkpoint& checkpoint, nb::handle fqn) {
  return PyUnicode_Check(fqn.ptr()) != 0 && found(find_entry(checkpoint.view(), fqn));
}

nb::object find_storage(const Checkpoint& checkpoint, nb::handle fqn, nb::handle offset) {
  const Text text(fqn);
  std::vector<std::int64_t> values;
  std::optional<std::span<const std::int64_t>> where;
  if (!offset.is_none()) where = values = to_values(offset);
  const auto storage = checkpoint.view().find_storage(text.view(), where);
  return found(storage) ? make_storage_info(*storage) : nb::none();
}

Fqns with_prefix(const Checkpoint& checkpoint, nb::handle prefix) {
  const auto range = checkpoint.view().prefix(Text(prefix).view());
  return {checkpoint.opened, found(range) ? *range : EntryRange{}, false};
}

nb::object verify_report(const Checkpoint& checkpoint, std::uint32_t max_messages) {
  const Opened opened = value_of(private_copy(checkpoint.get()));
  const VerifyReport report = [&] {
    const nb::gil_scoped_release release;
    return verify(opened->file, {max_messages});
  }();
  nb::list rules;
  for (const BrokenRule& broken : report.broken_rules) {
    rules.append(make_record(records().broken_rule, to_str(broken.rule), to_str(broken.message)));
  }
  return make_record(records().verify_report, report.sound(), nb::tuple(rules), make_findings(report.findings),
                     report.suppressed);
}

void write(const Checkpoint& checkpoint, nb::handle path, bool overwrite) {
  const Opened opened = checkpoint.get();
  const auto target = to_path(path);
  auto written = [&] {
    const nb::gil_scoped_release release;
    return write_file(target, opened->file.bytes(), overwrite ? IfExists::Replace : IfExists::Fail);
  }();
  if (!written && written.error().code == ErrorCode::Conflict) raise_exists(written.error().message);
  value_of(std::move(written));
}

/// Whether two checkpoints say the same; a closed one is equal to itself alone.
bool same_facts(const Checkpoint& a, const Checkpoint& b) {
  if (a.opened == b.opened) return true;
  if (!a.opened || !b.opened) return false;
  const nb::gil_scoped_release release;
  const auto left = a.opened->file.bytes();
  const auto right = b.opened->file.bytes();
  if (left.size() == right.size() && std::memcmp(left.data(), right.data(), left.size()) == 0) return true;
  const auto differences = diff(a.opened->file.view(), b.opened->file.view());
  return differences && differences->same();
}

nb::tuple files(const Checkpoint& checkpoint) {
  const MetadataView view = checkpoint.view();
  nb::list names;
  for (std::uint32_t i = 0; i < view.file_count(); ++i) names.append(to_str(value_of(view.file_name(i))));
  return nb::tuple(names);
}

nb::object data_folder(const Checkpoint& checkpoint) {
  const auto& folder = checkpoint.get()->place().folder;
  return folder.empty() ? nb::none() : checked(PyUnicode_DecodeFSDefault(folder.c_str()));
}

nb::object optional_text(const std::optional<std::string_view>& text) {
  return text ? nb::object(to_str(*text)) : nb::none();
}

nb::object storage_meta(const Checkpoint& checkpoint) {
  const auto view = checkpoint.view().storage_meta();
  if (!view) return nb::none();
  const StorageMeta meta = view->to_value();
  nb::object modules = nb::none();
  if (meta.modules) {
    nb::list names;
    for (const std::string& name : *meta.modules) names.append(to_str(name));
    modules = nb::tuple(names);
  }
  const PathType type = meta.checkpoint_id_type;
  const bool is_known = type != PathType::Absent && type <= PathType::PureWindowsPath;
  const nb::object type_name = is_known ? nb::object(to_str(to_string(type))) : nb::none();
  return make_record(records().storage_meta, optional_text(meta.checkpoint_id), type_name, optional_text(meta.save_id),
                     optional_text(meta.load_id), modules);
}

/// An int of a path, as the FQN spells it; raises flatpoint.Error for anything but a number.
nb::object position(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  constexpr std::size_t kMost = 4000;  // Python refuses to read longer ones
  if (digits.empty() || digits.size() > kMost || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    raise_corrupt();
  }
  return nb::int_(to_str(text));
}

nb::object planner_path_of(const Checkpoint& checkpoint, nb::handle fqn) {
  const auto entry = find_entry(checkpoint.view(), fqn);
  if (!found(entry)) return nb::none();
  auto path = planner_path(checkpoint.view(), *entry);
  if (!found(path)) return nb::none();
  PlannerPathView rest = *path;
  nb::list elements;
  for (auto element = rest.next(); found(element); element = rest.next()) {
    elements.append(element->is_index ? position(element->text) : nb::object(to_str(element->text)));
  }
  return nb::tuple(elements);
}

nb::tuple notices(const Checkpoint& checkpoint) {
  nb::list texts;
  for (const std::string& notice : checkpoint.get()->notices) texts.append(to_str(notice));
  return nb::tuple(texts);
}

void bind_fqns(nb::module_& m) {
  nb::class_<Fqns> type(m, "Fqns", nb::is_final(), "FQNs, read in place: a lazy sequence of str.");
  bind_sequence<Fqns>(
      type, [](const Fqns& f) { return f.range.size(); },
      [](const Fqns& f, std::uint32_t i) { return nb::object(to_str(value_of(f.entry(i)).fqn())); });
}

void bind_mapping(nb::class_<Checkpoint>& type) {
  type.def("__len__", [](const Checkpoint& c) { return c.view().size(); })
      .def("__iter__", &iterate)
      .def("__contains__", &contains)
      .def("__getitem__", &get_item)
      .def("get", &get_or, nb::arg("fqn"), nb::arg("default") = nb::none(), "checkpoint[fqn], or the default.")
      .def("__enter__", [](nb::handle self) { return self; })
      .def("__exit__", [](Checkpoint& c, nb::args) { c.opened.reset(); })
      .def(
          "close", [](Checkpoint& c) { c.opened.reset(); }, "Forget the file. What was taken from it stays readable.")
      .def_prop_ro("closed", [](const Checkpoint& c) { return c.opened == nullptr; });
}

void bind_queries(nb::class_<Checkpoint>& type) {
  type.def("find", &find_storage, nb::arg("fqn"), nb::arg("offset") = nb::none(),
           "storage_data[MetadataIndex(fqn, offset)]: a StorageInfo, or None where there is none.")
      .def("prefix", &with_prefix, nb::arg("prefix"), "FQNs that begin with a text, sorted: a lazy sequence.")
      .def("planner_path", &planner_path_of, nb::arg("fqn"), "planner_data[fqn], or None where there is none.")
      .def(
          "plan",
          [](const Checkpoint& c, nb::handle wanted, bool strict, std::uint64_t max_gap) {
            return make_plan(c.get(), wanted, {strict, max_gap});
          },
          nb::arg("wanted"), nb::kw_only(), nb::arg("strict") = true, nb::arg("max_gap") = 0,
          "Plan the reads of what is wanted: a mapping of FQN to boxes (offsets, sizes), None (all of it), or Wanted.")
      .def(
          "diff",
          [](const Checkpoint& a, const Checkpoint& b, nb::handle aspects) {
            return make_diff(a.get(), b.get(), aspects);
          },
          nb::arg("other"), nb::kw_only(), nb::arg("aspects") = nb::none(), "What another checkpoint says differently.")
      .def("_plan_mesh",
           [](const Checkpoint& c, nb::handle mesh, nb::handle placements, std::uint64_t max_gap) {
             return make_mesh_plan(c.get(), mesh, placements, {true, max_gap});
           })
      .def(
          "coverage", [](const Checkpoint& c, std::uint32_t most) { return coverage_report(c.get(), most); },
          nb::kw_only(), nb::arg("max_findings") = 10, "Whether the chunks of each tensor tile it: a CoverageReport.")
      .def("_entries_table", [](const Checkpoint& c) { return entries_table(c.get()); })
      .def("_chunks_table", [](const Checkpoint& c) { return chunks_table(c.get()); })
      .def("_edit", [](const Checkpoint& c, nb::handle name_of, bool drop) { return edited(c.get(), name_of, drop); })
      .def("_export", [](const Checkpoint& c, std::uint32_t major, std::uint32_t minor, nb::handle opaque,
                         bool dcp_classes) { return exported(c.get(), major, minor, opaque, dcp_classes); })
      .def("_record_as_source", [](const Checkpoint& c, nb::handle path) { return record_as_source(c.get(), path); })
      .def(
          "check_data",
          [](const Checkpoint& c, nb::handle depth, std::size_t most) { return data_report(c.get(), depth, most); },
          nb::arg("depth") = "files", nb::kw_only(), nb::arg("max_messages") = 100,
          "Whether the data files are there and whole: a DataReport. Depth: \"files\", \"items\" or \"bytes\".")
      .def(
          "find_data", [](const Checkpoint& c, bool checksums) { return with_data_begins(c.get(), checksums); },
          nb::kw_only(), nb::arg("checksums") = false,
          "A checkpoint in memory that says where the bytes of each chunk begin, for readers in other languages.")
      .def(
          "move_data", [](const Checkpoint& c, nb::handle folder) { return moved(c.get(), folder); }, nb::arg("folder"),
          "A checkpoint in memory whose data files lie below a folder.")
      .def("_share", [](const Checkpoint& c) { return Checkpoint{c.get()}; })
      .def("__eq__",
           [](const Checkpoint& a, nb::handle b) {
             return nb::isinstance<Checkpoint>(b) ? nb::object(nb::bool_(same_facts(a, nb::cast<const Checkpoint&>(b))))
                                                  : nb::borrow(Py_NotImplemented);
           })
      .def("__hash__", [](const Checkpoint& c) { return c.opened ? std::size_t{c.view().size()} + 1 : 0; })
      .def("verify", &verify_report, nb::kw_only(), nb::arg("max_messages") = 10,
           "Check every rule of the format on every row.")
      .def("write", &write, nb::arg("path"), nb::kw_only(), nb::arg("overwrite") = false,
           "Publish the metadata as a flatpoint file: synced, and renamed into place.");
}

void bind_facts(nb::class_<Checkpoint>& type) {
  type.def_prop_ro(
          "path", [](const Checkpoint& c) { return to_str(c.get()->path.native()); }, "The file that was read.")
      .def_prop_ro(
          "origin", [](const Checkpoint& c) { return to_str(to_string(c.get()->origin)); },
          "\"flatpoint\"; or what was imported in memory: \"pickle\" (a .metadata), \"safetensors\".")
      .def_prop_ro("notices", &notices, "For people: why a file beside it was passed over, ...")
      .def_prop_ro(
          "findings", [](const Checkpoint& c) { return make_findings(c.get()->findings); },
          "What is odd about what was imported.")
      .def_prop_ro(
          "rank",
          [](const Checkpoint& c) {
            const std::int32_t rank = c.view().columns().fragment_rank;
            return rank < 0 ? nb::none() : nb::object(nb::int_(rank));
          },
          "The rank that wrote this alone; None: it is a whole checkpoint's.")
      .def_prop_ro("files", &files, "relative_path of every data file.")
      .def_prop_ro("data_folder", &data_folder, "The folder of the data files; None where nobody said.")
      .def_prop_ro("_allow_outside", [](const Checkpoint& c) { return c.get()->place().allow_outside; })
      .def_prop_ro("storage_meta", &storage_meta, "StorageMeta, or None.")
      .def_prop_ro(
          "version", [](const Checkpoint& c) { return optional_text(c.view().version()); }, "DCP's version, or None.")
      .def_prop_ro(
          "opaque", [](const Checkpoint& c) { return opaque_records(c.view()); },
          "OpaqueRecord: what fits no column, as pickles that nothing here executes.")
      .def("_storage_items", [](const Checkpoint& c) { return storage_items(c.view()); })
      .def("_planner_fqns", [](const Checkpoint& c) { return planner_fqns(c.view()); })
      .def_prop_ro("_file_bytes", [](const Checkpoint& c) { return make_file_bytes(c.get()); })
      .def_prop_ro("_has_storage_data", [](const Checkpoint& c) { return c.view().columns().has_storage_data; })
      .def_prop_ro("_has_planner_data", [](const Checkpoint& c) { return c.view().columns().has_planner_data; })
      .def("_column", [](const Checkpoint& c, nb::str name) { return make_column(c.get(), Text(name).view()); })
      .def("__repr__", [](const Checkpoint& c) {
        if (!c.opened) return nb::object(nb::str("Checkpoint(closed)"));
        return nb::str("Checkpoint({!r}, {} FQNs)").attr("format")(to_str(c.opened->path.native()), c.view().size());
      });
}

}  // namespace

nb::object make_checkpoint(dcp::OpenedCheckpoint&& opened, DataPlace place) {
  return nb::cast(Checkpoint{std::make_shared<const OpenCheckpoint>(std::move(opened), std::move(place))});
}

DataPlace place_beside(const std::filesystem::path& metadata_path) {
  std::error_code error;  // the current folder may be gone; a relative path is good until it changes
  auto absolute = std::filesystem::absolute(metadata_path, error);
  return {(error ? metadata_path : absolute).parent_path(), false};
}

Result<Opened> private_copy(const Opened& opened) {
  if (opened->path.empty() || opened->origin != dcp::Origin::Flatpoint) return opened;
  const auto bytes = opened->file.bytes();
  Buffer copy(bytes.size());
  std::memcpy(copy.mutable_bytes().data(), bytes.data(), bytes.size());
  return MetadataFile::from_buffer(std::move(copy)).map([&](MetadataFile&& file) -> Opened {
    return std::make_shared<const OpenCheckpoint>(
        dcp::OpenedCheckpoint{std::move(file), opened->path, opened->origin, opened->notices, opened->findings},
        opened->place());
  });
}

Opened opened_of(nb::handle checkpoint) {
  const Checkpoint* open = nullptr;
  if (!nb::try_cast(checkpoint, open) || open == nullptr) throw nb::type_error("expected a Checkpoint");
  return open->get();
}

void bind_checkpoint(nb::module_& m) {
  bind_fqns(m);
  nb::class_<Checkpoint> type(
      m, "Checkpoint", nb::is_final(), nb::is_weak_referenceable(),
      "An open checkpoint: a read-only Mapping of FQN to Tensor, Bytes or Opaque, in DCP's order.");
  bind_mapping(type);
  bind_queries(type);
  bind_facts(type);
}

}  // namespace flatpoint::python
