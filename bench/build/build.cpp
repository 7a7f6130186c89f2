// Building and writing a metadata file against only writing the columns that it is built from.
//   bench_build [CHUNKS [ROUNDS [FOLDER [even|permuted|ragged]]]]
#include <filesystem>
#include <string_view>

#include "flatpoint/write_file.hpp"
#include "measure.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  const auto chunks = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000'000);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  const std::string folder = argc > 3 ? argv[3] : ".";
  const std::string path = folder + "/bench_build.tmp";
  constexpr std::uint32_t kRanks = 332;
  Series::print_header("build and write");
  for (const auto& [name, sharding] : {std::pair("even", Sharding::Even), std::pair("permuted", Sharding::Permuted),
                                       std::pair("ragged", Sharding::Ragged)}) {
    if (argc > 4 && std::string_view(argv[4]) != name) continue;
    const Checkpoint checkpoint(std::max(1U, chunks / kRanks), kRanks, sharding);
    Series rival, add, finish, write, all;
    double peak = 0;
    std::size_t bytes = 0;
    for (int round = 0; round < rounds; ++round) {
      rival.measure([&] { write_and_sync(path, checkpoint.raw()); });
      const PeakMemory memory;
      auto builder = flatpoint::MetadataBuilder::create();
      flatpoint::Buffer file;
      add.measure([&] { checkpoint.add_to(builder); });
      finish.measure([&] { file = expect(std::move(builder).finish()); });
      write.measure([&] { expect(flatpoint::write_file(path, file.bytes())); });
      all.add_last(add, true), all.add_last(finish, false), all.add_last(write, false);
      peak = std::max(peak, memory.mib());
      bytes = file.size();
    }
    std::filesystem::remove(path);
    const double columns = static_cast<double>(checkpoint.chunks()) * 52 / (1 << 20);
    std::printf("%s: %zu chunks in %zu tensors, columns %.0f MiB, file %.0f MiB\n", name, checkpoint.chunks(),
                checkpoint.fqns.size(), columns, static_cast<double>(bytes) / (1 << 20));
    rival.print("rival: write and sync the columns");
    add.print("add");
    finish.print("finish");
    write.print("write and sync the file");
    all.print("build and write");
    std::printf("  time %.2f x the rival (medians), memory %.0f MiB = %.2f x the columns\n",
                all.median() / rival.median(), peak, peak / columns);
  }
}
