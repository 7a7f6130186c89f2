// safetensors/json_reader.hpp - JSON as headers and index files hold it: read once, front to back, without a tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flatpoint::safetensors {

/// Strict (RFC 8259, UTF-8, no lone surrogates). After a call that returned false everything returns false, and `error`
/// says why and at which byte. Duplicate keys are for the caller to refuse.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) noexcept : text_(text) {}

  /// Calls member(std::string& key) for each member; it reads the value and returns whether to go on.
  template <class Member>
  bool read_object(Member&& member) {
    if (!open('{')) return false;
    if (take('}')) return close();
    do {
      std::string key;
      if (!read_string(key) || !expect(':') || !member(key)) return false;
    } while (take(','));
    return expect('}') && close();
  }

  /// Calls item() for each item, likewise.
  template <class Item>
  bool read_array(Item&& item) {
    if (!open('[')) return false;
    if (take(']')) return close();
    do {
      if (!item()) return false;
    } while (take(','));
    return expect(']') && close();
  }

  bool read_string(std::string& to);
  /// An integer without sign, fraction or exponent.
  bool read_unsigned(std::uint64_t& to);
  /// A value of any kind.
  bool skip();
  /// Only blanks are left.
  bool at_end();

  /// Keeps the first reason. Returns false.
  bool refuse(std::string why);
  /// "byte 17: ...".
  [[nodiscard]] std::string error() const;

 private:
  static constexpr unsigned kMaxDepth = 64;  // nesting that would overflow the stack

  bool open(char bracket);
  bool close() noexcept {
    --depth_;
    return true;
  }
  void skip_blanks() noexcept;
  bool take(char character) noexcept;
  bool expect(char character);
  bool read_escape(std::string& to);
  bool read_hex(std::uint32_t& unit);
  bool skip_number();

  std::string_view text_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  bool failed_ = false;
  std::size_t failed_at_ = 0;
  std::string why_;
};

}  // namespace flatpoint::safetensors
