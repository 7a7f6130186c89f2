// Any request over any file: which chunks overlap a box, what a rank reads, what the ranks of a mesh read together, and
// whether chunks tile. The first bytes are the request, the rest is the file. Of a sound file the answers must be
// right.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include "flatpoint/coverage.hpp"
#include "flatpoint/load_plan.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"
#include "flatpoint/verify.hpp"
#include "fuzz/require.hpp"
#include "fuzz/sealed.hpp"

using namespace flatpoint;

namespace {

struct Request {
  std::array<std::int64_t, 4> offsets;  // of a box; further dimensions are wanted whole
  std::array<std::int64_t, 4> sizes;
  std::array<std::uint8_t, 2> mesh;
  std::array<std::uint8_t, 2> placements;
  std::uint32_t max_gap;
};
static_assert(sizeof(Request) == 72);

using Rows = std::vector<std::uint32_t>;

/// offset + size, or the end of int64.
std::int64_t end_of(std::int64_t offset, std::int64_t size) {
  std::int64_t end = 0;
  if (!__builtin_add_overflow(offset, size, &end)) return end;
  return offset < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
}

/// The box of the request in a tensor: its offsets, then its sizes.
Size box_in(const TensorView& tensor, const Request& request) {
  Size box(tensor.ndim(), 0);
  box.insert(box.end(), tensor.size().begin(), tensor.size().end());
  for (std::size_t d = 0; d < std::min<std::size_t>(tensor.ndim(), 4); ++d) {
    box[d] = request.offsets[d];
    box[tensor.ndim() + d] = request.sizes[d];
  }
  return box;
}

class Checker {
 public:
  Checker(const MetadataFile& file, const Request& request)
      : metadata_(file.view()), request_(request), sound_(verify(file).sound()) {}

  std::vector<std::string> run() {
    for (std::uint32_t i = 0; i < metadata_.size(); ++i) {
      const auto entry = metadata_.entry(i);
      if (const auto tensor = entry ? entry->tensor() : entry.status()) ask_overlaps(*tensor);
      if (entry) want(*entry);
    }
    ask_plan();
    ask_mesh();
    (void)check_coverage(metadata_);
    return std::move(wrong_);
  }

 private:
  void require(bool holds, const char* what) {
    if (!holds) wrong_.emplace_back(what);
  }

  /// Rows by going through all chunks; unset where a chunk has a negative size, which only a finding forbids.
  std::optional<Rows> overlaps_by_hand(const TensorView& tensor, const Size& box) {
    Rows rows;
    for (std::uint32_t i = 0; i < tensor.chunk_count(); ++i) {
      const auto chunk = tensor.chunk_by_row(i)->to_value();
      bool overlaps = true;
      for (std::size_t d = 0; d < tensor.ndim(); ++d) {
        if (chunk.sizes[d] < 0) return {};
        overlaps = overlaps && chunk.offsets[d] < end_of(box[d], box[tensor.ndim() + d]) &&
                   box[d] < end_of(chunk.offsets[d], chunk.sizes[d]);
      }
      if (overlaps) rows.push_back(i);
    }
    return rows;
  }

  void ask_overlaps(const TensorView& tensor) {
    const Size box = box_in(tensor, request_);
    const auto offsets = std::span(box).first(tensor.ndim());
    const auto sizes = std::span(box).last(tensor.ndim());
    Rows rows;
    Rows indexed;
    for (Overlaps hit(tensor, offsets, sizes); !hit.done(); hit.next()) rows.push_back(hit.chunk());
    const OverlapIndex index(tensor);
    for (Overlaps hit(tensor, offsets, sizes, &index); !hit.done(); hit.next()) indexed.push_back(hit.chunk());
    std::ranges::sort(indexed);
    require(rows == indexed || !sound_, "an index finds the same chunks");
    require(std::ranges::is_sorted(rows), "chunks ascend");
    require(rows.empty() || rows.back() < tensor.chunk_count(), "a chunk is one of the tensor's");
    if (!sound_) return;
    if (const auto expected = overlaps_by_hand(tensor, box)) require(rows == *expected, "the chunks that overlap");
  }

  void want(const EntryView& entry) {
    const auto tensor = entry.tensor();
    boxes_.push_back(tensor ? box_in(*tensor, request_) : Size());
    Wanted one{.fqn = entry.fqn(), .type = entry.type(), .size = {}, .box_count = 0, .boxes = {}, .dtype = {}};
    if (tensor) one.size = tensor->size();
    if (tensor) one.box_count = 1;
    wanted_.push_back(one);
  }

  void ask_plan() {
    for (std::size_t i = 0; i < wanted_.size(); ++i) wanted_[i].boxes = boxes_[i];
    const auto plan = plan_load(metadata_, wanted_, {.strict = true, .max_gap = request_.max_gap});
    if (!plan) return require(!plan.error().message.empty(), "an error has a message");
    for (std::uint32_t i = 0; i < plan->size(); ++i) check_item(plan->item(i));
    for (const FileRead& read : plan->reads()) {
      require(read.item_begin <= plan->size() && read.item_count <= plan->size() - read.item_begin, "a read's items");
      require(read.file < metadata_.file_count() || !sound_, "a read's file");
    }
  }

  /// What is read of a chunk lies in the chunk, and in the box that it is for.
  void check_item(const ReadItemView& item) {
    const ReadItem value = item.to_value();
    require(item.wanted() < wanted_.size(), "an item's FQN is wanted");
    if (item.type() == LoadItemType::Bytes) return;
    const auto entry = metadata_.find(value.storage_index.fqn);
    const auto tensor = entry ? entry->tensor() : entry.status();
    const auto chunk = tensor ? tensor->chunk_by_row(item.chunk()) : tensor.status();
    // Of two entries with one name, which a sound file has not, the plan may have found the other.
    if (!chunk || tensor->ndim() != value.lengths.size()) return require(!sound_, "an item's chunk exists");
    const auto inside = [](std::int64_t begin, std::int64_t length, std::int64_t size) {
      return begin >= 0 && length >= 0 && begin <= size && length <= size - begin;
    };
    const Size& box = boxes_[item.wanted()];
    for (std::uint8_t d = 0; d < tensor->ndim(); ++d) {
      require(inside(value.storage_offsets[d], value.lengths[d], chunk->size(d)) || !sound_, "an item in its chunk");
      require(inside(value.dest_offsets[d], value.lengths[d], box[tensor->ndim() + d]), "an item in its box");
    }
  }

  void ask_mesh() {
    const auto placement = [](std::uint8_t byte) { return byte < 200 ? Placement(Shard{byte % 5}) : Replicate{}; };
    const std::array<Placement, 2> placements{placement(request_.placements[0]), placement(request_.placements[1])};
    const std::array<std::int64_t, 2> shape{request_.mesh[0] % 5, request_.mesh[1] % 4};
    auto planner = MeshPlanner::create(metadata_, shape, placements);
    if (!planner) return require(!planner.error().message.empty(), "an error has a message");
    const auto balance = planner->balance();
    bool planned = balance.has_value();
    bool loadable = true;
    std::uint64_t items = 0;
    for (std::uint32_t rank = 0; rank < planner->rank_count(); ++rank) {
      const auto plan = planner->plan(rank);
      planned &= plan.has_value();
      loadable &= plan && plan->loadable();
      items += plan ? plan->size() : 0;
    }
    if (!planned) return;
    require(loadable == balance->loadable(), "all ranks can load when each can");
    require(items == balance->total.items, "the load of all ranks is that of each");
  }

  MetadataView metadata_;
  Request request_;
  bool sound_;
  std::vector<Wanted> wanted_;
  std::vector<Size> boxes_;
  std::vector<std::string> wrong_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Request request;
  if (size < sizeof request) return 0;
  std::memcpy(&request, data, sizeof request);
  const Buffer bytes = fuzz::sealed(std::as_bytes(std::span(data, size)).subspan(sizeof request));
  const auto file = MetadataFile::from_bytes(bytes.bytes());
  if (file) fuzz::require_nothing(Checker(*file, request).run());
  return 0;
}
