// support/report.hpp - the lines that the programs print and bench/report.py reads: work, contender, state, median,
// minimum, laps.
#pragma once

#include <cstdio>
#include <string>

#include "support/race.hpp"

namespace bench {

inline void print_line(const std::string& work, const std::string& contender, const char* state,
                       std::vector<double> laps) {
  std::printf("%s\t%s\t%s\t%.3f\t%.3f\t%zu\n", work.c_str(), contender.c_str(), state, median(laps),
              *std::min_element(laps.begin(), laps.end()), laps.size());
  std::fflush(stdout);
}

/// The medians of a race, in nanoseconds per operation. `state` is warm or cold.
inline void print_race(const std::string& work, const char* state, const Race& race) {
  for (const Race::Contender& c : race.contenders()) print_line(work, c.name, state, c.laps);
}

}  // namespace bench
