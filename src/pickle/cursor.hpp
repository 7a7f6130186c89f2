// pickle/cursor.hpp - walks through the bytes of a pickle.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "pickle/digest.hpp"

namespace flatpoint::pickle {

static_assert(std::endian::native == std::endian::little);

/// Where the machine is. A fold policy moves it, too.
///
/// No instruction may reach beyond the end of its frame: Python's three unpicklers read such a pickle in three ways.
class Cursor {
 public:
  /// `digest` may be null.
  Cursor(std::span<const std::uint8_t> input, ContentDigest* digest)
      : input_(input), digest_(digest), end_(input.size()) {}

  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  /// To the end of the frame, or of the input outside of frames.
  [[nodiscard]] std::size_t left() const noexcept { return end_ - at_; }
  [[nodiscard]] std::span<const std::uint8_t> input() const noexcept { return input_; }
  /// REQUIRES: at <= input().size().
  void move_to(std::size_t at) noexcept { at_ = at; }

  /// Each of these returns false, and does not move, where the frame or the pickle ends too early.
  bool take(std::uint64_t count, std::string_view& bytes) noexcept {
    if (count > left()) return false;
    bytes = {reinterpret_cast<const char*>(input_.data()) + at_, static_cast<std::size_t>(count)};
    at_ += bytes.size();
    return true;
  }
  template <class Number>
  bool take_number(Number& number) noexcept {
    if (sizeof(Number) > left()) return false;
    static_assert(std::is_integral_v<Number>);
    std::memcpy(&number, input_.data() + at_, sizeof number);
    asm volatile("" : "+r"(number));  // the bytes may change underneath: never read them again
    at_ += sizeof number;
    return true;
  }
  /// Without its newline.
  bool take_line(std::string_view& line) noexcept {
    if (left() == 0) return false;
    const void* const newline = std::memchr(input_.data() + at_, '\n', left());
    if (newline == nullptr) return false;
    const auto length = static_cast<std::size_t>(static_cast<const std::uint8_t*>(newline) - (input_.data() + at_));
    if (!take(length, line)) return false;
    ++at_;
    return true;
  }

  /// A frame of that many bytes begins at `at`. False: there are not so many. REQUIRES: at <= input().size().
  bool enter_frame(std::size_t at, std::uint64_t length) {
    if (length > input_.size() - at) return false;
    end_ = frame_end_ = at + static_cast<std::size_t>(length);
    if (digest_ != nullptr) digest_->cover(frame_end_);
    return true;
  }
  /// Goes on behind the frame. False: this is not its end, or there is none.
  bool leave_frame() noexcept {
    if (at_ != end_ || end_ == input_.size()) return false;
    end_ = input_.size();
    return true;
  }
  /// End of the latest frame; may lie behind the cursor. 0: there was none.
  [[nodiscard]] std::size_t frame_end() const noexcept { return frame_end_; }

 private:
  std::span<const std::uint8_t> input_;
  ContentDigest* digest_;
  std::size_t end_;
  std::size_t at_ = 0;
  std::size_t frame_end_ = 0;
};

}  // namespace flatpoint::pickle
