#include "text.hpp"

namespace flatpoint::python {
namespace {

PyObject* decode(std::string_view bytes, const char* errors) {
  return PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), errors);
}

}  // namespace

nb::str to_str(std::string_view bytes) {
  PyObject* text = decode(bytes, "surrogatepass");
  if (text == nullptr && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) != 0) {
    PyErr_Clear();
    text = decode(bytes, "surrogateescape");
  }
  return nb::borrow<nb::str>(checked(text));
}

Text::Text(nb::handle text, const char* errors) {
  if (PyUnicode_Check(text.ptr()) == 0) {
    PyErr_Format(PyExc_TypeError, "expected a str, not %S", Py_TYPE(text.ptr()));
    throw nb::python_error();
  }
  Py_ssize_t size = 0;
  if (const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size)) {
    view_ = {bytes, static_cast<std::size_t>(size)};
    return;
  }
  if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw nb::python_error();
  PyErr_Clear();
  encoded_ = checked(PyUnicode_AsEncodedString(text.ptr(), "utf-8", errors));
  view_ = {PyBytes_AsString(encoded_.ptr()), static_cast<std::size_t>(PyBytes_Size(encoded_.ptr()))};
}

nb::tuple to_tuple(std::span<const std::int64_t> values) {
  nb::object tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
  Py_ssize_t at = 0;
  for (const std::int64_t value : values) {
    if (PyTuple_SetItem(tuple.ptr(), at++, checked(PyLong_FromLongLong(value)).release().ptr()) != 0) {
      throw nb::python_error();
    }
  }
  return nb::borrow<nb::tuple>(tuple);
}

std::vector<std::int64_t> to_values(nb::handle iterable) {
  std::vector<std::int64_t> values;
  const nb::object numbers = checked(PySequence_Tuple(iterable.ptr()));  // itself, where it is one
  const Py_ssize_t count = PyTuple_Size(numbers.ptr());
  values.reserve(static_cast<std::size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    const nb::object number = checked(PyNumber_Index(PyTuple_GetItem(numbers.ptr(), i)));
    const long long value = PyLong_AsLongLong(number.ptr());
    if (value == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
    values.push_back(value);
  }
  return values;
}

}  // namespace flatpoint::python
