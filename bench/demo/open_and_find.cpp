// Microseconds to open a metadata file, check it as every open does, and find one tensor: the warm median.
// Usage: demo_open_and_find FILE FQN
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "flatpoint/metadata_file.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: demo_open_and_find FILE FQN\n", stderr), 2;
  using Clock = std::chrono::steady_clock;
  constexpr int kWarmUps = 100;
  constexpr int kRuns = 1001;

  std::vector<double> microseconds;
  for (int run = 0; run < kWarmUps + kRuns; ++run) {
    const auto start = Clock::now();
    const auto file = flatpoint::MetadataFile::open(argv[1]);
    const bool found = file && file->view().find(argv[2]).found();
    const auto end = Clock::now();
    if (!file) return std::fprintf(stderr, "%s\n", file.error().message.c_str()), 2;
    if (!found) return std::fprintf(stderr, "no such FQN: %s\n", argv[2]), 1;
    if (run >= kWarmUps) microseconds.push_back(std::chrono::duration<double, std::micro>(end - start).count());
  }
  std::nth_element(microseconds.begin(), microseconds.begin() + kRuns / 2, microseconds.end());
  std::printf("%.2f\n", microseconds[kRuns / 2]);
}
