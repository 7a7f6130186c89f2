// How the module reads data: with how many threads, and so that Ctrl-C ends it.
#pragma once

#include <algorithm>
#include <chrono>
#include <future>
#include <stop_token>
#include <thread>

#include "opened.hpp"

namespace flatpoint::python {

/// `wished`: 0 chooses.
inline std::uint32_t threads_for(std::uint32_t wished, std::uint64_t bytes) {
  constexpr std::uint64_t kWorthAThread = std::uint64_t{4} << 20;
  if (wished > 0) return wished;
  const std::uint64_t most = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(bytes / kWorthAThread, 1, most));
}

/// Runs a long read beside, without the lock of the interpreter, and looks for signals meanwhile: Ctrl-C ends it.
template <class Read>
Result<data::ReadReport> run_interruptibly(Read read) {
  constexpr std::chrono::milliseconds kPatience{50};
  std::stop_source stop;
  auto reading = std::async(std::launch::async, [&] { return read(stop.get_token()); });
  const auto wait = [&](bool to_the_end) {
    const nb::gil_scoped_release release;
    if (to_the_end) reading.wait();
    return reading.wait_for(kPatience) == std::future_status::ready;
  };
  while (!wait(false)) {
    if (PyErr_CheckSignals() == 0) continue;
    stop.request_stop();
    wait(true);
    throw nb::python_error();
  }
  return reading.get();
}

}  // namespace flatpoint::python
