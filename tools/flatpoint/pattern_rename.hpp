// pattern_rename.hpp - FQNs renamed by patterns.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flatpoint::tool {

/// FROM and TO. What the stars of FROM match stands for the stars of TO, of which there are as many, or for {1}, {2},
/// ... in any order and number. Stars match as little as they can, from left to right, the last one the rest.
class PatternRename {
 public:
  PatternRename(std::string_view from, std::string_view to);
  /// Whether TO can be written from what FROM matches.
  [[nodiscard]] bool fits() const noexcept { return fits_; }
  /// The new name, where FROM matches. REQUIRES: fits().
  [[nodiscard]] std::optional<std::string> operator()(std::string_view fqn) const;

 private:
  struct Part {
    std::string text;
    std::size_t star;  // what follows the text: a star of FROM, from 1; 0: nothing
  };
  std::vector<std::string> from_;  // between the stars
  std::vector<Part> to_;
  bool fits_ = true;
};

}  // namespace flatpoint::tool
