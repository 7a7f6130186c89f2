// Comparing two metadata files against comparing their bytes.
//   bench_diff [CHUNKS [ROUNDS]]
#include "flatpoint/diff.hpp"

#include <cstring>
#include <tuple>

#include "flatpoint/metadata_file.hpp"
#include "measure.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  const auto chunks = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000'000);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  Series::print_header("diff");
  for (const auto& [name, ranks, sharding] :
       {std::tuple("even", 332U, Sharding::Even), std::tuple("ragged", 332U, Sharding::Ragged),
        std::tuple("a chunk per tensor", 1U, Sharding::Even)}) {
    std::vector<flatpoint::MetadataFile> files;
    std::size_t tensors = 0;
    for (int i = 0; i < 2; ++i) {
      // A chunk per tensor takes more bytes: a tenth of them.
      const Checkpoint checkpoint(std::max(1U, ranks == 1 ? chunks / 10 : chunks / ranks), ranks, sharding);
      tensors = checkpoint.fqns.size();
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
    std::printf("%s: %zu tensors, %.0f MiB each%s\n", name, tensors,
                static_cast<double>(files[0].bytes().size()) / (1 << 20), same ? "" : ", NOT THE SAME");
    rival.print("rival: compare the bytes");
    diff.print("diff");
  }
}
