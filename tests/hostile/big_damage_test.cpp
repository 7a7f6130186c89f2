// Random damage to big files: up to 64 bytes, anywhere, half of it where the file's structure lies. Nothing crashes, a
// sample of answers stays inside, and verify notices.
#include <cstdlib>
#include <random>

#include "flatpoint/coverage.hpp"
#include "flatpoint/mesh_plan.hpp"
#include "flatpoint/overlap.hpp"
#include "flatpoint/verify.hpp"
#include "format/trailer.hpp"
#include "hostile/rules.hpp"
#include "support/big_files.hpp"

using namespace flatpoint;
using namespace flatpoint::test;

namespace {

using Random = std::mt19937_64;

struct Range {
  std::size_t begin;
  std::size_t size;
  [[nodiscard]] std::size_t any(Random& random) const { return begin + random() % size; }
};

/// Where something of an entry begins, and how many bytes each of its chunks has there.
struct Part {
  std::size_t begin;
  std::uint32_t entry;
  std::size_t chunk_size;
};

/// A sound file that is damaged and mended again, many times.
class Victim {
 public:
  explicit Victim(Buffer sound)
      : file_(*MetadataFile::from_buffer(std::move(sound))),
        sound_(file_.bytes()),
        bytes_(sound_.begin(), sound_.end()) {
    const Columns& c = file_.view().columns();
    const auto add = [&](const auto&... columns) { (add_column(std::as_bytes(columns)), ...); };
    add(c.entries, c.fqns, c.fqn_slots, c.fqn_order, c.sizes, c.boxes, c.chunk_order, c.chunk_files,
        c.chunk_byte_offsets, c.chunk_lengths, c.chunk_transforms, c.file_names.bytes, c.file_names.ends,
        c.type_names.bytes, c.type_names.ends, c.transform_names.bytes, c.transform_names.ends, c.transform_lists,
        c.storage_order, c.index_hints, c.loose_storage, c.fqn_paths, c.path_elements, c.path_ends, c.planner_order,
        c.opaque, c.opaque_names, c.opaque_pickles);
    structure_.push_back({0, std::ranges::min(columns_, {}, &Range::begin).begin});  // vtables and tables
    structure_.push_back({sound_.size() - 24, 24});
    for (std::uint32_t i = 0; i < c.entries.size(); ++i) add_parts(c, i);
    std::ranges::sort(parts_, {}, &Part::begin);
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] MetadataView sound() const { return file_.view(); }
  [[nodiscard]] bool changed() const { return !std::ranges::equal(bytes_, sound_); }

  /// What some of the damage may have changed.
  [[nodiscard]] std::vector<Place> damaged_places() const {
    std::vector<Place> places;
    for (const std::size_t at : std::span(damaged_).first(std::min<std::size_t>(damaged_.size(), 4))) {
      const auto behind = std::ranges::upper_bound(parts_, at, {}, &Part::begin);
      if (behind == parts_.begin()) continue;
      const Part& part = behind[-1];
      places.push_back({part.entry, static_cast<std::uint32_t>((at - part.begin) / part.chunk_size)});
    }
    return places;
  }

  void damage(Random& random) {
    const std::uint64_t where = random() % 4;
    const std::size_t count = 1 + random() % (std::size_t{1} << random() % 7);
    const bool scattered = random() % 2 == 0;
    std::size_t at = place(where, random);
    for (std::size_t i = 0; i < count && at < bytes_.size(); ++i) {
      static constexpr unsigned kValues[] = {0, 1, 2, 0x7F, 0x80, 0xFF};
      set(at, static_cast<std::byte>(random() % 2 == 0 ? kValues[random() % 6] : random()));
      at = scattered ? place(where, random) : at + 1;
    }
  }

  /// Makes the trailer right again.
  void reseal() {
    for (std::size_t at = bytes_.size() - 24; at < bytes_.size(); ++at) damaged_.push_back(at);
    format::write_trailer(bytes_);
  }

  void mend() {
    for (const std::size_t at : damaged_) bytes_[at] = sound_[at];
    damaged_.clear();
  }

 private:
  void add_column(std::span<const std::byte> column) {
    if (column.empty()) return;
    columns_.push_back({static_cast<std::size_t>(column.data() - sound_.data()), column.size()});
    structure_.push_back({columns_.back().begin - 4, 4});  // its length
  }

  void add_parts(const Columns& c, std::uint32_t entry) {
    const auto add = [&](const auto& column, std::size_t at, std::size_t values_per_chunk = 1) {
      if (at >= column.size()) return;
      const auto* const begin = reinterpret_cast<const std::byte*>(column.data() + at);
      parts_.push_back({static_cast<std::size_t>(begin - sound_.data()), entry, values_per_chunk * sizeof column[0]});
    };
    const EntryRow& row = c.entries[entry];
    add(c.entries, entry);
    add(c.fqns, row.fqn_begin);
    add(c.sizes, row.size_begin);
    add(c.boxes, row.box_begin, std::max(2 * row.ndim, 1));
    add(c.chunk_order, row.order_begin);
    add(c.chunk_lengths, row.length_begin);
    add(c.chunk_files, row.chunk_begin);
    add(c.chunk_byte_offsets, row.chunk_begin);
    add(c.chunk_transforms, row.chunk_begin);
    add(c.fqn_paths, entry);
  }

  std::size_t place(std::uint64_t where, Random& random) const {
    if (where == 3) return random() % bytes_.size();
    const std::vector<Range>& ranges = where == 2 ? columns_ : structure_;
    return ranges[random() % ranges.size()].any(random);
  }

  void set(std::size_t at, std::byte value) {
    damaged_.push_back(at);
    bytes_[at] = value;
  }

  MetadataFile file_;
  std::span<const std::byte> sound_;
  std::vector<std::byte> bytes_;  // small enough for the heap, where a sanitizer sees the first step outside
  std::vector<Range> columns_;
  std::vector<Range> structure_;
  std::vector<Part> parts_;
  std::vector<std::size_t> damaged_;
};

/// A box in a tensor or near it.
void ask_overlaps(const TensorView& tensor, Random& random) {
  Size offsets;
  Size sizes;
  for (const std::int64_t n : tensor.size()) {
    const auto range = static_cast<std::uint64_t>(std::clamp<std::int64_t>(n, 1, std::int64_t{1} << 40));
    offsets.push_back(static_cast<std::int64_t>(random() % range));
    sizes.push_back(static_cast<std::int64_t>(random() % 8 == 0 ? random() : random() % range));
  }
  std::uint32_t after = 0;
  int hits = 0;
  for (Overlaps hit(tensor, offsets, sizes); !hit.done() && hits < 100; hit.next(), ++hits) {
    if (hit.chunk() < after || hit.chunk() >= tensor.chunk_count())
      BOOST_ERROR("an overlap with no chunk, or not ascending");
    after = hit.chunk() + 1;
    for (std::size_t d = 0; d < tensor.ndim(); ++d) static_cast<void>(hit.begin(d)), static_cast<void>(hit.length(d));
  }
}

/// Returns whether it opens.
bool ask_some(const Victim& victim, Random& random) {
  const auto file = MetadataFile::from_bytes(victim.bytes());
  if (!file) {
    if (file.error().message.empty()) BOOST_ERROR("refused without a message");
    return false;
  }
  const std::vector<Place> places = victim.damaged_places();
  for (const std::string& wrong : walk_some(*file, places, random).wrong) BOOST_ERROR(wrong);
  for (const Place& place : places) {
    const std::string_view fqn = victim.sound().entry(place.entry)->fqn();
    const auto entry = file->view().find(fqn);
    if (entry && entry->fqn() != fqn) BOOST_ERROR("find gave another FQN");
    if (const auto tensor = entry ? entry->tensor() : entry.status()) ask_overlaps(*tensor, random);
  }
  return true;
}

/// What is linear in the file, on damage that its digest gives away.
void ask_verify(const Victim& victim) {
  if (victim.changed() && broken_rules(victim.bytes()).empty()) BOOST_ERROR("verify does not notice");
}

/// The same, and all that plans, on damage under a right digest.
void ask_all(const Victim& victim, Random& random) {
  const bool sound = broken_rules(victim.bytes()).empty();
  const auto file = MetadataFile::from_bytes(victim.bytes());
  if (!file) return;
  const Walk answers = walk_some(*file, victim.damaged_places(), random);
  if (sound && answers.corrupt > 0) BOOST_ERROR("a corrupt answer from a sound file");
  const std::int64_t mesh[] = {4, 2};
  const Placement placements[] = {Shard{0}, Shard{1}};
  auto planner = MeshPlanner::create(file->view(), mesh, placements);
  if (!planner && planner.error().message.empty()) BOOST_ERROR("refused without a message");
  if (planner) {
    static_cast<void>(planner->balance());
    static_cast<void>(planner->plan(static_cast<std::uint32_t>(random() % 8)));
  }
  static_cast<void>(check_coverage(file->view()));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(big_damage)

// A hundred cases a round, of which two are looked at whole; FLATPOINT_DAMAGE_ROUNDS=10000 makes a million.
BOOST_AUTO_TEST_CASE(bytes_of_big_files) {
  const char* const asked = std::getenv("FLATPOINT_DAMAGE_ROUNDS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 30;
  std::vector<Victim> victims;
  for (Buffer (*make)() : {sharded_file, names_file, odd_file}) {
    BOOST_TEST(join(broken_rules(victims.emplace_back(make()).bytes())) == "");
  }
  Random random(17);
  int opened = 0;
  for (int round = 0; round < rounds; ++round) {
    Victim& victim = victims[static_cast<std::size_t>(round) % victims.size()];
    for (int i = 0; i < 100; ++i) {
      victim.damage(random);
      opened += ask_some(victim, random);
      if (i == 49) ask_verify(victim);
      if (i == 99) {
        victim.reseal();
        ask_all(victim, random);
      }
      victim.mend();
    }
  }
  for (const Victim& victim : victims) BOOST_TEST(!victim.changed());
  BOOST_TEST_MESSAGE(rounds * 100 << " cases, of which " << opened << " opened");
  BOOST_TEST(opened > 30 * rounds);  // the damage is not all in the frame
}

BOOST_AUTO_TEST_SUITE_END()
