#include "output.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "text.hpp"
#include "verb.hpp"

namespace flatpoint::tool {
namespace {

/// Returns 0 or errno.
int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// Only what a signal handler may do.
void on_bus_error(int) {
  static_cast<void>(write_all(STDERR_FILENO, "flatpoint: error: a file was cut short while it was read\n"));
  ::_exit(static_cast<int>(Exit::Error));
}

}  // namespace

bool takes_colour(int descriptor) {
  const char* const no = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  const bool is_dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return is_terminal(descriptor) && !is_dumb && (no == nullptr || *no == '\0');
}

std::optional<std::size_t> Output::width() const {
  constexpr std::size_t kLeast = 40;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return std::max<std::size_t>(size.ws_col, kLeast);
}

std::string Output::painted(Colour colour, std::string_view text) const {
  static const bool takes = takes_colour(STDOUT_FILENO);
  if (!takes) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", static_cast<int>(colour), text);
}

void Output::flush() {
  if (!closed_) {
    const int number = write_all(STDOUT_FILENO, buffer_);
    closed_ = number != 0;
    if (number != EPIPE) error_ = number;
  }
  buffer_.clear();
}

void prepare_process() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // Opened the wrong way round, so that using it fails as it does when closed.
    const int flags = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) static_cast<void>(::open("/dev/null", flags));
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error of `write`
  std::signal(SIGBUS, on_bus_error);
}

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

void complain(std::string_view kind, std::string_view message) {
  std::string shown = kind.empty() ? std::string() : fmt::format("{}: ", kind);
  if (kind == "error" && takes_colour(STDERR_FILENO)) shown = fmt::format("\x1b[31m{}\x1b[0m", shown);
  write_standard_error(fmt::format("flatpoint: {}{}\n", shown, printable(message, Backslash::Keep)));
}

void write_standard_error(std::string_view text) { static_cast<void>(write_all(STDERR_FILENO, text)); }

}  // namespace flatpoint::tool
