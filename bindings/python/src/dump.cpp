#include "dump.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "flatpoint/dcp_names.hpp"
#include "flatpoint/types.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

namespace names = dcp::names;
using pickle::Opcode;
using MemoId = std::uint32_t;

struct NotPlain {};

void require(bool plain) {
  if (!plain) throw NotPlain();
}

/// The name of an attribute, and where the pickle has it already.
struct Word {
  explicit Word(const char* text) : name(checked(PyUnicode_InternFromString(text))) {}
  [[nodiscard]] bool is(nb::handle text) const noexcept { return text.ptr() == name.ptr(); }

  nb::object name;  // interned as attributes are, so that looking it up compares addresses
  std::optional<MemoId> id;
};

/// A class, with the name under which a pickle refers to it, and where the pickle has it already.
struct Class {
  nb::object type;
  pickle::ModuleAndName name;
  std::optional<MemoId> id;

  explicit Class(pickle::ModuleAndName named) : name(named) {
    type = nb::module_::import_(std::string(name.module).c_str()).attr(std::string(name.name).c_str());
  }
  [[nodiscard]] bool is_of(nb::handle object) const noexcept {
    return reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) == type.ptr();
  }
};

/// The attributes of one object.
class State {
 public:
  explicit State(nb::handle object) : dict_(checked(PyObject_GenericGetDict(object.ptr(), nullptr))) {
    require(PyDict_CheckExact(dict_.ptr()) != 0);
  }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(PyDict_Size(dict_.ptr())); }
  [[nodiscard]] PyObject* find(const Word& word) const {
    PyObject* const value = PyDict_GetItemWithError(dict_.ptr(), word.name.ptr());
    if (value == nullptr && PyErr_Occurred() != nullptr) throw nb::python_error();
    return value;
  }
  [[nodiscard]] PyObject* get(const Word& word) const {
    PyObject* const value = find(word);
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

/// The same for a list. Its objects lie all over the heap: those that come soon are fetched while one is written.
template <class Function>
void for_each(nb::handle list, Function&& item) {
  require(PyList_CheckExact(list.ptr()) != 0);
  const Py_ssize_t count = PyList_Size(list.ptr());
  for (Py_ssize_t i = 0; i < count; ++i) {
    constexpr Py_ssize_t kAhead = 12;
    if (i + kAhead < count) __builtin_prefetch(PyList_GetItem(list.ptr(), i + kAhead));
    item(PyList_GetItem(list.ptr(), i));
  }
}

void append(nb::handle list, PyObject* item) {
  if (PyList_Append(list.ptr(), item) != 0) throw nb::python_error();
}

/// Writes objects of DCP's classes in the form that Python's pickle gives them. Throws NotPlain at the first thing that
/// is not as DCP makes it.
class Dumper {
 public:
  explicit Dumper(pickle::PickleWriter& pickle) : pickle_(pickle) {
    const nb::module_ torch = nb::module_::import_("torch");
    constexpr std::array kFormats{"contiguous_format", "channels_last", "preserve_format"};
    for (std::size_t i = 0; i < kFormats.size(); ++i) memory_formats_[i] = torch.attr(kFormats[i]);
    has_strides_ = nb::hasattr(tensor_properties_.type, "strides");
  }

  void metadata(nb::handle object, StorageLists* lists) {
    require(metadata_.is_of(object));
    const State state(object);
    pickle_.protocol();
    pickle_.begin_frame();
    begin_object(metadata_);
    for_each_item(state.dict(), [&](PyObject* name, PyObject* value) {
      text(name);
      if (state_dict_word_.is(name)) {
        dict(value, [&](PyObject* fqn, PyObject* entry) { this->entry(fqn, entry); });
      } else if (planner_word_.is(name)) {
        optional_dict(value, [&](PyObject* fqn, PyObject* path) { planner_path(fqn, path); });
      } else if (storage_word_.is(name) && lists != nullptr) {
        storage_of_results(*lists);
      } else if (storage_word_.is(name)) {
        optional_dict(value, [&](PyObject* index, PyObject* info) { storage(index, info); });
      } else if (storage_meta_word_.is(name)) {
        storage_meta(value);
      } else {
        require(version_word_.is(name));
        optional_text(value);
      }
    });
    end_object();
    pickle_.opcode(Opcode::STOP);
    pickle_.end_frame();
  }

 private:
  template <class Function>
  void dict(nb::handle dict, Function&& item) {
    require(PyDict_CheckExact(dict.ptr()) != 0);
    begin_container(Opcode::EMPTY_DICT);
    pickle::PickleBatches batches(pickle_, SIZE_MAX, Opcode::SETITEM, Opcode::SETITEMS);
    for_each_item(dict, [&](PyObject* key, PyObject* value) {
      batches.next();
      item(key, value);
      pickle_.next_frame();
    });
    batches.finish();
  }

  void storage_of_results(StorageLists& lists) {
    begin_container(Opcode::EMPTY_DICT);
    pickle::PickleBatches batches(pickle_, SIZE_MAX, Opcode::SETITEM, Opcode::SETITEMS);
    for_each(lists.results, [&](PyObject* of_rank) {
      for_each(of_rank, [&](PyObject* result) {
        require(write_result_.is_of(result));
        const State state(result);
        PyObject* const key = state.get(index_word_);
        PyObject* const info = state.get(storage_word_);
        batches.next();
        storage(key, info);
        pickle_.next_frame();
        append(lists.keys, key);
        append(lists.infos, info);
      });
    });
    batches.finish();
  }

  template <class Function>
  void optional_dict(nb::handle value, Function&& item) {
    value.is_none() ? pickle_.opcode(Opcode::NONE) : dict(value, item);
  }

  template <class Function>
  void list(nb::handle list, Function&& item) {
    begin_container(Opcode::EMPTY_LIST);
    pickle::PickleBatches batches(pickle_, SIZE_MAX, Opcode::APPEND, Opcode::APPENDS);
    for_each(list, [&](PyObject* each) {
      batches.next();
      item(each);
      pickle_.next_frame();
    });
    batches.finish();
  }

  /// REQUIRES: a tuple, or an object of a class made from it.
  template <class Function>
  void tuple(nb::handle tuple, Function&& item) {
    const Py_ssize_t count = PyTuple_Size(tuple.ptr());
    if (count > 3) pickle_.opcode(Opcode::MARK);
    for (Py_ssize_t i = 0; i < count; ++i) item(PyTuple_GetItem(tuple.ptr(), i));
    tuple_of(static_cast<std::size_t>(count));
  }

  /// Of the last values; as Python does, all but the empty one are memoized.
  void tuple_of(std::size_t count) {
    pickle_.tuple(count);
    if (count > 0) pickle_.memoize();
  }

  void begin_container(Opcode empty) {
    pickle_.opcode(empty);
    pickle_.memoize();
  }

  void entry(nb::handle fqn, nb::handle value) {
    text(fqn);
    if (bytes_metadata_.is_of(value)) {
      require(State(value).size() == 0);
      cls(bytes_metadata_);
      pickle_.opcode(Opcode::EMPTY_TUPLE);
      pickle_.opcode(Opcode::NEWOBJ);
      pickle_.memoize();
      return;
    }
    require(tensor_metadata_.is_of(value));
    const State state(value);
    require(state.size() == 3);
    begin_object(tensor_metadata_);
    word(properties_word_);
    properties(state.get(properties_word_));
    word(size_word_);
    size(state.get(size_word_));
    word(chunks_word_);
    list(state.get(chunks_word_), [&](PyObject* chunk) { this->chunk(chunk); });
    end_object();
  }

  void properties(nb::handle value) {
    require(tensor_properties_.is_of(value));
    const State state(value);
    PyObject* const strides = state.find(strides_word_);
    require(state.size() == (strides != nullptr ? 6 : 5) && (strides == nullptr || has_strides_));
    cls(tensor_properties_);
    pickle_.opcode(Opcode::EMPTY_TUPLE);
    pickle_.opcode(Opcode::NEWOBJ);
    pickle_.memoize();
    pickle_.opcode(Opcode::MARK);
    dtype(state.get(dtype_word_));
    layout(state.get(layout_word_));
    boolean(state.get(requires_grad_word_));
    memory_format(state.get(memory_format_word_));
    boolean(state.get(pin_memory_word_));
    if (has_strides_) {
      if (strides == nullptr || strides == Py_None) {
        pickle_.opcode(Opcode::NONE);
      } else if (PyTuple_CheckExact(strides) != 0) {
        numbers(strides);
      } else {
        size(strides);
      }
    }
    pickle_.opcode(Opcode::TUPLE);
    pickle_.memoize();
    pickle_.opcode(Opcode::BUILD);
  }

  void dtype(nb::handle value) {
    require(dtype_type_.is_of(value));
    if (fetch_known(value)) return;
    const nb::object name = value.attr("__reduce__")();
    global({"torch", Text(name).view()});
    remember(value);
  }

  void layout(nb::handle value) {
    require(layout_type_.is_of(value));
    if (fetch_known(value)) return;
    global(names::kGetLayout);
    const nb::object name = nb::str(value);
    pickle_.text(Text(name).view());
    pickle_.memoize();
    call();
    remember(value);
  }

  void memory_format(nb::handle value) {
    std::size_t number = 0;
    while (number < memory_formats_.size() && !value.is(memory_formats_[number])) ++number;
    require(number < memory_formats_.size());
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
    word(offsets_word_);
    size(state.get(offsets_word_));
    word(sizes_word_);
    size(state.get(sizes_word_));
    end_object();
  }

  void planner_path(nb::handle fqn, nb::handle path) {
    text(fqn);
    require(PyTuple_CheckExact(path.ptr()) != 0);
    tuple(path, [&](PyObject* key) { PyLong_CheckExact(key) != 0 ? integer(key) : text(key); });
  }

  void storage(nb::handle index, nb::handle info) {
    require(metadata_index_.is_of(index) && storage_info_.is_of(info));
    const State key(index);
    PyObject* const offset = key.find(offset_word_);
    require(key.size() == (offset != nullptr ? 3 : 2));
    begin_object(metadata_index_);
    word(fqn_word_);
    text(key.get(fqn_word_));
    word(index_word_);
    PyObject* const hint = key.get(index_word_);
    hint == Py_None ? pickle_.opcode(Opcode::NONE) : integer(hint);
    if (offset != nullptr) {
      word(offset_word_);
      size(offset);
    }
    end_object();

    const State value(info);
    PyObject* const transforms = value.find(transforms_word_);
    require(value.size() == (transforms != nullptr ? 4 : 3));
    begin_object(storage_info_);
    word(path_word_);
    text(value.get(path_word_));
    word(offset_word_);
    integer(value.get(offset_word_));
    word(length_word_);
    integer(value.get(length_word_));
    if (transforms != nullptr && transforms != Py_None) {  // DCP leaves None out
      word(transforms_word_);
      const auto each_text = [&](PyObject* each) { text(each); };
      PyTuple_CheckExact(transforms) != 0 ? tuple(transforms, each_text) : list(transforms, each_text);
    }
    end_object();
  }

  void storage_meta(nb::handle value) {
    if (value.is_none()) return pickle_.opcode(Opcode::NONE);
    require(storage_meta_.is_of(value));
    begin_object(storage_meta_);
    for_each_item(State(value).dict(), [&](PyObject* name, PyObject* attribute) {
      text(name);
      if (modules_word_.is(name)) {
        list(attribute, [&](PyObject* each) { text(each); });
      } else if (checkpoint_id_word_.is(name) && posix_path_.is_of(attribute)) {
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
    pickle_.opcode(Opcode::EMPTY_TUPLE);
    pickle_.opcode(Opcode::NEWOBJ);
    pickle_.memoize();
    pickle_.opcode(Opcode::EMPTY_DICT);
    pickle_.memoize();
    pickle_.opcode(Opcode::MARK);
  }
  void end_object() {
    pickle_.opcode(Opcode::SETITEMS);
    pickle_.opcode(Opcode::BUILD);
  }
  /// Of a callable and its argument.
  void call() {
    tuple_of(1);
    pickle_.opcode(Opcode::REDUCE);
    last_ = pickle_.memoize();
  }

  void cls(Class& type) {
    if (type.id) return pickle_.fetch(*type.id);
    global(type.name);
    type.id = last_;
  }
  void global(pickle::ModuleAndName name) {
    pickle_.text(name.module);
    pickle_.memoize();
    pickle_.text(name.name);
    pickle_.memoize();
    pickle_.opcode(Opcode::STACK_GLOBAL);
    last_ = pickle_.memoize();
  }

  bool fetch_known(nb::handle value) {
    PyObject* const id = PyDict_GetItemWithError(ids_.ptr(), value.ptr());
    if (id == nullptr && PyErr_Occurred() != nullptr) throw nb::python_error();
    if (id != nullptr) pickle_.fetch(static_cast<MemoId>(PyLong_AsUnsignedLong(id)));
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
  void word(Word& word) {
    if (word.id) return pickle_.fetch(*word.id);
    pickle_.text(Text(word.name).view());
    word.id = pickle_.memoize();
  }
  void optional_text(nb::handle value) { value.is_none() ? pickle_.opcode(Opcode::NONE) : text(value); }

  void boolean(nb::handle value) {
    require(value.ptr() == Py_True || value.ptr() == Py_False);
    pickle_.opcode(value.ptr() == Py_True ? Opcode::NEWTRUE : Opcode::NEWFALSE);
  }
  void integer(nb::handle value) {
    require(PyLong_CheckExact(value.ptr()) != 0);
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    require(overflow == 0);
    pickle_.integer(number);
  }
  void numbers(nb::handle values) {
    tuple(values, [&](PyObject* value) { integer(value); });
  }
  void size(nb::handle value) {
    require(size_type_.is_of(value));
    cls(size_type_);
    numbers(value);
    call();
  }

  pickle::PickleWriter& pickle_;
  MemoId last_ = 0;  // of what was memoized last
  nb::dict ids_;     // of texts, dtypes, layouts and memory formats

  Class metadata_{names::kMetadata};
  Class tensor_metadata_{names::kTensorStorageMetadata};
  Class bytes_metadata_{names::kBytesStorageMetadata};
  Class tensor_properties_{names::kTensorProperties};
  Class chunk_metadata_{names::kChunkStorageMetadata};
  Class metadata_index_{names::kMetadataIndex};
  Class storage_meta_{names::kStorageMeta};
  Class memory_format_encoding_{names::kMemFormatEncoding};
  Class storage_info_{names::kStorageInfo};
  Class write_result_{{"torch.distributed.checkpoint.storage", "WriteResult"}};
  Class size_type_{names::kSize};
  Class dtype_type_{{"torch", "dtype"}};
  Class layout_type_{{"torch", "layout"}};
  Class posix_path_{{names::kPathModule, to_string(PathType::PosixPath)}};
  std::array<nb::object, 3> memory_formats_;  // in the order of _MEM_FORMAT_ENCODING
  bool has_strides_ = false;

  Word state_dict_word_{"state_dict_metadata"}, planner_word_{"planner_data"}, storage_word_{"storage_data"},
      storage_meta_word_{"storage_meta"}, version_word_{"version"}, properties_word_{"properties"}, size_word_{"size"},
      chunks_word_{"chunks"}, dtype_word_{"dtype"}, layout_word_{"layout"}, requires_grad_word_{"requires_grad"},
      memory_format_word_{"memory_format"}, pin_memory_word_{"pin_memory"}, strides_word_{"strides"},
      offsets_word_{"offsets"}, sizes_word_{"sizes"}, fqn_word_{"fqn"}, index_word_{"index"}, offset_word_{"offset"},
      path_word_{"relative_path"}, length_word_{"length"}, transforms_word_{"transform_descriptors"},
      modules_word_{"modules"}, checkpoint_id_word_{"checkpoint_id"};
};

}  // namespace

bool dump_metadata(nb::handle metadata, StorageLists* storage, pickle::PickleWriter& pickle) {
  try {
    Dumper(pickle).metadata(metadata, storage);
    return true;
  } catch (const NotPlain&) {
    return false;
  }
}

}  // namespace flatpoint::python
