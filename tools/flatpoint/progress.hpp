// progress.hpp - how far long work has come, on a terminal alone.
#pragma once

#include <chrono>
#include <cstdint>

namespace flatpoint::tool {

/// Keeps one line of standard error up to date, "1.2 GiB of 40.0 GiB, 1.1 GiB/s, 36 s left", a few times a second and
/// gone at the end; prints nothing where standard error is no terminal.
class Progress {
 public:
  Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();
  /// Bytes.
  void show(std::uint64_t done, std::uint64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  bool on_terminal_;
  bool shown_ = false;
  Clock::time_point begin_;
  Clock::time_point last_;
};

}  // namespace flatpoint::tool
