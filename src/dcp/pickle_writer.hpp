// dcp/pickle_writer.hpp - writes the instructions of pickle protocol 4.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "dcp/opcode.hpp"

namespace flatpoint::dcp {

/// Appends to bytes that its caller owns. Knows nothing of values or the memo but the number that MEMOIZE uses next.
class PickleWriter {
 public:
  explicit PickleWriter(std::vector<std::uint8_t>& out) : out_(out) {}
  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }

  void opcode(Opcode opcode) { out_.push_back(static_cast<std::uint8_t>(opcode)); }
  void begin() {
    opcode(Opcode::PROTO);
    out_.push_back(4);
  }

  void none() { opcode(Opcode::NONE); }
  void boolean(bool value) { opcode(value ? Opcode::NEWTRUE : Opcode::NEWFALSE); }
  void integer(std::int64_t value);
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
    return memo_size_++;
  }
  void fetch(std::uint32_t id);

 private:
  template <class Number>
  void number(Number value) {
    const std::size_t at = out_.size();
    out_.resize(at + sizeof value);
    std::memcpy(out_.data() + at, &value, sizeof value);
  }
  void raw(std::string_view data) { out_.insert(out_.end(), data.begin(), data.end()); }
  void counted(Opcode short_form, Opcode form, Opcode long_form, std::string_view data);

  std::vector<std::uint8_t>& out_;
  std::uint32_t memo_size_ = 0;
};

static_assert(std::endian::native == std::endian::little);

}  // namespace flatpoint::dcp
