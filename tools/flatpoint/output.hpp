// output.hpp - standard output and standard error.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/format.hpp"

namespace flatpoint::tool {

enum class Colour { Red = 31, Green = 32, Yellow = 33, Bold = 1 };

/// Whether what goes to a standard stream may be coloured: a terminal that can, and nobody who minds (NO_COLOR).
[[nodiscard]] bool takes_colour(int descriptor);

/// Buffered standard output. A reader that went away (`| head`) is no error: what follows is dropped. Any other failure
/// is kept for `finish`.
class Output {
 public:
  void write(std::string_view text) {
    buffer_.append(text);
    if (buffer_.size() >= kFull) flush();
  }
  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    fmt::append(buffer_, format, std::forward<Args>(args)...);
    if (buffer_.size() >= kFull) flush();
  }

  /// Nobody reads any more: a long listing may stop.
  [[nodiscard]] bool closed() const noexcept { return closed_; }

  /// Columns of the terminal that this is; unset for pipes and files, whose lines are never shortened.
  [[nodiscard]] std::optional<std::size_t> width() const;
  /// The text in a colour, where this is a terminal and NO_COLOR is not set.
  [[nodiscard]] std::string painted(Colour colour, std::string_view text) const;

  /// Forgets what was not written yet.
  void drop() { buffer_.clear(); }

  /// Writes what is left. Returns 0, or the errno of the first write that failed.
  int finish() {
    flush();
    return error_;
  }

 private:
  static constexpr std::size_t kFull = std::size_t{1} << 16;
  void flush();

  std::string buffer_;
  int error_ = 0;
  bool closed_ = false;
};

/// Occupies closed standard descriptors, so that no file of ours becomes one of them, turns SIGPIPE into an error of
/// write, and SIGBUS, which a mapped file raises when somebody cuts it short, into an error of ours. Call first.
void prepare_process();

/// Whether a standard stream is a person's.
[[nodiscard]] bool is_terminal(int descriptor);

/// One line on standard error, "flatpoint: KIND: MESSAGE" ("flatpoint: MESSAGE" without a kind). Control characters are
/// escaped.
void complain(std::string_view kind, std::string_view message);

/// The bytes as they are, to standard error. There is nobody to tell where that fails.
void write_standard_error(std::string_view text);

}  // namespace flatpoint::tool
