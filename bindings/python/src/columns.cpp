// Columns as buffers: Python reads them where they lie, and the mapping stays as long as anything looks at it.
#include "flatpoint/columns.hpp"

#include <array>
#include <cstring>

#include "opened.hpp"

namespace flatpoint::python {
namespace {

// Formats of struct rows, as PEP 3118 writes them. The wire is little-endian, without padding that is not named.
constexpr const char* kEntryFormat =
    "T{<I:fqn_begin:<I:fqn_length:<I:size_begin:<I:box_begin:<I:chunk_begin:<I:chunk_count:<I:order_begin:<I:length_"
    "begin:"
    "T{B:dtype:B:layout:B:memory_format:?:requires_grad:?:pin_memory:B:strides:<H:dtype_name:<H:layout_name:}:"
    "properties:"
    "B:ndim:B:storage_type:B:chunk_layout:?:reordered:?:lengths_differ:x}";
constexpr const char* kIndexHintFormat = "T{<I:row:?:known:xxx<q:index:}";
constexpr const char* kLooseStorageFormat =
    "T{<I:fqn_begin:<I:fqn_length:<I:offset_begin:<I:length_begin:?:has_offset:B:ndim:xx}";
constexpr const char* kTransformListFormat = "T{<I:text_end:B:type:xxx}";
constexpr const char* kPathElementFormat = "T{<H:components:?:is_index:x}";
constexpr const char* kOpaqueRecordFormat =
    "T{B:kind:xxx<I:position:<I:name_begin:<I:name_length:<I:pickle_begin:<I:pickle_length:}";

struct Column {
  Opened opened;
  const void* data;
  Py_ssize_t count;
  Py_ssize_t item_size;
  const char* format;
};

template <class T>
constexpr const char* format_of() {
  if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::byte>) return "B";
  if constexpr (std::is_same_v<T, std::uint16_t>) return "H";
  if constexpr (std::is_same_v<T, std::uint32_t>) return "I";
  if constexpr (std::is_same_v<T, std::uint64_t>) return "Q";
  if constexpr (std::is_same_v<T, std::int64_t>) return "q";
  if constexpr (std::is_same_v<T, EntryRow>) return kEntryFormat;
  if constexpr (std::is_same_v<T, IndexHintRow>) return kIndexHintFormat;
  if constexpr (std::is_same_v<T, LooseStorageRow>) return kLooseStorageFormat;
  if constexpr (std::is_same_v<T, TransformListRow>) return kTransformListFormat;
  if constexpr (std::is_same_v<T, PathElementRow>) return kPathElementFormat;
  if constexpr (std::is_same_v<T, OpaqueRecordRow>) return kOpaqueRecordFormat;
}

template <class T>
Column column_of(const Opened& opened, std::span<const T> values) {
  return {opened, values.data(), static_cast<Py_ssize_t>(values.size()), sizeof(T), format_of<T>()};
}

struct Named {
  const char* name;
  Column (*get)(const Opened&, const Columns&);
};

/// The schema's vectors, in its order.
constexpr auto kColumns = [] {
#define FLATPOINT_COLUMN(name, member)                                                                    \
  Named {                                                                                                 \
    #name, [](const Opened& opened, const Columns& columns) { return column_of(opened, columns.member); } \
  }
  return std::array{
      FLATPOINT_COLUMN(entries, entries),
      FLATPOINT_COLUMN(fqns, fqns),
      FLATPOINT_COLUMN(fqn_slots, fqn_slots),
      FLATPOINT_COLUMN(fqn_order, fqn_order),
      FLATPOINT_COLUMN(sizes, sizes),
      FLATPOINT_COLUMN(boxes, boxes),
      FLATPOINT_COLUMN(chunk_order, chunk_order),
      FLATPOINT_COLUMN(chunk_files, chunk_files),
      FLATPOINT_COLUMN(chunk_byte_offsets, chunk_byte_offsets),
      FLATPOINT_COLUMN(chunk_lengths, chunk_lengths),
      FLATPOINT_COLUMN(chunk_transforms, chunk_transforms),
      FLATPOINT_COLUMN(file_names, file_names.bytes),
      FLATPOINT_COLUMN(file_name_ends, file_names.ends),
      FLATPOINT_COLUMN(type_names, type_names.bytes),
      FLATPOINT_COLUMN(type_name_ends, type_names.ends),
      FLATPOINT_COLUMN(transform_names, transform_names.bytes),
      FLATPOINT_COLUMN(transform_name_ends, transform_names.ends),
      FLATPOINT_COLUMN(transform_lists, transform_lists),
      FLATPOINT_COLUMN(storage_order, storage_order),
      FLATPOINT_COLUMN(index_hints, index_hints),
      FLATPOINT_COLUMN(loose_storage, loose_storage),
      FLATPOINT_COLUMN(fqn_paths, fqn_paths),
      FLATPOINT_COLUMN(path_elements, path_elements),
      FLATPOINT_COLUMN(path_ends, path_ends),
      FLATPOINT_COLUMN(planner_order, planner_order),
      FLATPOINT_COLUMN(opaque, opaque),
      FLATPOINT_COLUMN(opaque_names, opaque_names),
      FLATPOINT_COLUMN(opaque_pickles, opaque_pickles),
  };
#undef FLATPOINT_COLUMN
}();

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  static constexpr std::uint64_t kEmpty = 0;  // an address for a column of no values
  Column& column = *nb::inst_ptr<Column>(self);
  if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
    PyErr_SetString(PyExc_BufferError, "a column is read-only");
    view->obj = nullptr;
    return -1;
  }
  view->obj = Py_NewRef(self);
  view->buf = const_cast<void*>(column.data != nullptr ? column.data : &kEmpty);
  view->len = column.count * column.item_size;
  view->readonly = 1;
  view->itemsize = column.item_size;
  view->format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? const_cast<char*>(column.format) : nullptr;
  view->ndim = 1;
  view->shape = (flags & PyBUF_ND) == PyBUF_ND ? &column.count : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &column.item_size : nullptr;
  view->suboffsets = nullptr;
  view->internal = nullptr;
  return 0;
}

PyType_Slot kBufferSlots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(&get_buffer)}, {0, nullptr}};

}  // namespace

nb::tuple column_names() {
  nb::list names;
  for (const Named& column : kColumns) names.append(column.name);
  return nb::tuple(names);
}

nb::object make_column(const Opened& opened, std::string_view name) {
  for (const Named& column : kColumns) {
    if (column.name == name) return nb::cast(column.get(opened, opened->file.view().columns()));
  }
  throw nb::key_error(std::string(name).c_str());
}

nb::object make_file_bytes(const Opened& opened) { return nb::cast(column_of(opened, opened->file.bytes())); }

void bind_columns(nb::module_& m) {
  nb::class_<Column>(m, "Column", nb::is_final(), nb::type_slots(kBufferSlots),
                     "A column where it lies in the file: a read-only buffer.")
      .def("__len__", [](const Column& column) { return column.count; });
}

}  // namespace flatpoint::python
