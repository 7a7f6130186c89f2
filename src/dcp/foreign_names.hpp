// dcp/foreign_names.hpp - which names a value needs that are neither DCP's nor those of plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dcp/heap.hpp"

namespace flatpoint::dcp {

/// Whether loading the name imports DCP, torch or the standard library only, and calling it makes a value and does
/// nothing else.
bool is_own_name(std::string_view module, std::string_view name) noexcept;

/// "module.name" of the others among all that the value refers to, each once. Python's getattr, which some Pythons call
/// for the members of an enum, is a foreign name where it is called for anything else.
std::vector<std::string> foreign_names(const Heap& heap, Value value);

}  // namespace flatpoint::dcp
