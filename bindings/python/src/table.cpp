// The entries and the chunks of a checkpoint as tables: columns that NumPy and Arrow read.
#include <memory>
#include <string>
#include <unordered_map>

#include "arrow.hpp"
#include "opened.hpp"
#include "text.hpp"

namespace flatpoint::python {
namespace {

using Type = ArrowColumn::Type;

/// What Python asks for columns.
struct Table {
  ArrowTable columns;
};

/// UTF-8 without surrogates, which Arrow has no place for: they become U+FFFD.
std::string to_utf8(std::string_view bytes) {
  const nb::object text = checked(PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
  Py_ssize_t size = 0;
  const char* const utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (utf8 == nullptr) throw nb::python_error();
  return {utf8, static_cast<std::size_t>(size)};
}

std::shared_ptr<ArrowColumn> make_column(const char* name, Type type) {
  return std::make_shared<ArrowColumn>(name, type);
}

/// Texts that are met often, each kept once.
class Coded {
 public:
  explicit Coded(const char* name) : column_(make_column(name, Type::Coded)) { column_->set_dictionary(texts_); }

  std::int32_t text(std::string_view text) {
    texts_->add_text(to_utf8(text));
    return static_cast<std::int32_t>(texts_->size() - 1);
  }
  [[nodiscard]] const std::shared_ptr<ArrowColumn>& column() const noexcept { return column_; }

 private:
  std::shared_ptr<ArrowColumn> texts_ = make_column("", Type::Text);
  std::shared_ptr<ArrowColumn> column_;
};

void add_list(ArrowColumn& column, std::span<const std::int64_t> values) {
  for (const std::int64_t value : values) column.add_value(value);
  column.end_list();
}

EntryView entry_at(const MetadataView& view, std::uint32_t i) { return value_of(view.entry_in_dcp_order(i)); }

/// Bytes of all items of an entry.
std::uint64_t stored_bytes(const EntryView& entry, std::uint32_t chunks) {
  if (entry.type() == StorageType::Bytes) {
    const auto storage = entry.bytes_storage();
    return found(storage) ? storage->length() : 0;
  }
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < chunks; ++i) {
    const auto storage = value_of(value_of(entry.tensor()).chunk(i)).storage();
    if (found(storage)) bytes += storage->length();
  }
  return bytes;
}

class EntriesTable {
 public:
  explicit EntriesTable(const MetadataView& view) : view_(view) {
    for (const char* const kind : {"tensor", "bytes", "opaque"}) kind_.text(kind);  // the numbers of StorageType
  }

  ArrowTable make() {
    for (std::uint32_t i = 0; i < view_.size(); ++i) add(entry_at(view_, i));
    return {fqn_, kind_.column(), dtype_.column(), shape_, nbytes_, chunks_, stored_};
  }

 private:
  void add(const EntryView& entry) {
    fqn_->add_text(to_utf8(entry.fqn()));
    kind_.column()->add_code(static_cast<std::int32_t>(entry.type()));
    if (entry.type() != StorageType::Tensor) {
      dtype_.column()->add_null();
      shape_->add_null();
      nbytes_->add_null();
      chunks_->add_null();
      stored_->add_number(stored_bytes(entry, 0));
      return;
    }
    const TensorView tensor = value_of(entry.tensor());
    dtype_.column()->add_code(code_of(tensor));
    add_list(*shape_, tensor.size());
    const auto bytes = data::box_bytes(tensor, tensor.size());
    if (bytes && item_size(tensor.dtype()) != 0) {
      nbytes_->add_number(*bytes);
    } else {
      nbytes_->add_null();  // a dtype of unknown width, or more than 63 bits
    }
    chunks_->add_number(tensor.chunk_count());
    stored_->add_number(stored_bytes(entry, tensor.chunk_count()));
  }

  std::int32_t code_of(const TensorView& tensor) {
    const auto [at, is_new] = codes_.try_emplace(std::string(tensor.dtype_name()), 0);
    if (is_new) at->second = dtype_.text(tensor.dtype_name());
    return at->second;
  }

  MetadataView view_;
  std::shared_ptr<ArrowColumn> fqn_ = make_column("fqn", Type::Text);
  Coded kind_{"kind"};
  Coded dtype_{"dtype"};
  std::unordered_map<std::string, std::int32_t> codes_;
  std::shared_ptr<ArrowColumn> shape_ = make_column("shape", Type::Lists);
  std::shared_ptr<ArrowColumn> nbytes_ = make_column("nbytes", Type::Number);
  std::shared_ptr<ArrowColumn> chunks_ = make_column("chunks", Type::Number);
  std::shared_ptr<ArrowColumn> stored_ = make_column("stored_bytes", Type::Number);
};

class ChunksTable {
 public:
  explicit ChunksTable(const MetadataView& view) : view_(view) {
    for (std::uint32_t i = 0; i < view.size(); ++i) fqn_.text(entry_at(view, i).fqn());
    for (std::uint32_t i = 0; i < view.file_count(); ++i) file_.text(value_of(view.file_name(i)));
  }

  /// Needs no lock of the interpreter. False where the file is corrupt.
  [[nodiscard]] bool fill() {
    for (std::uint32_t i = 0; i < view_.size(); ++i) {
      const auto entry = view_.entry_in_dcp_order(i);
      if (!entry || !add(*entry, static_cast<std::int32_t>(i))) return false;
    }
    return true;
  }

  [[nodiscard]] ArrowTable columns() const {
    return {fqn_.column(), chunk_, offsets_, sizes_, file_.column(), byte_offset_, length_, row_};
  }

 private:
  [[nodiscard]] bool add(const EntryView& entry, std::int32_t fqn) {
    if (entry.type() == StorageType::Bytes) {
      add_head(fqn, 0);
      offsets_->add_null();
      sizes_->add_null();
      row_->add_null();
      return add_storage(entry.bytes_storage());
    }
    const auto tensor = entry.tensor();
    if (tensor.absent()) return true;
    if (!tensor) return false;
    for (std::uint32_t i = 0; i < tensor->chunk_count(); ++i) {
      const auto chunk = tensor->chunk(i);
      if (!chunk) return false;
      add_head(fqn, i);
      for (std::uint8_t d = 0; d < chunk->ndim(); ++d) offsets_->add_value(chunk->offset(d));
      for (std::uint8_t d = 0; d < chunk->ndim(); ++d) sizes_->add_value(chunk->size(d));
      offsets_->end_list();
      sizes_->end_list();
      row_->add_number(chunk->row());
      if (!add_storage(chunk->storage())) return false;
    }
    return true;
  }

  void add_head(std::int32_t fqn, std::uint32_t chunk) {
    fqn_.column()->add_code(fqn);
    chunk_->add_number(chunk);
  }

  [[nodiscard]] bool add_storage(const Lookup<StorageInfoView>& storage) {
    if (storage.corrupt()) return false;
    if (!storage) {
      file_.column()->add_null();
      byte_offset_->add_null();
      length_->add_null();
      return true;
    }
    if (storage->file() >= view_.file_count()) return false;
    file_.column()->add_code(static_cast<std::int32_t>(storage->file()));
    byte_offset_->add_number(storage->byte_offset());
    length_->add_number(storage->length());
    return true;
  }

  MetadataView view_;
  Coded fqn_{"fqn"};
  std::shared_ptr<ArrowColumn> chunk_ = make_column("chunk", Type::Number);
  std::shared_ptr<ArrowColumn> offsets_ = make_column("offsets", Type::Lists);
  std::shared_ptr<ArrowColumn> sizes_ = make_column("sizes", Type::Lists);
  Coded file_{"file"};
  std::shared_ptr<ArrowColumn> byte_offset_ = make_column("byte_offset", Type::Number);
  std::shared_ptr<ArrowColumn> length_ = make_column("length", Type::Number);
  std::shared_ptr<ArrowColumn> row_ = make_column("row", Type::Number);
};

/// A node of Arrow's interface as the capsule that its readers take; what they did not take goes with it.
template <class Node>
nb::object capsule(const ArrowTable& table, const char* name, void (*fill)(const ArrowTable&, Node&),
                   PyCapsule_Destructor destroy) {
  auto node = std::make_unique<Node>();
  fill(table, *node);
  PyObject* const made = PyCapsule_New(node.get(), name, destroy);
  if (made == nullptr) {
    node->release(node.get());
    throw nb::python_error();
  }
  (void)node.release();
  return nb::steal(made);
}

constexpr const char* kStream = "arrow_array_stream";
constexpr const char* kSchema = "arrow_schema";

template <class Node>
void destroy(PyObject* capsule) {
  auto* const node =
      static_cast<Node*>(PyCapsule_GetPointer(capsule, std::is_same_v<Node, ArrowSchema> ? kSchema : kStream));
  if (node->release != nullptr) node->release(node);
  delete node;
}

nb::object stream(const Table& table) {
  return capsule<ArrowArrayStream>(table.columns, kStream, &export_stream, &destroy<ArrowArrayStream>);
}

nb::object schema(const Table& table) {
  return capsule<ArrowSchema>(table.columns, kSchema, &export_schema, &destroy<ArrowSchema>);
}

template <class T>
nb::object bytes_of(const std::vector<T>& values) {
  return nb::bytes(values.data(), values.size() * sizeof(T));
}

nb::object validity(const ArrowColumn& column) { return column.nulls() > 0 ? bytes_of(column.valid()) : nb::none(); }

nb::list texts_of(const ArrowColumn& column) {
  nb::list texts;
  for (std::size_t i = 0; i + 1 < column.ends().size(); ++i) {
    const auto begin = static_cast<std::size_t>(column.ends()[i]);
    texts.append(
        to_str(std::string_view(column.text()).substr(begin, static_cast<std::size_t>(column.ends()[i + 1]) - begin)));
  }
  return texts;
}

/// (type, the column's values, what belongs to them, bits of the rows that are not null or None).
nb::object parts_of(const Table& table, nb::str name) {
  const Text wanted(name);
  for (const auto& column : table.columns) {
    if (column->name() != wanted.view()) continue;
    switch (column->type()) {
      case Type::Number: return nb::make_tuple("numbers", bytes_of(column->numbers()), nb::none(), validity(*column));
      case Type::Text: return nb::make_tuple("texts", texts_of(*column), nb::none(), validity(*column));
      case Type::Coded:
        return nb::make_tuple("codes", bytes_of(column->codes()), texts_of(*column->dictionary()), validity(*column));
      case Type::Lists:
        return nb::make_tuple("lists", bytes_of(column->values()), bytes_of(column->ends()), validity(*column));
    }
  }
  PyErr_SetObject(PyExc_KeyError, name.ptr());
  throw nb::python_error();
}

nb::tuple names_of(const Table& table) {
  nb::list names;
  for (const auto& column : table.columns) names.append(to_str(column->name()));
  return nb::tuple(names);
}

}  // namespace

nb::object entries_table(const Opened& opened) { return nb::cast(Table{EntriesTable(opened->file.view()).make()}); }

nb::object chunks_table(const Opened& opened) {
  ChunksTable table(opened->file.view());
  const bool sound = [&] {
    const nb::gil_scoped_release release;
    return table.fill();
  }();
  if (!sound) raise_corrupt();
  return nb::cast(Table{table.columns()});
}

void bind_table(nb::module_& m) {
  nb::class_<Table>(m, "TableColumns", nb::is_final(), "The columns of a Table, in memory of their own.")
      .def_prop_ro("names", &names_of, "Of the columns.")
      .def("__len__", [](const Table& t) { return t.columns.front()->size(); })
      .def("parts", &parts_of, nb::arg("name"), "What flatpoint.Table makes an array of.")
      .def("stream", &stream, "A capsule with Arrow's C stream.")
      .def("schema", &schema, "A capsule with Arrow's C schema.");
}

}  // namespace flatpoint::python
