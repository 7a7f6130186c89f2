// Text and numbers between the library and Python.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace flatpoint::python {

namespace nb = nanobind;

/// The str of UTF-8 bytes with surrogates; bytes that are not even that come through as `surrogateescape` does it.
nb::str to_str(std::string_view bytes);

/// A str as the library's bytes. Borrows from the str where it can; the str must outlive it.
class Text {
 public:
  /// Raises TypeError for anything but a str. `errors`: what becomes of surrogates.
  explicit Text(nb::handle text, const char* errors = "surrogatepass");
  /// Whether the str holds surrogates, so that other bytes could be meant.
  [[nodiscard]] bool has_surrogates() const noexcept { return encoded_.is_valid(); }
  [[nodiscard]] std::string_view view() const noexcept { return view_; }

 private:
  nb::object encoded_;
  std::string_view view_;
};

nb::tuple to_tuple(std::span<const std::int64_t> values);

/// An iterable of int. Raises what Python raises for anything else.
std::vector<std::int64_t> to_values(nb::handle iterable);

/// What a call of Python's C interface made; raises where it made nothing.
inline nb::object checked(PyObject* made) {
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

}  // namespace flatpoint::python
