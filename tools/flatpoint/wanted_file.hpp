// wanted_file.hpp - what a rank wants, as a JSON file states it.
#pragma once

#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flatpoint/load_plan.hpp"

namespace flatpoint::tool {

/// [{"fqn", "size", "dtype"?, "boxes": [[offsets, sizes] or {"offsets", "sizes"}, ...]}, ...]; bytes are {"fqn"} alone.
/// Move-only: what is wanted refers to it.
class WantedFile {
 public:
  /// Errors: NotFound; InvalidArgument for what is no such list, with the FQN.
  [[nodiscard]] static Result<WantedFile> read(const std::string& path);
  /// The same of a file's text; `path` is for messages.
  [[nodiscard]] static Result<WantedFile> parse(std::string_view text, const std::string& path);

  [[nodiscard]] std::span<const Wanted> wanted() const noexcept { return wanted_; }

  WantedFile(WantedFile&&) = default;
  WantedFile& operator=(WantedFile&&) = default;

 private:
  WantedFile() = default;
  [[nodiscard]] Result<void> add(const nlohmann::json& from);

  std::deque<std::string> names_;
  std::deque<Size> numbers_;
  std::vector<Wanted> wanted_;
};

}  // namespace flatpoint::tool
