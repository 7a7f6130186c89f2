// checkpoint/recognize.hpp - what somebody points at instead of a checkpoint of DCP's, and what to do with it.
#pragma once

#include <filesystem>
#include <string>

namespace flatpoint::dcp {

/// Whether it is "s3://..." or the like, which no file system opens.
[[nodiscard]] bool is_url(const std::filesystem::path& path);

/// "is a zip archive as torch.save writes; ...". Empty for what is not known. Of a file that is no metadata.
[[nodiscard]] std::string recognize_file(const std::filesystem::path& path);

/// The same of a folder without metadata.
[[nodiscard]] std::string recognize_folder(const std::filesystem::path& folder);

}  // namespace flatpoint::dcp
