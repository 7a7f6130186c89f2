// The instructions of pickle protocol 4 that DCP's Metadata needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>

namespace flatpoint::python {

/// Opcodes of Python's pickletools.
enum class Op : std::uint8_t {
  Mark = '(',
  Stop = '.',
  BinInt = 'J',
  BinInt1 = 'K',
  BinInt2 = 'M',
  None = 'N',
  Reduce = 'R',
  BinUnicode = 'X',
  Build = 'b',
  EmptyDict = '}',
  Appends = 'e',
  BinGet = 'h',
  LongBinGet = 'j',
  EmptyList = ']',
  Tuple = 't',
  EmptyTuple = ')',
  SetItems = 'u',
  Proto = 0x80,
  NewObj = 0x81,
  Tuple1 = 0x85,
  Tuple2 = 0x86,
  Tuple3 = 0x87,
  NewTrue = 0x88,
  NewFalse = 0x89,
  Long1 = 0x8A,
  ShortBinUnicode = 0x8C,
  BinUnicode8 = 0x8D,
  StackGlobal = 0x93,
  Memoize = 0x94,
  Frame = 0x95,
};

/// Writes them into memory of its own, in frames as Python does.
class Pickle {
 public:
  using MemoId = std::uint32_t;

  void begin() {
    op(Op::Proto);
    put(std::uint8_t{4});
    begin_frame();
  }
  void end() {
    op(Op::Stop);
    end_frame();
  }
  /// Between two values: begins another frame where this one is large.
  void next_frame() {
    if (size_ - frame_ < kFrame) return;
    end_frame();
    begin_frame();
  }

  void op(Op op) { put(static_cast<std::uint8_t>(op)); }
  void integer(std::int64_t value);
  void text(std::string_view utf8);
  /// A tuple of the last `count` values. REQUIRES: a mark stands before them where count > 3.
  void tuple(std::size_t count) {
    static constexpr Op kForms[] = {Op::EmptyTuple, Op::Tuple1, Op::Tuple2, Op::Tuple3};
    op(count < std::size(kForms) ? kForms[count] : Op::Tuple);
    if (count > 0) memoize();
  }
  MemoId memoize() {
    op(Op::Memoize);
    return memoized_++;
  }
  void fetch(MemoId id);

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {reinterpret_cast<const std::byte*>(data_.get()), size_};
  }

 private:
  static constexpr std::size_t kFrame = std::size_t{64} << 10;

  template <class Number>
  void put(Number value) {
    reserve(sizeof value);
    std::memcpy(data_.get() + size_, &value, sizeof value);
    size_ += sizeof value;
  }
  void reserve(std::size_t count) {
    if (capacity_ - size_ < count) grow(count);
  }
  void grow(std::size_t count);
  void begin_frame();
  void end_frame();

  struct Free {
    void operator()(std::uint8_t* data) const noexcept { std::free(data); }
  };
  std::unique_ptr<std::uint8_t, Free> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t frame_ = 0;  // where the open frame's content begins
  MemoId memoized_ = 0;
};

}  // namespace flatpoint::python
