#include "progress.hpp"

#include <unistd.h>

#include "output.hpp"
#include "text.hpp"

namespace flatpoint::tool {

Progress::Progress() : on_terminal_(is_terminal(STDERR_FILENO)), begin_(Clock::now()), last_(begin_) {}

Progress::~Progress() {
  if (shown_) write_standard_error("\r\x1b[K");
}

void Progress::show(std::uint64_t done, std::uint64_t total) {
  constexpr std::chrono::milliseconds kEvery{200};
  const auto now = Clock::now();
  if (!on_terminal_ || now - last_ < kEvery) return;
  last_ = now;
  shown_ = true;
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  const double rate = static_cast<double>(done) / seconds;
  std::string line = fmt::format("\r{} of {}, {}/s", human_size(done), human_size(total),
                                 human_size(static_cast<std::uint64_t>(rate)));
  if (done > 0 && done <= total) line += fmt::format(", {:.0f} s left", static_cast<double>(total - done) / rate);
  write_standard_error(line + "\x1b[K");
}

Waiting::Waiting(std::string what) : what_(std::move(what)) {
  if (is_terminal(STDERR_FILENO)) thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
}

Waiting::~Waiting() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Waiting::run(std::stop_token stop) {
  using namespace std::chrono_literals;
  const auto begin = std::chrono::steady_clock::now();
  bool shown = false;
  std::unique_lock lock(mutex_);
  for (auto until = begin + 2s; !stop.stop_requested(); until += 1s) {
    wake_.wait_until(lock, stop, until, [] { return false; });
    if (stop.stop_requested()) break;
    const std::chrono::duration<double> passed = until - begin;
    write_standard_error(fmt::format("\rreading {}: {:.0f} s\x1b[K", printable(what_), passed.count()));
    shown = true;
  }
  if (shown) write_standard_error("\r\x1b[K");
}

}  // namespace flatpoint::tool
