// What every object of the module shares: the open file that it reads, and how the library's answers become Python's.
#pragma once

#include <nanobind/nanobind.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "flatpoint/data.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/error.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/lookup.hpp"
#include "flatpoint/views.hpp"

namespace flatpoint::python {

namespace nb = nanobind;

/// Where the data files of a checkpoint lie.
struct DataPlace {
  std::filesystem::path folder;  // empty: unknown, as it is for bytes from anywhere
  bool allow_outside = false;    // ReaderOptions has it
};

/// An open checkpoint, and the reader of its data files, which is made when it is first asked for.
class OpenCheckpoint : public dcp::OpenedCheckpoint {
 public:
  OpenCheckpoint(dcp::OpenedCheckpoint&& opened, DataPlace place)
      : dcp::OpenedCheckpoint(std::move(opened)), place_(std::move(place)) {}
  [[nodiscard]] const DataPlace& place() const noexcept { return place_; }
  /// Errors: InvalidArgument where nobody said in which folder the data files are.
  [[nodiscard]] Result<const data::Reader*> reader() const;

 private:
  DataPlace place_;
  mutable std::mutex mutex_;
  mutable std::optional<data::Reader> reader_;
};

/// Every object that reads a checkpoint holds it open, so that the mapping outlives the last of them.
using Opened = std::shared_ptr<const OpenCheckpoint>;

/// Raises flatpoint.Error.
[[noreturn]] void raise(ErrorCode code, std::string_view message);
/// The same for a file that is there and not to be replaced: a FileExistsError too.
[[noreturn]] void raise_exists(std::string_view message);
[[noreturn]] void raise_corrupt();

/// The value of a Result; raises flatpoint.Error.
template <class T>
T value_of(Result<T>&& result) {
  if (!result) raise(result.error().code, to_string(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Whether a look-up found something; raises flatpoint.Error where the file is corrupt.
template <class T>
bool found(const Lookup<T>& lookup) {
  if (lookup.corrupt()) raise_corrupt();
  return lookup.found();
}

/// The value of a look-up that must find one.
template <class T>
T value_of(const Lookup<T>& lookup) {
  if (!lookup) raise_corrupt();
  return *lookup;
}

/// The types of flatpoint._records that the module makes instances of.
struct Records {
  nb::handle finding, broken_rule, verify_report, storage_info, storage_meta, tensor_properties, overlap, wanted,
      read_item, file_read, load_issue, opaque_record, diff, changed_entry, file_difference, coverage_report, rank_load,
      file_load, load_balance, data_report, statistics, value_difference;
};
const Records& records();

/// An instance of a NamedTuple, made as a tuple is: its own `__new__` is Python code.
template <class... Fields>
nb::object make_record(nb::handle type, Fields&&... fields) {
  static const auto make_tuple_of = reinterpret_cast<newfunc>(PyType_GetSlot(&PyTuple_Type, Py_tp_new));
  const nb::tuple arguments = nb::make_tuple(nb::make_tuple(std::forward<Fields>(fields)...));
  PyObject* record = make_tuple_of(reinterpret_cast<PyTypeObject*>(type.ptr()), arguments.ptr(), nullptr);
  if (record == nullptr) throw nb::python_error();
  return nb::steal(record);
}

/// Makes a type a sequence: indexes from either end, and slices.
template <class T>
void bind_sequence(nb::class_<T>& type, std::uint32_t (*size)(const T&), nb::object (*item)(const T&, std::uint32_t)) {
  type.def("__len__", size);
  type.def("__getitem__", [size, item](const T& sequence, Py_ssize_t index) {
    const auto count = static_cast<Py_ssize_t>(size(sequence));
    if (index < 0) index += count;
    if (index < 0 || index >= count) throw nb::index_error();
    return item(sequence, static_cast<std::uint32_t>(index));
  });
  type.def("__getitem__", [size, item](const T& sequence, nb::slice slice) {
    const auto [begin, end, step, length] = slice.compute(size(sequence));
    nb::list items;
    for (std::size_t i = 0; i < length; ++i) {
      items.append(item(sequence, static_cast<std::uint32_t>(begin + static_cast<Py_ssize_t>(i) * step)));
    }
    return items;
  });
}

nb::tuple make_issues(std::span<const LoadIssue> issues);
/// What os.fspath makes of it.
std::filesystem::path to_path(nb::handle path);
/// From a mapping of the limits' names.
void set_limits(dcp::ImportLimits& limits, nb::handle named);

nb::tuple make_findings(std::span<const Finding> findings);
nb::object make_storage_info(const StorageInfoView& storage);
/// Tensor, Bytes or Opaque.
nb::object make_entry(const Opened& opened, const EntryView& entry);
/// The entry that a str names. Absent where there is none.
Lookup<EntryView> find_entry(const MetadataView& metadata, nb::handle fqn);

/// Names of columns, and one column as an object with the buffer interface; raises KeyError.
nb::tuple column_names();
nb::object make_column(const Opened& opened, std::string_view name);
/// The whole file, likewise.
nb::object make_file_bytes(const Opened& opened);

/// Items of storage_data, ((fqn, offset or None, index or None), fields of _StorageInfo), and keys of planner_data, in
/// their orders; opaque records.
nb::list storage_items(const MetadataView& metadata);
nb::list planner_fqns(const MetadataView& metadata);
nb::tuple opaque_records(const MetadataView& metadata);

/// `aspects`: names of what counts, or None for everything.
nb::object make_diff(const Opened& a, const Opened& b, nb::handle aspects);

/// `place`: of the data files.
nb::object make_checkpoint(dcp::OpenedCheckpoint&& opened, DataPlace place);
/// Beside the metadata file.
DataPlace place_beside(const std::filesystem::path& metadata_path);
/// What a Checkpoint has open; raises TypeError for other objects, ValueError where it is closed.
Opened opened_of(nb::handle checkpoint);
/// The same in memory of its own, for work that reads values more than once: others may write into a mapped file.
Result<Opened> private_copy(const Opened& opened);
nb::object make_plan(const Opened& opened, nb::handle wanted, const LoadOptions& options);
nb::object make_mesh_plan(const Opened& opened, nb::handle mesh, nb::handle placements, const LoadOptions& options);

/// A checkpoint in memory with other names: `name_of` gives an FQN's new one, or None to drop it.
nb::object edited(const Opened& opened, nb::handle name_of, bool drop_opaque);
/// The `.metadata` that PyTorch reads, as bytes, and what was left out. `opaque`: "refuse", "keep" or "drop".
nb::tuple exported(const Opened& opened, std::uint32_t torch_major, std::uint32_t torch_minor, nb::handle opaque,
                   bool dcp_classes);
/// The tensor that a Tensor is; raises TypeError for other objects.
struct OpenTensor {
  Opened opened;
  TensorView view;
};
OpenTensor tensor_of(nb::handle tensor);
/// A bytes item's value as a pickle of literals.
nb::object plain_pickle(const Opened& opened, const EntryView& entry);
/// Entries, and chunks with bytes items, as columns.
nb::object entries_table(const Opened& opened);
nb::object chunks_table(const Opened& opened);
/// What the data files show. `depth`: "files", "items" or "bytes".
nb::object data_report(const Opened& opened, nb::handle depth, std::size_t max_messages);
nb::object tensor_statistics(const Opened& opened, const TensorView& tensor);
/// Whether the values of two tensors are the same.
nb::object compared(const OpenTensor& a, nb::handle other, bool all);
/// The checkpoint in memory, with where the bytes of each chunk begin.
nb::object with_data_begins(const Opened& opened, bool checksums);
/// The checkpoint in memory, with paths below a folder.
nb::object moved(const Opened& opened, nb::handle folder);
/// Makes a pickle that was exported the source of the flatpoint file beside it. What it leaves out makes the answer
/// False.
bool record_as_source(const Opened& opened, nb::handle pickle);
nb::object coverage_report(const Opened& opened, std::uint32_t max_findings);
/// Raises ValueError, and lists what there is.
[[noreturn]] void raise_unknown(const char* what, std::string_view name, std::span<const std::string_view> known);

void bind_entries(nb::module_& m);
void bind_columns(nb::module_& m);
void bind_plan(nb::module_& m);
void bind_checkpoint(nb::module_& m);
void bind_data(nb::module_& m);
void bind_read_items(nb::module_& m);
void bind_table(nb::module_& m);
void bind_merge(nb::module_& m);

}  // namespace flatpoint::python
