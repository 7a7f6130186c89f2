#include "pickle.hpp"

#include <algorithm>
#include <new>

namespace flatpoint::python {

void Pickle::integer(std::int64_t value) {
  if (value >= 0 && value <= 0xFF) {
    op(Op::BinInt1);
    put(static_cast<std::uint8_t>(value));
  } else if (value >= 0 && value <= 0xFFFF) {
    op(Op::BinInt2);
    put(static_cast<std::uint16_t>(value));
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    op(Op::BinInt);
    put(static_cast<std::int32_t>(value));
  } else {
    std::size_t length = sizeof value;  // as few bytes of two's complement as hold it
    while (value >> (8 * (length - 1) - 1) == value >> 63) --length;
    op(Op::Long1);
    put(static_cast<std::uint8_t>(length));
    reserve(length);
    std::memcpy(data_.get() + size_, &value, length);
    size_ += length;
  }
}

void Pickle::text(std::string_view utf8) {
  if (utf8.size() <= 0xFF) {
    op(Op::ShortBinUnicode);
    put(static_cast<std::uint8_t>(utf8.size()));
  } else if (utf8.size() <= 0xFFFFFFFF) {
    op(Op::BinUnicode);
    put(static_cast<std::uint32_t>(utf8.size()));
  } else {
    op(Op::BinUnicode8);
    put(std::uint64_t{utf8.size()});
  }
  reserve(utf8.size());
  if (!utf8.empty()) std::memcpy(data_.get() + size_, utf8.data(), utf8.size());
  size_ += utf8.size();
}

void Pickle::fetch(MemoId id) {
  if (id <= 0xFF) {
    op(Op::BinGet);
    put(static_cast<std::uint8_t>(id));
  } else {
    op(Op::LongBinGet);
    put(id);
  }
}

void Pickle::begin_frame() {
  op(Op::Frame);
  put(std::uint64_t{0});
  frame_ = size_;
}

void Pickle::end_frame() {
  const std::uint64_t length = size_ - frame_;
  std::memcpy(data_.get() + frame_ - sizeof length, &length, sizeof length);
}

void Pickle::grow(std::size_t count) {
  constexpr std::size_t kFirst = std::size_t{1} << 16;
  const std::size_t capacity = std::max(capacity_ * 2, size_ + count + kFirst);
  auto* const moved = static_cast<std::uint8_t*>(std::realloc(data_.get(), capacity));
  if (moved == nullptr) throw std::bad_alloc();
  static_cast<void>(data_.release());
  data_.reset(moved);
  capacity_ = capacity;
}

}  // namespace flatpoint::python
