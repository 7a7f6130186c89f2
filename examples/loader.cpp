// loader CHECKPOINT FQN [MESH] - what a rank of a loader does: open, look up, plan its rows of one tensor, read them.
//
// A checkpoint is a folder; MESH is the number of ranks that share the tensor's rows (4).
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "flatpoint/data.hpp"
#include "flatpoint/dcp.hpp"
#include "flatpoint/sharding.hpp"

namespace {

int fail(const flatpoint::Error& error) {
  std::fprintf(stderr, "loader: %s\n", flatpoint::to_string(error).c_str());
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: loader CHECKPOINT FQN [MESH]\n", stderr);
    return EXIT_FAILURE;
  }
  const auto checkpoint = flatpoint::dcp::open_checkpoint(argv[1]);  // maps .metadata.flatpoint, or imports .metadata
  if (!checkpoint) return fail(checkpoint.error());
  const flatpoint::MetadataView view = checkpoint->file.view();

  const auto tensor = view.find(argv[2]).and_then(&flatpoint::EntryView::tensor).to_result(argv[2]);
  if (!tensor) return fail(tensor.error());
  const auto reader = flatpoint::data::Reader::open(*checkpoint);
  if (!reader) return fail(reader.error());

  const std::int64_t ranks = argc > 3 ? std::atoll(argv[3]) : 4;
  const std::vector<flatpoint::Placement> by_rows{flatpoint::Shard{0}};
  const flatpoint::Size size(tensor->size().begin(), tensor->size().end());
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    const auto box = flatpoint::local_box(size, flatpoint::Size{ranks}, by_rows, rank);
    if (!box) return fail(box.error());
    const auto bytes = flatpoint::data::box_bytes(*tensor, box->sizes);
    if (!bytes) return fail(bytes.error());
    std::vector<std::byte> rows(*bytes);
    const auto report = reader->read(*tensor, box->offsets, box->sizes, {.data = rows.data(), .byte_strides = {}});
    if (!report) return fail(report.error());
    std::printf("rank %lld: %llu bytes\n", static_cast<long long>(rank), static_cast<unsigned long long>(*bytes));
  }
  return EXIT_SUCCESS;
}
