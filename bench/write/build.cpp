// Building and writing a metadata file against only writing and syncing the columns that it is built from.
//   bench_build CHUNKS ROUNDS FOLDER even|permuted|ragged
#include <filesystem>
#include <string_view>

#include "flatpoint/write_file.hpp"
#include "measure.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  if (argc != 5) return 2;
  const auto chunks = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  const int rounds = std::atoi(argv[2]);
  const std::string path = std::string(argv[3]) + "/bench_build.tmp";
  const std::string_view kind = argv[4];
  constexpr std::uint32_t kRanks = 332;
  const Checkpoint checkpoint(std::max(1U, chunks / kRanks), kRanks,
                              kind == "even"       ? Sharding::Even
                              : kind == "permuted" ? Sharding::Permuted
                                                   : Sharding::Ragged);
  Series rival, add, finish, write, all;
  double peak = 0;
  std::size_t bytes = 0;
  const std::size_t warm = checkpoint.chunks() * 52 * 4;
  for (int round = 0; round < rounds; ++round) {
    warm_memory(warm);
    rival.measure([&] { write_and_sync(path, checkpoint.raw()); });
    warm_memory(warm);
    const PeakMemory memory;
    auto builder = flatpoint::MetadataBuilder::create();
    flatpoint::Buffer file;
    add.measure([&] { checkpoint.add_to(builder); });
    finish.measure([&] { file = expect(std::move(builder).finish()); });
    write.measure([&] { expect(flatpoint::write_file(path, file.bytes())); });
    all.add_last(add, true), all.add_last(finish, false), all.add_last(write, false);
    peak = std::max(peak, memory.bytes());
    bytes = file.size();
  }
  std::filesystem::remove(path);
  const std::string of(kind);
  print(of, "chunks", static_cast<double>(checkpoint.chunks()));
  print(of, "columns", static_cast<double>(checkpoint.chunks()) * 52);
  print(of, "file", static_cast<double>(bytes));
  print(of, "rival", rival.median());
  print(of, "add", add.median());
  print(of, "finish", finish.median());
  print(of, "write", write.median());
  print(of, "all", all.median());
  print(of, "memory", peak);
}
