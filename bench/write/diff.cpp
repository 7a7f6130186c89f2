// Comparing two metadata files against comparing their bytes.
//   bench_diff CHUNKS ROUNDS even|ragged|names       names: a chunk per tensor
#include "flatpoint/diff.hpp"

#include <cstring>

#include "flatpoint/metadata_file.hpp"
#include "measure.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  if (argc != 4) return 2;
  const auto chunks = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  const int rounds = std::atoi(argv[2]);
  const std::string kind = argv[3];
  const std::uint32_t ranks = kind == "names" ? 1 : 332;
  std::vector<flatpoint::MetadataFile> files;
  for (int i = 0; i < 2; ++i) {
    const Checkpoint checkpoint(std::max(1U, chunks / ranks), ranks,
                                kind == "ragged" ? Sharding::Ragged : Sharding::Even);
    auto builder = flatpoint::MetadataBuilder::create();
    checkpoint.add_to(builder);
    files.push_back(expect(flatpoint::MetadataFile::from_buffer(expect(std::move(builder).finish()))));
  }
  Series rival, diff;
  bool same = true;
  for (int round = 0; round < rounds; ++round) {
    rival.measure(
        [&] { same &= std::memcmp(files[0].bytes().data(), files[1].bytes().data(), files[0].bytes().size()) == 0; });
    diff.measure([&] { same &= expect(flatpoint::diff(files[0].view(), files[1].view())).same(); });
  }
  if (!same) std::fprintf(stderr, "equal files differ\n"), std::exit(1);
  print(kind, "rival", rival.median());
  print(kind, "diff", diff.median());
}
