// progress.hpp - how far long work has come, on a terminal alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

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

/// Work of which bytes are done one after the other.
class Task {
 public:
  explicit Task(std::uint64_t total) : total_(total) {}
  void add(std::uint64_t bytes) { progress_.show(done_ += bytes, total_); }

 private:
  Progress progress_;
  std::uint64_t done_ = 0;
  std::uint64_t total_;
};

/// Says what is being read, and for how long, where that takes more than two seconds. Likewise.
class Waiting {
 public:
  explicit Waiting(std::string what);
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting();

 private:
  void run(std::stop_token stop);

  std::string what_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // where standard error is a terminal
};

}  // namespace flatpoint::tool
