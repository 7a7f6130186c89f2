// dcp/heap.hpp - the heap of a pickle that may hold DCP's classes.
#pragma once

#include <cstdint>
#include <span>

#include "dcp/folded.hpp"
#include "dcp/known_names.hpp"
#include "pickle/heap.hpp"

namespace flatpoint::dcp {

struct Heap : pickle::Heap {
  explicit Heap(std::span<const std::uint8_t> pickle) : pickle::Heap(pickle, meaning_of_name) {}

  Records records;

  // The classes of folded objects, as the pickle named them.
  Value size_class;
  Value chunk_class;
  Value index_class;
  Value info_class;

  [[nodiscard]] Known known(Value value) const {
    return value.is(Tag::Global) ? static_cast<Known>(globals[value.number()].meaning) : Known::Other;
  }
};

}  // namespace flatpoint::dcp
