// What the tests of safetensors share: files made of a header and bytes, in folders that go with the test.
#pragma once

#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace flatpoint::test {

/// The length of a header, the header, and data.
inline std::string safetensors_file(std::string_view header, std::string_view data = {}) {
  std::string file;
  for (unsigned byte = 0; byte < 8; ++byte) file += static_cast<char>(header.size() >> (8 * byte) & 0xFFU);
  return file.append(header).append(data);
}

/// A header's member for a tensor of bytes.
inline std::string bytes_member(std::string_view name, std::size_t begin, std::size_t end) {
  return "\"" + std::string(name) + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
         R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

struct SafetensorsFolder {
  std::filesystem::path path;
  SafetensorsFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "flatpoint-safetensors-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  SafetensorsFolder(const SafetensorsFolder&) = delete;
  SafetensorsFolder& operator=(const SafetensorsFolder&) = delete;
  ~SafetensorsFolder() { std::filesystem::remove_all(path); }

  /// Written an hour ago.
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    std::filesystem::last_write_time(path / name,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }
};

}  // namespace flatpoint::test
