#include "progress.hpp"

#include <unistd.h>

#include "output.hpp"
#include "text.hpp"

namespace flatpoint::tool {

Progress::Progress() : on_terminal_(::isatty(STDERR_FILENO) == 1), begin_(Clock::now()), last_(begin_) {}

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

}  // namespace flatpoint::tool
