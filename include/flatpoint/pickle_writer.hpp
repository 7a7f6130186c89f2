// flatpoint/pickle_writer.hpp - writes the instructions of pickle protocol 4. Target flatpoint::dcp.
//
// For bindings that turn objects of another language into the pickle that DCP would have written; `import_pickle` reads
// it.
//
//     pickle::PickleWriter pickle;
//     pickle.protocol();
//     pickle.begin_frame();
//     pickle.text("x");
//     pickle.opcode(pickle::Opcode::STOP);
//     pickle.end_frame();
//     const Buffer bytes = pickle.take();
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "flatpoint/buffer.hpp"
#include "flatpoint/pickle_opcode.hpp"

namespace flatpoint::pickle {

/// How a pickle names a class or a function.
struct ModuleAndName {
  std::string_view module;
  std::string_view name;
  bool operator==(const ModuleAndName&) const = default;
};

/// Owns what it wrote. Knows nothing of values or the memo but the number that MEMOIZE uses next. Not safe to use from
/// two threads at once.
class PickleWriter {
 public:
  /// Memory that is not touched costs nothing: `expected` bytes may be generous.
  explicit PickleWriter(std::size_t expected = 256);
  PickleWriter(PickleWriter&&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin()); }
  [[nodiscard]] std::span<const std::uint8_t> written() const noexcept { return {begin(), size()}; }
  /// The bytes; the writer is empty then.
  Buffer take();

  void opcode(Opcode opcode) {
    reserve(1);
    *at_++ = static_cast<std::uint8_t>(opcode);
  }
  void protocol() {
    opcode(Opcode::PROTO);
    number(std::uint8_t{4});
  }
  /// Python reads a pickle frame by frame, in large pieces. Between two values: begins another where this one is large.
  void next_frame() {
    if (size() - frame_ >= kFrame) begin_frame();
  }
  void begin_frame();
  void end_frame();

  void none() { opcode(Opcode::NONE); }
  void boolean(bool value) { opcode(value ? Opcode::NEWTRUE : Opcode::NEWFALSE); }
  void integer(std::int64_t value);
  void unsigned_integer(std::uint64_t value);
  /// Two's complement, little-endian.
  void long_integer(std::string_view bytes);
  /// Digits, as protocol 0 writes them.
  void decimal(std::string_view digits);
  void real(double value);
  void text(std::string_view utf8);
  void bytes(std::string_view data);

  /// A tuple of the last `count` values. REQUIRES: mark() stands before them where count > 3.
  void tuple(std::size_t count);
  void mark() { opcode(Opcode::MARK); }

  /// The number under which the last value can be fetched.
  std::uint32_t memoize() {
    opcode(Opcode::MEMOIZE);
    return static_cast<std::uint32_t>(memo_size_++);
  }
  void fetch(std::uint32_t id);
  /// Values memoized; numbers beyond 2^32 cannot be fetched.
  [[nodiscard]] std::uint64_t memo_size() const noexcept { return memo_size_; }

  /// Writes once more what stands at a place. REQUIRES: nothing in it that memoizes, or count it by `memoized`.
  void repeat(std::size_t begin, std::size_t count, std::uint32_t memoized = 0);

 private:
  static constexpr std::size_t kFrame = std::size_t{64} << 10;

  template <class Number>
  void number(Number value) {
    reserve(sizeof value);
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void raw(std::string_view data);
  void counted(Opcode short_form, Opcode form, Opcode long_form, std::string_view data);
  void reserve(std::size_t count) {
    if (static_cast<std::size_t>(end_ - at_) < count) grow(count);
  }
  void grow(std::size_t count);
  [[nodiscard]] const std::uint8_t* begin() const noexcept {
    return reinterpret_cast<const std::uint8_t*>(buffer_.bytes().data());
  }
  void hold(Buffer buffer, std::size_t used);

  Buffer buffer_;
  std::uint8_t* at_ = nullptr;
  std::uint8_t* end_ = nullptr;
  std::uint64_t memo_size_ = 0;
  std::size_t frame_ = 0;  // where the open frame's content begins; 0: none is open
};

/// The items of a dict or list, in batches as Python's pickle writes them: what stands on the stack at once is bounded.
class PickleBatches {
 public:
  /// At most `most` items; one alone takes the instruction `one`.
  PickleBatches(PickleWriter& pickle, std::size_t most, Opcode one, Opcode many)
      : pickle_(pickle), alone_(most == 1), end_(alone_ ? one : many) {}
  /// Before each item.
  void next() {
    if (count_ == kBatch) finish();
    if (count_++ == 0 && !alone_) pickle_.mark();
  }
  /// Behind the last.
  void finish() {
    if (count_ > 0) pickle_.opcode(end_);
    count_ = 0;
  }

 private:
  static constexpr unsigned kBatch = 1000;
  PickleWriter& pickle_;
  bool alone_;
  Opcode end_;
  unsigned count_ = 0;
};

static_assert(std::endian::native == std::endian::little);

}  // namespace flatpoint::pickle
