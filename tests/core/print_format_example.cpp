// Prints the worked example, to be put at the end of docs/format.md.
#include <cstdio>

#include "core/format_example.hpp"

int main() { std::fputs(flatpoint::test::format_example().c_str(), stdout); }
