// write/text_builder.hpp - texts as the file keeps them: a blob and the end of each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/columns.hpp"

namespace flatpoint::write {

inline ByteColumn bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::optional<ByteColumn> optional_bytes(const std::optional<std::string_view>& text) noexcept {
  return text ? std::optional(bytes_of(*text)) : std::nullopt;
}

class TextBuilder {
 public:
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  /// Valid until the next `add`.
  [[nodiscard]] TextColumn column() const noexcept { return {bytes_of(bytes_), ends_}; }

 private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_;
};

}  // namespace flatpoint::write
