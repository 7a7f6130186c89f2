// convert/target_folder.hpp - a folder that is written beside the place that it takes when it is whole.
#pragma once

#include <filesystem>
#include <string_view>

#include "flatpoint/error.hpp"

namespace flatpoint::data {

/// Holds the folder `.NAME.flatpoint-partial` beside a target, which one process at a time has; it is removed with its
/// object, unless it took the target's name.
class TargetFolder {
 public:
  /// Removes what a killed process left there. `source`: a folder that the target must not hold. Errors: those of
  /// `convert` about its target.
  [[nodiscard]] static Result<TargetFolder> create(const std::filesystem::path& target, bool force,
                                                   const std::filesystem::path& source);
  TargetFolder(TargetFolder&& other) noexcept;
  TargetFolder& operator=(TargetFolder&&) = delete;
  ~TargetFolder();

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  [[nodiscard]] std::filesystem::path path(std::string_view name) const { return folder_ / name; }
  /// Gives the folder the target's name; the old one goes afterwards. Errors: Io, Conflict.
  [[nodiscard]] Result<void> publish(bool sync);

 private:
  TargetFolder(std::filesystem::path target, std::filesystem::path folder, int lock)
      : target_(std::move(target)), folder_(std::move(folder)), lock_(lock) {}
  std::filesystem::path target_;
  std::filesystem::path folder_;  // empty: it has its place
  int lock_;                      // the open folder
  bool force_ = false;
};

}  // namespace flatpoint::data
