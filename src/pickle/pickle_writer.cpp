#include "flatpoint/pickle_writer.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace flatpoint::pickle {

PickleWriter::PickleWriter(std::size_t expected) { hold(Buffer(expected), 0); }

void PickleWriter::hold(Buffer buffer, std::size_t used) {
  buffer_ = std::move(buffer);
  const auto room = buffer_.mutable_bytes();
  at_ = reinterpret_cast<std::uint8_t*>(room.data()) + used;
  end_ = reinterpret_cast<std::uint8_t*>(room.data()) + room.size();
}

void PickleWriter::grow(std::size_t count) {
  const auto before = written();
  Buffer larger(std::max(before.size() + count, 2 * buffer_.size()));
  if (!before.empty()) std::memcpy(larger.mutable_bytes().data(), before.data(), before.size());
  hold(std::move(larger), before.size());
}

Buffer PickleWriter::take() {
  buffer_.drop_back(buffer_.size() - size());
  at_ = end_ = nullptr;
  return std::exchange(buffer_, Buffer());
}

void PickleWriter::begin_frame() {
  if (frame_ != 0) end_frame();
  opcode(Opcode::FRAME);
  number(std::uint64_t{0});
  frame_ = size();
}

void PickleWriter::end_frame() {
  const std::uint64_t length = size() - frame_;
  std::memcpy(at_ - length - sizeof length, &length, sizeof length);
  frame_ = 0;
}

void PickleWriter::raw(std::string_view data) {
  reserve(data.size());
  if (!data.empty()) std::memcpy(at_, data.data(), data.size());
  at_ += data.size();
}

void PickleWriter::repeat(std::size_t begin, std::size_t count, std::uint32_t memoized) {
  reserve(count);
  std::memcpy(at_, at_ - (size() - begin), count);
  at_ += count;
  memo_size_ += memoized;
}

void PickleWriter::unsigned_integer(std::uint64_t value) {
  if (value <= INT64_MAX) return integer(static_cast<std::int64_t>(value));
  char bytes[sizeof value + 1]{};
  std::memcpy(bytes, &value, sizeof value);
  long_integer({bytes, sizeof bytes});
}

void PickleWriter::integer(std::int64_t value) {
  if (value >= 0 && value <= 0xFF) {
    opcode(Opcode::BININT1);
    number(static_cast<std::uint8_t>(value));
  } else if (value >= 0 && value <= 0xFFFF) {
    opcode(Opcode::BININT2);
    number(static_cast<std::uint16_t>(value));
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    opcode(Opcode::BININT);
    number(static_cast<std::int32_t>(value));
  } else {
    std::size_t length = sizeof value;
    const auto fits = [value](std::size_t bytes) { return value >> (8 * bytes - 1) == value >> 63; };
    while (fits(length - 1)) --length;
    long_integer({reinterpret_cast<const char*>(&value), length});
  }
}

void PickleWriter::long_integer(std::string_view bytes) {
  if (bytes.size() <= 0xFF) {
    opcode(Opcode::LONG1);
    number(static_cast<std::uint8_t>(bytes.size()));
  } else {
    opcode(Opcode::LONG4);
    number(static_cast<std::uint32_t>(bytes.size()));
  }
  raw(bytes);
}

void PickleWriter::decimal(std::string_view digits) {
  opcode(Opcode::LONG);
  raw(digits);
  raw("L\n");
}

void PickleWriter::real(double value) {
  opcode(Opcode::BINFLOAT);
  number(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)));
}

void PickleWriter::counted(Opcode short_form, Opcode form, Opcode long_form, std::string_view data) {
  if (data.size() <= 0xFF) {
    opcode(short_form);
    number(static_cast<std::uint8_t>(data.size()));
  } else if (data.size() <= 0xFFFFFFFF) {
    opcode(form);
    number(static_cast<std::uint32_t>(data.size()));
  } else {
    opcode(long_form);
    number(std::uint64_t{data.size()});
  }
  raw(data);
}

void PickleWriter::text(std::string_view utf8) {
  counted(Opcode::SHORT_BINUNICODE, Opcode::BINUNICODE, Opcode::BINUNICODE8, utf8);
}

void PickleWriter::bytes(std::string_view data) {
  counted(Opcode::SHORT_BINBYTES, Opcode::BINBYTES, Opcode::BINBYTES8, data);
}

void PickleWriter::tuple(std::size_t count) {
  static constexpr Opcode kForms[] = {Opcode::EMPTY_TUPLE, Opcode::TUPLE1, Opcode::TUPLE2, Opcode::TUPLE3};
  opcode(count < std::size(kForms) ? kForms[count] : Opcode::TUPLE);
}

void PickleWriter::fetch(std::uint32_t id) {
  if (id <= 0xFF) {
    opcode(Opcode::BINGET);
    number(static_cast<std::uint8_t>(id));
  } else {
    opcode(Opcode::LONG_BINGET);
    number(id);
  }
}

}  // namespace flatpoint::pickle
