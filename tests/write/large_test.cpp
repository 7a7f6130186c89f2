// Columns so large that their memory comes in blocks of their own: the same facts come out, in no more memory than
// stated.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/large_vector.hpp"
#include "change/fragments.hpp"
#include "flatpoint/builder.hpp"
#include "flatpoint/write_file.hpp"
#include "format/constants.hpp"
#include "format/encode.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

/// Tensors cut into bands of rows, each band at another column: no grid.
struct Ragged {
  std::vector<std::string> names;
  std::vector<std::string_view> fqns;
  std::vector<std::int64_t> tensor_sizes, offsets, sizes;
  std::vector<std::uint64_t> byte_offsets, lengths;

  Ragged(std::int64_t tensors, std::int64_t bands) {
    for (std::int64_t t = 0; t < tensors; ++t) {
      names.push_back("w" + std::to_string(t));
      tensor_sizes.insert(tensor_sizes.end(), {bands, 1000});
      for (std::int64_t band = 0; band < bands; ++band) {
        const std::int64_t cut = 1 + (band * 37 + t * 11) % 999;
        offsets.insert(offsets.end(), {band, 0, band, cut});
        sizes.insert(sizes.end(), {1, cut, 1, 1000 - cut});
        for (int i = 0; i < 2; ++i) byte_offsets.push_back(byte_offsets.size()), lengths.push_back(lengths.size() * 3);
      }
    }
    fqns.assign(names.begin(), names.end());
  }

  [[nodiscard]] std::uint32_t chunks_per_tensor() const {
    return static_cast<std::uint32_t>(lengths.size() / names.size());
  }

  [[nodiscard]] Buffer build() const {
    auto builder = MetadataBuilder::create();
    const std::uint32_t file = builder.add_file("f");
    const TensorProperties properties;
    const std::uint8_t dimensions = 2;
    const std::uint32_t count = chunks_per_tensor();
    expect(builder.add_tensors({fqns,
                                {&properties, 1},
                                {&dimensions, 1},
                                tensor_sizes,
                                {&count, 1},
                                {lengths.size(), offsets, sizes, {{&file, 1}, byte_offsets, lengths}}}));
    return expect(std::move(builder).finish());
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(large)

BOOST_AUTO_TEST_CASE(the_size_of_a_file_is_known_before_its_memory_is_taken) {
  Columns columns;
  const auto with_pickles = [&](std::uint64_t size) {
    columns.opaque_pickles = {reinterpret_cast<const std::uint8_t*>(std::uintptr_t{64}), size};  // never read
    return format::encoded_size_bound(columns);
  };
  const std::uint64_t rest = with_pickles(0);
  BOOST_TEST(with_pickles(format::kMaxFileSize - rest + 1) == format::kMaxFileSize + 1);
  const auto file = format::encode(columns);
  BOOST_REQUIRE(!file.has_value());
  BOOST_TEST(to_string(file.error().code) == "too_large");
  BOOST_TEST(file.error().message ==
             "the file would have about 2147483648 bytes; the format ends below 2 GiB (2147483647 bytes)");
}

BOOST_AUTO_TEST_CASE(columns_of_many_megabytes) {
  const Ragged facts(300, 500);
  const auto file = expect(MetadataFile::from_buffer(facts.build()));
  check_sound(file);
  bool same = true;
  for (std::size_t t = 0; t < facts.names.size(); ++t) {
    const auto tensor = file.view().find(facts.names[t])->tensor();
    for (std::uint32_t i = 0; i < facts.chunks_per_tensor(); ++i) {
      const std::size_t row = t * facts.chunks_per_tensor() + i;
      const auto chunk = tensor->chunk(i);
      for (std::uint8_t d = 0; d < 2; ++d) {
        same &= chunk->offset(d) == facts.offsets[2 * row + d] && chunk->size(d) == facts.sizes[2 * row + d];
      }
      same &= chunk->storage()->byte_offset() == facts.byte_offsets[row] &&
              chunk->storage()->length() == facts.lengths[row];
    }
  }
  BOOST_TEST(same);
  const auto path = std::filesystem::temp_directory_path() / ("flatpoint-large-" + std::to_string(::getpid()));
  expect(write_file(path, file.bytes()));  // in several pieces
  const auto written = expect(MetadataFile::open(path));
  BOOST_TEST(std::ranges::equal(written.bytes(), file.bytes()));
  std::filesystem::remove(path);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
/// Bytes of memory that work takes at its peak beyond what was there before.
template <class Work>
std::uint64_t peak_of(Work&& work) {
  const auto status = [](const std::string& key) -> std::uint64_t {
    std::ifstream lines("/proc/self/status");
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(key)) return std::stoull(line.substr(key.size())) * 1024;
    }
    return 0;
  };
  const std::uint64_t before = status("VmRSS:");
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is now
  work();
  return status("VmHWM:") - std::min(status("VmHWM:"), before);
}

constexpr std::uint64_t kOnTop = std::uint64_t{16} << 20;

BOOST_AUTO_TEST_CASE(building_takes_twice_the_columns) {
  const Ragged facts(500, 1000);
  const std::uint64_t columns = facts.lengths.size() * 48 + facts.lengths.size() * sizeof(std::uint32_t);
  const std::uint64_t peak = peak_of([&] { static_cast<void>(facts.build()); });
  BOOST_TEST(peak > columns);  // it is measured
  BOOST_TEST(peak <= 2 * columns + kOnTop);
}

BOOST_AUTO_TEST_CASE(merging_takes_twice_the_result) {
  for (const auto& [fragments_of_it, tensors] : {std::pair(8U, 40000U), std::pair(1000U, 2U)}) {
    Fragments fragments;
    for (std::uint32_t rank = 0; rank < fragments_of_it; ++rank) {
      auto builder = MetadataBuilder::create_fragment(rank);
      const std::uint32_t file = builder.add_file("__" + std::to_string(rank) + "_0.distcp");
      for (std::uint32_t i = 0; i < tensors; ++i) {
        const auto id =
            expect(builder.add_tensor("model." + std::to_string(i) + "." + std::to_string(rank), {}, Size{8}));
        expect(builder.add_chunk(id, Size{0}, Size{8}, {.file = file, .byte_offset = i}));
      }
      fragments.add(expect(std::move(builder).finish()));
    }
    std::uint64_t result = 0;
    const std::uint64_t peak = peak_of([&] { result = expect(fragments.merge()).bytes.size(); });
    if (result > kOnTop) BOOST_TEST(peak > result);  // small results fit into what the heap has kept
    BOOST_TEST(peak <= 2 * result + kOnTop + 2048 * fragments_of_it);
  }
}
#endif

#ifdef __linux__
BOOST_AUTO_TEST_CASE(pages_of_freed_blocks_are_used_again) {
  constexpr std::size_t kWords = std::size_t{5} << 17;  // 5 MiB, in 6 MiB of pages
  const auto known_words = [](const base::LargeVector<std::uint64_t>& block) {
    return static_cast<std::size_t>(std::count(block.begin(), block.end(), 77U));
  };
  const base::PageReuse reuse;
  {
    const base::LargeVector<std::uint64_t> one(kWords, 77);
    const base::LargeVector<std::uint64_t> two(kWords, 77);
  }
  base::LargeVector<std::uint64_t> larger(3 * kWords);
  base::LargeVector<std::uint64_t> another(kWords);
  BOOST_TEST(known_words(larger) == 2 * kWords);
  BOOST_TEST(known_words(another) == 0U);
  std::ranges::fill(larger, 1U);  // all of it can be written
  std::ranges::fill(another, 2U);
  BOOST_TEST(std::ranges::count(larger, 1U) == static_cast<std::ptrdiff_t>(larger.size()));
}
#endif

BOOST_AUTO_TEST_SUITE_END()
