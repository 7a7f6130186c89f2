// How a fuzz target says that something does not hold.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace flatpoint::fuzz {

inline void require_nothing(const std::vector<std::string>& wrong) {
  for (const std::string& what : wrong) std::fprintf(stderr, "does not hold: %s\n", what.c_str());
  if (!wrong.empty()) std::abort();
}

inline void require(bool holds, const char* what) {
  if (!holds) require_nothing({what});
}

}  // namespace flatpoint::fuzz
