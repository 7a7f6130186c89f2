// flatpoint._core: the C++ library for Python. The package around it is in ../flatpoint.
#include <algorithm>
#include <cstring>
#include <string>

#include "dump.hpp"
#include "flatpoint/source.hpp"
#include "flatpoint/write_file.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

Records types;                 // of flatpoint._records, which lives as long as the interpreter
nb::handle make_error_object;  // flatpoint._errors.make_error

/// `folder` is None or what Python calls a path.
void set_place(DataPlace& place, nb::handle folder, bool allow_outside) {
  if (!folder.is_none()) place.folder = std::filesystem::absolute(to_path(folder));
  place.allow_outside = allow_outside;
}

nb::object open_path(nb::handle path, nb::handle rank, bool copy, nb::handle limits, nb::handle data_folder,
                     bool allow_outside) {
  const auto where = to_path(path);
  dcp::OpenOptions options;
  if (!rank.is_none()) options.rank = nb::cast<std::uint32_t>(rank);
  if (copy) options.mode = OpenMode::Copy;
  if (!limits.is_none()) set_limits(options.import.limits, limits);
  auto opened = [&] {
    const nb::gil_scoped_release release;
    return dcp::open_checkpoint(where, options);
  }();
  auto checkpoint = value_of(std::move(opened));
  DataPlace place = place_beside(checkpoint.path);
  set_place(place, data_folder, allow_outside);
  return make_checkpoint(std::move(checkpoint), std::move(place));
}

Result<dcp::OpenedCheckpoint> import_bytes(std::span<const std::byte> pickle, const dcp::ImportOptions& options) {
  auto imported = dcp::import_pickle(pickle, options);
  if (!imported) return tl::unexpected(std::move(imported.error()));
  return MetadataFile::from_buffer(std::move(imported->bytes)).map([&](MetadataFile&& made) {
    return dcp::OpenedCheckpoint{std::move(made), {}, dcp::Origin::Pickle, {}, std::move(imported->findings)};
  });
}

Result<dcp::OpenedCheckpoint> open_bytes(std::span<const std::byte> bytes, const dcp::ImportOptions& options) {
  Buffer copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.mutable_bytes().data(), bytes.data(), bytes.size());
  auto file = MetadataFile::from_buffer(std::move(copy));
  if (file) return dcp::OpenedCheckpoint{std::move(*file), {}, dcp::Origin::Flatpoint, {}, {}};
  if (file.error().code != ErrorCode::NotFlatpoint) return tl::unexpected(std::move(file.error()));
  return import_bytes(bytes, options);
}

/// A contiguous buffer of Python's, for as long as this lives.
class BorrowedBytes {
 public:
  explicit BorrowedBytes(nb::handle buffer) {
    if (PyObject_GetBuffer(buffer.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
  }
  BorrowedBytes(const BorrowedBytes&) = delete;
  BorrowedBytes& operator=(const BorrowedBytes&) = delete;
  ~BorrowedBytes() { PyBuffer_Release(&view_); }
  [[nodiscard]] std::span<const std::byte> get() const noexcept {
    return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

nb::object from_bytes(nb::handle data, nb::handle rank, nb::handle limits, nb::handle modified_ns, nb::str etag,
                      nb::handle data_folder, bool allow_outside) {
  const BorrowedBytes bytes(data);
  dcp::ImportOptions options;
  if (!modified_ns.is_none()) options.modified_ns = nb::cast<std::int64_t>(modified_ns);
  const Text tag(etag);
  options.etag = tag.view();
  if (!rank.is_none()) options.fragment_rank = nb::cast<std::int32_t>(rank);
  if (!limits.is_none()) set_limits(options.limits, limits);
  auto opened = [&] {
    const nb::gil_scoped_release release;
    return open_bytes(bytes.get(), options);
  }();
  DataPlace place;
  set_place(place, data_folder, allow_outside);
  return make_checkpoint(value_of(std::move(opened)), std::move(place));
}

nb::object from_object(nb::handle metadata, nb::handle results, nb::handle rank, bool keep_pickle,
                       nb::handle modified_ns) {
  pickle::PickleWriter pickle(std::size_t{1} << 16);
  StorageLists storage;
  const bool has_results = !results.is_none();
  if (has_results) storage.results = nb::cast<nb::list>(results);
  if (!dump_metadata(metadata, has_results ? &storage : nullptr, pickle)) return nb::none();
  dcp::ImportOptions options;
  if (!rank.is_none()) options.fragment_rank = nb::cast<std::int32_t>(rank);
  if (!modified_ns.is_none()) options.modified_ns = nb::cast<std::int64_t>(modified_ns);
  const Buffer written = pickle.take();
  const auto bytes = written.bytes();
  auto opened = [&] {
    const nb::gil_scoped_release release;
    return import_bytes(bytes, options);
  }();
  // Of equal keys, which the importer refuses, a dictionary keeps the last value.
  if (!opened && has_results && opened.error().code == ErrorCode::BadPickle) return nb::none();
  return nb::make_tuple(make_checkpoint(value_of(std::move(opened)), {}),
                        keep_pickle ? nb::object(nb::bytes(bytes.data(), bytes.size())) : nb::none(),
                        nb::make_tuple(storage.keys, storage.infos));
}

void publish(nb::handle path, nb::handle data, bool overwrite, nb::handle modified_ns) {
  const auto where = to_path(path);
  const BorrowedBytes bytes(data);
  std::optional<std::int64_t> time;
  if (!modified_ns.is_none()) time = nb::cast<std::int64_t>(modified_ns);
  auto written = [&] {
    const nb::gil_scoped_release release;
    return write_file(where, bytes.get(), overwrite ? IfExists::Replace : IfExists::Fail, time);
  }();
  if (!written && written.error().code == ErrorCode::Conflict) raise_exists(written.error().message);
  value_of(std::move(written));
}

/// The rule of flatpoint/source.hpp for a pickle that is no file here. `read` gives its bytes, where only they can
/// tell.
bool is_source(nb::handle checkpoint, std::uint64_t length, nb::str etag, nb::handle read) {
  const Opened opened = opened_of(checkpoint);
  const auto& record = opened->file.view().columns().source;
  if (!record || record->kind != SourceKind::Pickle) return false;
  const auto digest = [&]() -> Result<std::uint64_t> {
    const nb::object content = read();
    return dcp::content_digest(BorrowedBytes(content).get());
  };
  return value_of(dcp::match_source(*record, {.length = length, .etag = Text(etag).view()}, digest)).is_source();
}

/// The same rule for a file here.
bool matches_file(nb::handle checkpoint, nb::handle pickle) {
  const Opened opened = opened_of(checkpoint);
  const auto path = to_path(pickle);
  return value_of([&] {
           const nb::gil_scoped_release release;
           return dcp::check_source(opened->file.view(), path);
         }())
      .is_source();
}

void load_types() {
  const nb::module_ module = nb::module_::import_("flatpoint._records");
  const auto type = [&](const char* name) { return nb::object(module.attr(name)).release(); };
  types = {.finding = type("Finding"),
           .broken_rule = type("BrokenRule"),
           .verify_report = type("VerifyReport"),
           .storage_info = type("StorageInfo"),
           .storage_meta = type("StorageMeta"),
           .tensor_properties = type("TensorProperties"),
           .overlap = type("Overlap"),
           .wanted = type("Wanted"),
           .read_item = type("ReadItem"),
           .file_read = type("FileRead"),
           .load_issue = type("LoadIssue"),
           .opaque_record = type("OpaqueRecord"),
           .diff = type("Diff"),
           .changed_entry = type("ChangedEntry"),
           .file_difference = type("FileDifference"),
           .coverage_report = type("CoverageReport"),
           .rank_load = type("RankLoad"),
           .file_load = type("FileLoad"),
           .load_balance = type("LoadBalance"),
           .data_report = type("DataReport"),
           .statistics = type("Statistics"),
           .value_difference = type("ValueDifference")};
  make_error_object = nb::object(nb::module_::import_("flatpoint._errors").attr("make_error")).release();
}

}  // namespace

namespace {

[[noreturn]] void raise_error(ErrorCode code, std::string_view message, bool exists) {
  const nb::object error = make_error_object(static_cast<int>(code), to_str(message), exists);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

}  // namespace

void raise(ErrorCode code, std::string_view message) { raise_error(code, message, false); }

void raise_exists(std::string_view message) { raise_error(ErrorCode::Conflict, message, true); }

void raise_unknown(const char* what, std::string_view name, std::span<const std::string_view> known) {
  std::string message = std::string("no ") + what + " '" + std::string(name) + "': there are";
  for (const std::string_view each : known) (message += each.data() == known[0].data() ? " " : ", ") += each;
  PyErr_SetObject(PyExc_ValueError, to_str(message).ptr());
  throw nb::python_error();
}

void raise_corrupt() { raise(ErrorCode::Corrupt, "the file breaks a rule of the format here; verify() names it"); }

const Records& records() { return types; }

void set_limits(dcp::ImportLimits& limits, nb::handle named) {
  for (nb::handle pair : named.attr("items")()) {
    const nb::object name = pair[0];
    const auto value = nb::cast<std::uint64_t>(nb::object(pair[1]));
    const std::string_view text = Text(name).view();
    if (!dcp::set_limit(limits, text, value)) raise_unknown("limit", text, dcp::limit_names());
  }
}

std::filesystem::path to_path(nb::handle path) {
  PyObject* converted = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &converted) == 0) throw nb::python_error();
  const nb::object bytes = nb::steal(converted);
  return std::string(PyBytes_AsString(converted), static_cast<std::size_t>(PyBytes_Size(converted)));
}

nb::tuple make_findings(std::span<const Finding> findings) {
  nb::list list;
  for (const Finding& finding : findings)
    list.append(make_record(types.finding, to_str(finding.kind), to_str(finding.message)));
  return nb::tuple(list);
}

}  // namespace flatpoint::python

NB_MODULE(_core, m) {
  using namespace flatpoint::python;
  load_types();
  bind_entries(m);
  bind_columns(m);
  bind_plan(m);
  bind_checkpoint(m);
  bind_data(m);
  bind_read_items(m);
  bind_table(m);
  bind_merge(m);
  m.def(
      "open", &open_path, nb::arg("path"), nb::kw_only(), nb::arg("rank") = nb::none(), nb::arg("copy") = false,
      nb::arg("limits") = nb::none(), nb::arg("data_folder") = nb::none(), nb::arg("allow_outside") = false,
      "Open a checkpoint's folder, a .metadata, a flatpoint file, or files of safetensors.\n\n"
      "In a folder a .metadata.flatpoint that was imported from what lies beside it wins; otherwise that is "
      "imported in memory, as data: nothing of it is executed. `rank` picks one of the __R.metadata of a save without "
      "collectives. "
      "`copy` reads the file instead of mapping it, for folders where others write in place. `limits` are those of "
      "include/flatpoint/dcp.hpp: {\"max_chunks\": 1_000_000}. Data files are read from the folder of the metadata, or "
      "from `data_folder`; where their paths leave it only with `allow_outside`.\n\n"
      "Raises Error; NotFoundError is a FileNotFoundError, IoError an OSError.");
  m.def("from_bytes", &from_bytes, nb::arg("data"), nb::kw_only(), nb::arg("rank") = nb::none(),
        nb::arg("limits") = nb::none(), nb::arg("modified_ns") = nb::none(), nb::arg("etag") = "",
        nb::arg("data_folder") = nb::none(), nb::arg("allow_outside") = false,
        "Open the bytes of a flatpoint file or of a .metadata, which are copied.\n\n"
        "`rank`: of the __R.metadata that they are; `modified_ns` and `etag`: by what it is recognised later; "
        "`data_folder`: where the data files are. Raises Error.");
  m.def("from_object", &from_object, nb::arg("metadata"), nb::arg("results") = nb::none(), nb::kw_only(),
        nb::arg("rank") = nb::none(), nb::arg("keep_pickle") = false, nb::arg("modified_ns") = nb::none(),
        "Open torch's Metadata; its pickle or None; keys and values of the results. None: Python's pickle has to write "
        "it.");
  m.def("write_file", &publish, nb::arg("path"), nb::arg("data"), nb::kw_only(), nb::arg("overwrite") = true,
        nb::arg("modified_ns") = nb::none(),
        "Publish a file: synced, and renamed into place; with a modification time of its own.");
  m.def("is_source", &is_source, nb::arg("checkpoint"), nb::arg("length"), nb::arg("etag"), nb::arg("read"),
        "Whether a checkpoint was imported from a pickle elsewhere: by its etag, or by its bytes, which read() gives.");
  m.def("matches_file", &matches_file, nb::arg("checkpoint"), nb::arg("pickle"),
        "Whether a checkpoint was imported from a pickle: by its time, or by its bytes.");
  m.attr("column_names") = column_names();
}
