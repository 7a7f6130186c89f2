// From torch's Metadata object to a pickle of it, in one pass.
#pragma once

#include <nanobind/nanobind.h>

#include "flatpoint/pickle_writer.hpp"

namespace flatpoint::python {

/// storage_data before it is a dictionary: equal keys stand in it as often as they come.
struct StorageLists {
  nanobind::list results;      // per rank a list of WriteResult
  nanobind::list keys, infos;  // what dump_metadata took from them: the keys and values, in order
};

/// Writes a pickle that unpickles to an equal object: the same dictionaries in the same orders. Equal texts are written
/// once. False: the object, or something in it, is not exactly what DCP makes (another class, another attribute, a
/// number beyond int64, ...), which Python's own pickle has to write.
///
/// `storage`, where it is not null, takes the place of the object's own storage_data.
bool dump_metadata(nanobind::handle metadata, StorageLists* storage, pickle::PickleWriter& pickle);

}  // namespace flatpoint::python
