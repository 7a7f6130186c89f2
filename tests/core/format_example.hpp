// The worked example of docs/format.md: a file of two tensors, byte by byte.
#pragma once

#include <string>

namespace flatpoint::test {

/// The example's bytes in hexadecimal, each line with what it holds.
std::string format_example();

}  // namespace flatpoint::test
