// dcp/foreign_names.hpp - the closed list of what an export may write: each callable with the form of its arguments,
// and what may be done to what it makes. Everything else is foreign.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dcp/heap.hpp"

namespace flatpoint::dcp {

/// What a value needs that neither DCP's objects nor plain values do, for people, sorted, each once: "posix.system", or
/// "builtins.getattr (called in another way than for DCP)". `is_item`: the value is a pair, a key and its value in a
/// dict.
std::vector<std::string> foreign_parts(const Heap& heap, Value value, bool is_item);

/// Whether torch has, or may come to have, a type of that name; no function's name is of that form.
bool is_dtype_name(std::string_view name) noexcept;

/// Python itself looks at attributes that begin so: __setstate__, __class__, ...
inline bool is_special_attribute(std::string_view name) noexcept { return name.starts_with("__"); }

}  // namespace flatpoint::dcp
