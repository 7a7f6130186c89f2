#include "dump.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "text.hpp"

namespace flatpoint::python {
namespace {

struct NotPlain {};

void require(bool plain) {
  if (!plain) throw NotPlain();
}

/// A str that is always the same object, so that looking it up in an object's dictionary compares addresses.
nb::object interned(const char* text) { return checked(PyUnicode_InternFromString(text)); }

/// A class, with the name under which a pickle refers to it, and where the pickle has it already.
struct Class {
  nb::object type;
  const char* module;
  const char* name;
  std::optional<Pickle::MemoId> id;

  Class(const char* home, const char* qualified) : module(home), name(qualified) {
    type = nb::module_::import_(module).attr(name);
  }
  [[nodiscard]] bool is_of(nb::handle object) const noexcept {
    return reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) == type.ptr();
  }
};

constexpr const char* kMetadata = "torch.distributed.checkpoint.metadata";

/// The attributes of one object.
class State {
 public:
  explicit State(nb::handle object) : dict_(checked(PyObject_GenericGetDict(object.ptr(), nullptr))) {
    require(PyDict_CheckExact(dict_.ptr()) != 0);
  }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(PyDict_Size(dict_.ptr())); }
  [[nodiscard]] PyObject* find(const nb::object& name) const {
    PyObject* const value = PyDict_GetItemWithError(dict_.ptr(), name.ptr());
    if (value == nullptr && PyErr_Occurred() != nullptr) throw nb::python_error();
    return value;
  }
  [[nodiscard]] PyObject* get(const nb::object& name) const {
    PyObject* const value = find(name);
    require(value != nullptr);
    return value;
  }
  [[nodiscard]] nb::handle dict() const noexcept { return dict_; }

 private:
  nb::object dict_;
};

/// Calls `item(key, value)` for each item of a dict, in its order. Nothing that this file calls changes a dict.
template <class Function>
void for_each_item(nb::handle dict, Function&& item) {
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(dict.ptr(), &at, &key, &value) != 0;) item(key, value);
}

class Dumper {
 public:
  explicit Dumper(Pickle& pickle) : pickle_(pickle) {
    const nb::module_ torch = nb::module_::import_("torch");
    for (const char* format : {"contiguous_format", "channels_last", "preserve_format"}) {
      memory_formats_[memory_format_count_++] = torch.attr(format);
    }
    has_strides_ = nb::hasattr(tensor_properties_.type, "strides");
  }

  void metadata(nb::handle object) {
    require(metadata_.is_of(object));
    const State state(object);
    pickle_.begin();
    begin_object(metadata_);
    for_each_item(state.dict(), [&](PyObject* name, PyObject* value) {
      text(name);
      if (name == state_dict_name_.ptr()) {
        dict(value, [&](PyObject* fqn, PyObject* entry) { this->entry(fqn, entry); });
      } else if (name == planner_name_.ptr()) {
        optional_dict(value, [&](PyObject* fqn, PyObject* path) { planner_path(fqn, path); });
      } else if (name == storage_name_.ptr()) {
        optional_dict(value, [&](PyObject* index, PyObject* info) { storage(index, info); });
      } else if (name == storage_meta_name_.ptr()) {
        storage_meta(value);
      } else {
        require(name == version_name_.ptr());
        optional_text(value);
      }
    });
    end_object();
    pickle_.end();
  }

 private:
  // Python's pickle writes items in batches, too: what stands on the stack at once is bounded.
  static constexpr std::size_t kBatch = 1000;

  template <class Function>
  void dict(nb::handle dict, Function&& item) {
    require(PyDict_CheckExact(dict.ptr()) != 0);
    pickle_.op(Op::EmptyDict);
    pickle_.memoize();
    std::size_t in_batch = 0;
    for_each_item(dict, [&](PyObject* key, PyObject* value) {
      if (in_batch == 0) pickle_.op(Op::Mark);
      item(key, value);
      if (++in_batch == kBatch) {
        pickle_.op(Op::SetItems);
        in_batch = 0;
      }
      pickle_.next_frame();
    });
    if (in_batch > 0) pickle_.op(Op::SetItems);
  }

  template <class Function>
  void optional_dict(nb::handle value, Function&& item) {
    value.is_none() ? pickle_.op(Op::None) : dict(value, item);
  }

  template <class Function>
  void list(nb::handle list, Function&& item) {
    require(PyList_CheckExact(list.ptr()) != 0);
    pickle_.op(Op::EmptyList);
    pickle_.memoize();
    const Py_ssize_t count = PyList_Size(list.ptr());
    for (Py_ssize_t begin = 0; begin < count;) {
      const Py_ssize_t end = std::min(count, begin + static_cast<Py_ssize_t>(kBatch));
      pickle_.op(Op::Mark);
      for (; begin < end; ++begin) {
        item(PyList_GetItem(list.ptr(), begin));
        pickle_.next_frame();
      }
      pickle_.op(Op::Appends);
    }
  }

  void entry(nb::handle fqn, nb::handle value) {
    text(fqn);
    if (bytes_metadata_.is_of(value)) {
      require(State(value).size() == 0);
      cls(bytes_metadata_);
      pickle_.op(Op::EmptyTuple);
      pickle_.op(Op::NewObj);
      pickle_.memoize();
      return;
    }
    require(tensor_metadata_.is_of(value));
    const State state(value);
    require(state.size() == 3);
    begin_object(tensor_metadata_);
    text(properties_name_);
    properties(state.get(properties_name_));
    text(size_name_);
    size(state.get(size_name_));
    text(chunks_name_);
    list(state.get(chunks_name_), [&](PyObject* chunk) { this->chunk(chunk); });
    end_object();
  }

  void properties(nb::handle value) {
    require(tensor_properties_.is_of(value));
    const State state(value);
    PyObject* const strides = state.find(strides_name_);
    require(state.size() == (strides != nullptr ? 6 : 5) && (strides == nullptr || has_strides_));
    cls(tensor_properties_);
    pickle_.op(Op::EmptyTuple);
    pickle_.op(Op::NewObj);
    pickle_.memoize();
    pickle_.op(Op::Mark);
    dtype(state.get(dtype_name_));
    layout(state.get(layout_name_));
    boolean(state.get(requires_grad_name_));
    memory_format(state.get(memory_format_name_));
    boolean(state.get(pin_memory_name_));
    if (has_strides_) {
      if (strides == nullptr || strides == Py_None) {
        pickle_.op(Op::None);
      } else if (PyTuple_CheckExact(strides) != 0) {
        numbers(strides);
      } else {
        size(strides);
      }
    }
    pickle_.op(Op::Tuple);
    pickle_.memoize();
    pickle_.op(Op::Build);
  }

  void dtype(nb::handle value) {
    require(dtype_type_.is_of(value));
    if (fetch_known(value)) return;
    const nb::object name = value.attr("__reduce__")();
    global("torch", Text(name).view());
    remember(value);
  }

  void layout(nb::handle value) {
    require(layout_type_.is_of(value));
    if (fetch_known(value)) return;
    global("torch.serialization", "_get_layout");
    const nb::object name = nb::str(value);
    pickle_.text(Text(name).view());
    pickle_.memoize();
    call();
    remember(value);
  }

  void memory_format(nb::handle value) {
    std::size_t number = 0;
    while (number < memory_format_count_ && !value.is(memory_formats_[number])) ++number;
    require(number < memory_format_count_);
    if (fetch_known(value)) return;
    cls(memory_format_encoding_);
    pickle_.integer(static_cast<std::int64_t>(number));
    call();
    remember(value);
  }

  void chunk(nb::handle value) {
    require(chunk_metadata_.is_of(value));
    const State state(value);
    require(state.size() == 2);
    begin_object(chunk_metadata_);
    text(offsets_name_);
    size(state.get(offsets_name_));
    text(sizes_name_);
    size(state.get(sizes_name_));
    end_object();
  }

  void planner_path(nb::handle fqn, nb::handle path) {
    text(fqn);
    require(PyTuple_CheckExact(path.ptr()) != 0);
    const Py_ssize_t count = PyTuple_Size(path.ptr());
    if (count > 3) pickle_.op(Op::Mark);
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* const key = PyTuple_GetItem(path.ptr(), i);
      PyLong_CheckExact(key) != 0 ? integer(key) : text(key);
    }
    pickle_.tuple(static_cast<std::size_t>(count));
  }

  void storage(nb::handle index, nb::handle info) {
    require(metadata_index_.is_of(index) && storage_info_.is_of(info));
    const State key(index);
    PyObject* const offset = key.find(offset_name_);
    require(key.size() == (offset != nullptr ? 3 : 2));
    begin_object(metadata_index_);
    text(fqn_name_);
    text(key.get(fqn_name_));
    text(index_name_);
    PyObject* const hint = key.get(index_name_);
    hint == Py_None ? pickle_.op(Op::None) : integer(hint);
    if (offset != nullptr) {
      text(offset_name_);
      size(offset);
    }
    end_object();

    const State value(info);
    PyObject* const transforms = value.find(transforms_name_);
    require(value.size() == (transforms != nullptr ? 4 : 3));
    begin_object(storage_info_);
    text(path_name_);
    text(value.get(path_name_));
    text(offset_name_);
    integer(value.get(offset_name_));
    text(length_name_);
    integer(value.get(length_name_));
    if (transforms != nullptr && transforms != Py_None) {  // DCP leaves None out
      text(transforms_name_);
      PyTuple_CheckExact(transforms) != 0 ? texts(transforms) : list(transforms, [&](PyObject* each) { text(each); });
    }
    end_object();
  }

  void texts(nb::handle tuple) {
    const Py_ssize_t count = PyTuple_Size(tuple.ptr());
    if (count > 3) pickle_.op(Op::Mark);
    for (Py_ssize_t i = 0; i < count; ++i) text(PyTuple_GetItem(tuple.ptr(), i));
    pickle_.tuple(static_cast<std::size_t>(count));
  }

  void storage_meta(nb::handle value) {
    if (value.is_none()) return pickle_.op(Op::None);
    require(storage_meta_.is_of(value));
    begin_object(storage_meta_);
    for_each_item(State(value).dict(), [&](PyObject* name, PyObject* attribute) {
      text(name);
      if (name == modules_name_.ptr()) {
        list(attribute, [&](PyObject* each) { text(each); });
      } else if (name == checkpoint_id_name_.ptr() && posix_path_.is_of(attribute)) {
        cls(posix_path_);
        text(nb::str(nb::handle(attribute)));
        call();
      } else {
        optional_text(attribute);
      }
    });
    end_object();
  }

  void begin_object(Class& type) {
    cls(type);
    pickle_.op(Op::EmptyTuple);
    pickle_.op(Op::NewObj);
    pickle_.memoize();
    pickle_.op(Op::EmptyDict);
    pickle_.memoize();
    pickle_.op(Op::Mark);
  }
  void end_object() {
    pickle_.op(Op::SetItems);
    pickle_.op(Op::Build);
  }
  /// Of a callable and its argument.
  void call() {
    pickle_.tuple(1);
    pickle_.op(Op::Reduce);
    last_ = pickle_.memoize();
  }

  void cls(Class& type) {
    if (type.id) return pickle_.fetch(*type.id);
    global(type.module, type.name);
    type.id = last_;
  }
  void global(std::string_view module, std::string_view name) {
    pickle_.text(module);
    pickle_.memoize();
    pickle_.text(name);
    pickle_.memoize();
    pickle_.op(Op::StackGlobal);
    last_ = pickle_.memoize();
  }

  bool fetch_known(nb::handle value) {
    PyObject* const id = PyDict_GetItemWithError(ids_.ptr(), value.ptr());
    if (id == nullptr && PyErr_Occurred() != nullptr) throw nb::python_error();
    if (id != nullptr) pickle_.fetch(static_cast<Pickle::MemoId>(PyLong_AsUnsignedLong(id)));
    return id != nullptr;
  }
  void remember(nb::handle value) {
    const nb::object id = checked(PyLong_FromUnsignedLong(last_));
    if (PyDict_SetItem(ids_.ptr(), value.ptr(), id.ptr()) != 0) throw nb::python_error();
  }

  void text(nb::handle value) {
    require(PyUnicode_CheckExact(value.ptr()) != 0);
    if (fetch_known(value)) return;
    pickle_.text(Text(value).view());
    last_ = pickle_.memoize();
    remember(value);
  }
  void optional_text(nb::handle value) { value.is_none() ? pickle_.op(Op::None) : text(value); }

  void boolean(nb::handle value) {
    require(value.ptr() == Py_True || value.ptr() == Py_False);
    pickle_.op(value.ptr() == Py_True ? Op::NewTrue : Op::NewFalse);
  }
  void integer(nb::handle value) {
    require(PyLong_CheckExact(value.ptr()) != 0);
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    require(overflow == 0);
    pickle_.integer(number);
  }
  void numbers(nb::handle tuple) {
    const Py_ssize_t count = PyTuple_Size(tuple.ptr());
    if (count > 3) pickle_.op(Op::Mark);
    for (Py_ssize_t i = 0; i < count; ++i) integer(PyTuple_GetItem(tuple.ptr(), i));
    pickle_.tuple(static_cast<std::size_t>(count));
  }
  void size(nb::handle value) {
    require(size_type_.is_of(value));
    cls(size_type_);
    numbers(value);
    call();
  }

  Pickle& pickle_;
  Pickle::MemoId last_ = 0;  // of what was memoized last
  nb::dict ids_;             // of texts, dtypes, layouts and memory formats

  Class metadata_{kMetadata, "Metadata"};
  Class tensor_metadata_{kMetadata, "TensorStorageMetadata"};
  Class bytes_metadata_{kMetadata, "BytesStorageMetadata"};
  Class tensor_properties_{kMetadata, "TensorProperties"};
  Class chunk_metadata_{kMetadata, "ChunkStorageMetadata"};
  Class metadata_index_{kMetadata, "MetadataIndex"};
  Class storage_meta_{kMetadata, "StorageMeta"};
  Class memory_format_encoding_{kMetadata, "_MEM_FORMAT_ENCODING"};
  Class storage_info_{"torch.distributed.checkpoint.filesystem", "_StorageInfo"};
  Class size_type_{"torch", "Size"};
  Class dtype_type_{"torch", "dtype"};
  Class layout_type_{"torch", "layout"};
  Class posix_path_{"pathlib", "PosixPath"};
  std::array<nb::object, 3> memory_formats_;  // in the order of _MEM_FORMAT_ENCODING
  std::size_t memory_format_count_ = 0;
  bool has_strides_ = false;

  const nb::object state_dict_name_ = interned("state_dict_metadata"), planner_name_ = interned("planner_data"),
                   storage_name_ = interned("storage_data"), storage_meta_name_ = interned("storage_meta"),
                   version_name_ = interned("version"), properties_name_ = interned("properties"),
                   size_name_ = interned("size"), chunks_name_ = interned("chunks"), dtype_name_ = interned("dtype"),
                   layout_name_ = interned("layout"), requires_grad_name_ = interned("requires_grad"),
                   memory_format_name_ = interned("memory_format"), pin_memory_name_ = interned("pin_memory"),
                   strides_name_ = interned("strides"), offsets_name_ = interned("offsets"),
                   sizes_name_ = interned("sizes"), fqn_name_ = interned("fqn"), index_name_ = interned("index"),
                   offset_name_ = interned("offset"), path_name_ = interned("relative_path"),
                   length_name_ = interned("length"), transforms_name_ = interned("transform_descriptors"),
                   modules_name_ = interned("modules"), checkpoint_id_name_ = interned("checkpoint_id");
};

}  // namespace

bool dump_metadata(nb::handle metadata, Pickle& pickle) {
  try {
    Dumper(pickle).metadata(metadata);
    return true;
  } catch (const NotPlain&) {
    return false;
  }
}

}  // namespace flatpoint::python
