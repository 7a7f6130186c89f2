// Writing the `.metadata` that PyTorch reads, from an opened metadata file to finished bytes in memory.
//   bench_export PICKLE OUT ROUNDS       imports PICKLE, exports it several times, leaves the result in OUT
#include "flatpoint/dcp.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/write_file.hpp"
#include "measure.hpp"

int main(int argc, char** argv) {
  using namespace bench;
  if (argc != 4) return 2;
  auto imported = expect(flatpoint::dcp::import_file(argv[1]));
  const auto file = expect(flatpoint::MetadataFile::from_buffer(std::move(imported.bytes)));
  Series laps;
  double peak = 0;
  flatpoint::Buffer bytes;
  for (int round = 0; round < std::atoi(argv[3]); ++round) {
    bytes = {};
    const PeakMemory memory;
    laps.measure([&] { bytes = expect(flatpoint::dcp::export_pickle(file.view())).bytes; });
    peak = std::max(peak, memory.bytes());
  }
  expect(flatpoint::write_file(argv[2], bytes.bytes()));
  print("export", "time", laps.median());
  print("export", "memory", peak);
}
