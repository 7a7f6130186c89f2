// dcp/odd_keys.hpp - keys of a dict that are none of DCP's.
#pragma once

#include <cstdint>
#include <string>

#include "base/text_map.hpp"
#include "dcp/heap.hpp"

namespace flatpoint::dcp {

/// Of two keys that Python finds equal a dict keeps the first, with the second's value. Keys made of plain values are
/// compared here as Python does; of others (a foreign class, a call, a name) only Python can tell, and whether they
/// have a hash at all.
class OddKeys {
 public:
  enum class Answer { New, Repeated, Unknown };
  Answer add(const Heap& heap, Value key);

 private:
  base::TextMap<std::string, bool> seen_;
};

}  // namespace flatpoint::dcp
