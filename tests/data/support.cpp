#include "data/support.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <fstream>
#include <iterator>

namespace flatpoint::test {

namespace fs = std::filesystem;

fs::path sample(const std::string& name) { return fs::path(FLATPOINT_TEST_SAMPLES) / name; }

std::string file_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

dcp::OpenedCheckpoint open_sample(const std::string& name) {
  auto opened = dcp::open_checkpoint(sample(name));
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  return std::move(*opened);
}

TensorView tensor_of(const MetadataView& metadata, std::string_view fqn) {
  const auto entry = metadata.find(fqn);
  BOOST_REQUIRE(entry);
  const auto tensor = entry->tensor();
  BOOST_REQUIRE(tensor);
  return *tensor;
}

Result<std::vector<std::byte>> read_whole(const data::Reader& reader, const TensorView& tensor,
                                          const data::ReadOptions& options) {
  std::size_t bytes = item_size(tensor.dtype());
  for (const std::int64_t size : tensor.size()) bytes *= static_cast<std::size_t>(size);
  std::vector<std::byte> whole(bytes, std::byte{0xAB});
  const Size offsets(tensor.size().size(), 0);
  return reader.read(tensor, offsets, tensor.size(), {whole.data(), {}}, options).map([&](const data::ReadReport&) {
    return std::move(whole);
  });
}

MemoryFiles::MemoryFiles(const fs::path& folder) {
  for (const auto& at : fs::directory_iterator(folder)) {
    if (at.path().extension() == ".distcp") files[at.path().filename().string()] = file_bytes(at.path());
  }
}

Result<void> MemoryFiles::read(std::string_view relative_path, std::span<const Request> batch) {
  const auto file = files.find(relative_path);
  if (file == files.end()) return fail(ErrorCode::NotFound, std::string(relative_path));
  for (const Request& request : batch) {
    if (request.to.size() > file->second.size() || request.offset > file->second.size() - request.to.size())
      return fail(ErrorCode::Truncated, std::string(relative_path));
    std::memcpy(request.to.data(), file->second.data() + request.offset, request.to.size());
  }
  return {};
}

CopiedSample::CopiedSample(const std::string& name) {
  std::string pattern = (fs::temp_directory_path() / "flatpoint-data-XXXXXX").string();
  BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
  fs::copy(sample(name), folder_, fs::copy_options::recursive);
}

CopiedSample::~CopiedSample() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace flatpoint::test
