// From torch's Metadata object to a pickle of it, in one pass.
#pragma once

#include <nanobind/nanobind.h>

#include "pickle.hpp"

namespace flatpoint::python {

/// Writes a pickle that unpickles to an equal object: the same dictionaries in the same orders. Equal texts are written
/// once. False: the object, or something in it, is not exactly what DCP makes (another class, another attribute, a
/// number beyond int64, ...), which Python's own pickle has to write.
bool dump_metadata(nanobind::handle metadata, Pickle& pickle);

}  // namespace flatpoint::python
