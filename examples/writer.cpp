// writer FOLDER - what a program that saves does: write the bytes, say where they lie, publish the metadata.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "flatpoint/builder.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/write_file.hpp"

namespace {

constexpr const char* kDataFile = "data.bin";

int fail(const flatpoint::Error& error) {
  std::fprintf(stderr, "writer: %s\n", flatpoint::to_string(error).c_str());
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: writer FOLDER\n", stderr);
    return EXIT_FAILURE;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);

  // A tensor of 4 x 3 floats, saved as two chunks of two rows: row-major, little-endian.
  const std::array<float, 12> elements{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::ofstream data(folder / kDataFile, std::ios::binary);
  data.write(reinterpret_cast<const char*>(elements.data()), sizeof elements);
  data.close();
  if (!data) return fail({flatpoint::ErrorCode::Io, "cannot write " + (folder / kDataFile).string()});

  auto builder = flatpoint::MetadataBuilder::create();
  const std::uint32_t file = builder.add_file(kDataFile);
  const flatpoint::Size size{4, 3};
  flatpoint::TensorProperties properties;
  properties.dtype = flatpoint::ScalarType::Float32;
  const auto tensor = builder.add_tensor("w", properties, size);
  if (!tensor) return fail(tensor.error());
  for (std::int64_t row = 0; row < 4; row += 2) {
    flatpoint::StoredAt at{.file = file, .byte_offset = static_cast<std::uint64_t>(row) * 12, .length = 24};
    at.data_begin = 0;  // the range is the elements, bare
    if (auto added = builder.add_chunk(*tensor, flatpoint::Size{row, 0}, flatpoint::Size{2, 3}, at); !added) {
      return fail(added.error());
    }
  }
  // Whoever reads compares: a begin counts for the file that it was written for.
  const auto modified = std::filesystem::last_write_time(folder / kDataFile);
  flatpoint::FileFacts facts;
  facts.length = sizeof elements;
  facts.modified_ns = std::chrono::nanoseconds(std::chrono::file_clock::to_sys(modified).time_since_epoch()).count();
  if (auto set = builder.set_file_facts(file, facts); !set) return fail(set.error());
  const auto bytes = std::move(builder).finish();
  if (!bytes) return fail(bytes.error());
  const auto written = flatpoint::write_file(folder / flatpoint::kMetadataFileName, bytes->bytes());
  if (!written) return fail(written.error());
  std::printf("wrote %s\n", (folder / flatpoint::kMetadataFileName).c_str());
  return EXIT_SUCCESS;
}
