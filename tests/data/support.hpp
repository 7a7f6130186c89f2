// What the tests of the bytes share.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "flatpoint/data.hpp"

namespace flatpoint::test {

std::filesystem::path sample(const std::string& name);
std::string file_bytes(const std::filesystem::path& path);

/// A sample that lies open.
dcp::OpenedCheckpoint open_sample(const std::string& name);

/// The tensor of an FQN. REQUIRES: there is one.
TensorView tensor_of(const MetadataView& metadata, std::string_view fqn);

/// All of a tensor, row-major.
Result<std::vector<std::byte>> read_whole(const data::Reader& reader, const TensorView& tensor,
                                          const data::ReadOptions& options = {});

/// Data files in memory, which a test may change.
class MemoryFiles final : public data::RangeReader {
 public:
  explicit MemoryFiles(const std::filesystem::path& folder);
  Result<void> read(std::string_view relative_path, std::span<const Request> batch) override;
  std::map<std::string, std::string, std::less<>> files;
};

/// A copy of a sample in a folder of its own, gone with the object.
class CopiedSample {
 public:
  explicit CopiedSample(const std::string& name);
  CopiedSample(const CopiedSample&) = delete;
  CopiedSample& operator=(const CopiedSample&) = delete;
  ~CopiedSample();
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace flatpoint::test
