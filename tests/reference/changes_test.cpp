// Merge, diff and rename against the same facts changed by hand.
#include <set>

#include "flatpoint/diff.hpp"
#include "flatpoint/edit.hpp"
#include "flatpoint/merge.hpp"
#include "reference/reference.hpp"

using namespace flatpoint;
using namespace flatpoint::reference;

namespace {

/// What a file says, as facts; chunks sorted by box, since orders are not looked at here. Files are named, not
/// numbered.
struct Fact {
  Kind kind;
  Size size;
  std::string dtype;
  std::multimap<std::pair<Size, Size>, std::tuple<std::string, std::uint64_t, std::uint64_t>> chunks;
  bool operator==(const Fact&) const = default;
};
using Facts = std::map<std::string, Fact>;

constexpr const char* kNowhere = "nowhere";

Facts facts_of(const Checkpoint& checkpoint) {
  Facts facts;
  for (const Entry& entry : checkpoint.entries) {
    Fact fact{entry.kind, entry.size, entry.kind == Kind::Tensor ? entry.dtype : "", {}};
    const auto add = [&](const Size& offsets, const Size& sizes, const std::optional<Place>& at) {
      fact.chunks.emplace(std::pair(offsets, sizes),
                          at ? std::tuple(checkpoint.files[at->file], at->byte_offset, at->length)
                             : std::tuple(std::string(kNowhere), 0UL, 0UL));
    };
    for (const Chunk& chunk : entry.chunks) add(chunk.offsets, chunk.sizes, place_at(entry, chunk.offsets));
    if (entry.kind == Kind::Bytes) add({}, {}, entry.place);
    facts.emplace(entry.fqn, std::move(fact));
  }
  return facts;
}

Facts facts_of(const MetadataView& metadata) {
  Facts facts;
  for (std::uint32_t i = 0; i < metadata.size(); ++i) {
    const EntryView entry = *metadata.entry(i);
    Fact fact{static_cast<Kind>(entry.type()), {}, "", {}};
    const auto add = [&](const ChunkStorageMetadata& box, const Lookup<StorageInfoView>& at) {
      fact.chunks.emplace(std::pair(box.offsets, box.sizes),
                          at ? std::tuple(std::string(at->relative_path()), at->byte_offset(), at->length())
                             : std::tuple(std::string(kNowhere), 0UL, 0UL));
    };
    if (const auto tensor = entry.tensor()) {
      fact.size.assign(tensor->size().begin(), tensor->size().end());
      fact.dtype = tensor->dtype_name();
      for (std::uint32_t c = 0; c < tensor->chunk_count(); ++c)
        add(tensor->chunk(c)->to_value(), tensor->chunk(c)->storage());
    } else if (entry.type() == StorageType::Bytes) {
      add({}, entry.bytes_storage());
    }
    facts.emplace(entry.fqn(), std::move(fact));
  }
  return facts;
}

MetadataFile opened(Buffer bytes) { return std::move(MetadataFile::from_buffer(std::move(bytes)).value()); }

/// A checkpoint as the ranks that saved it wrote it down: each chunk in one fragment or more.
std::vector<Checkpoint> cut_up(Random& random, const Checkpoint& whole, std::size_t ranks) {
  std::vector<Checkpoint> parts(ranks, Checkpoint{whole.files, {}});
  for (const Entry& entry : whole.entries) {
    std::vector<Entry> own(ranks, Entry{entry.fqn, entry.kind, entry.size, entry.dtype, {}, {}});
    std::vector<bool> has(ranks, false);
    has[random() % ranks] = true;
    for (const Chunk& chunk : entry.chunks) {
      const std::size_t first = random() % ranks;
      for (std::size_t rank = first; rank < ranks; ++rank) {
        if (rank != first && !chance(random, 15)) continue;
        own[rank].chunks.push_back(chunk);
        if (rank != first && chunk.place) own[rank].chunks.back().place->byte_offset += 100'000 * rank;
        if (rank != first && chance(random, 30)) own[rank].chunks.back().place = std::nullopt;
        has[rank] = true;
      }
    }
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      own[rank].place = entry.place;
      if (has[rank]) parts[rank].entries.push_back(own[rank]);
    }
  }
  return parts;
}

/// What a merge has to make of fragments: the lowest rank's chunk of each box, with the first storage that one states.
Checkpoint joined(const std::vector<Checkpoint>& parts) {
  Checkpoint out{parts[0].files, {}};
  for (const Checkpoint& part : parts) {
    for (const Entry& entry : part.entries) {
      auto to = std::ranges::find(out.entries, entry.fqn, &Entry::fqn);
      if (to == out.entries.end()) {
        out.entries.push_back(entry);
        to = std::prev(out.entries.end());
        to->chunks.clear();
      }
      if (!to->place) to->place = entry.place;
      for (Chunk chunk : entry.chunks) {
        chunk.place = place_at(entry, chunk.offsets);  // what the fragment says of its key
        const auto same = [&](const Chunk& c) { return c.offsets == chunk.offsets && c.sizes == chunk.sizes; };
        const auto kept = std::ranges::find_if(to->chunks, same);
        if (kept == to->chunks.end()) {
          to->chunks.push_back(chunk);
        } else if (!kept->place) {
          kept->place = chunk.place;
        }
      }
    }
  }
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reference_changes)

BOOST_AUTO_TEST_CASE(merges) {
  Random random(5);
  std::map<std::string, int> seen;
  for (int round = 0; round < 2500; ++round) {
    const bool sound = chance(random, 50);
    const Checkpoint whole = random_checkpoint(random, pick(random, 1, 4), chance(random, 30) ? 20 : 0, sound);
    const auto parts = cut_up(random, whole, static_cast<std::size_t>(pick(random, 1, 3)));
    std::vector<MetadataFile> files;
    for (const Checkpoint& part : parts) files.push_back(part.write());
    std::vector<Fragment> fragments;
    for (std::uint32_t rank = 0; rank < files.size(); ++rank)
      fragments.push_back({&files[rank].view().columns(), rank, std::to_string(rank)});
    const Checkpoint expected = joined(parts);
    bool conflict = false, hole = false, outside = false;
    for (const Entry& entry : expected.entries) {
      if (entry.kind != Kind::Tensor) continue;
      for (std::size_t a = 0; a < entry.chunks.size(); ++a) {
        outside |= reaches_outside(entry.chunks[a], entry.size);
        for (std::size_t b = a + 1; b < entry.chunks.size(); ++b)
          conflict |= share_an_element(entry.chunks[a], entry.chunks[b]);
      }
      for (const auto& [element, count] : holders(entry)) hole |= count == 0;
    }
    MergeOptions options{.complete = false, .max_messages = 100};
    const auto merged = merge(fragments, options);
    BOOST_TEST(merged.has_value() == !conflict);
    options.complete = true;
    BOOST_TEST(merge(fragments, options).has_value() == (!conflict && !hole));
    seen["conflict"] += conflict, seen["hole"] += hole && !conflict, seen["outside"] += outside && !conflict;
    if (!merged) continue;
    ++seen["merged"];
    std::set<std::string> kinds;
    for (const Finding& finding : merged->findings) kinds.insert(finding.kind);
    BOOST_TEST(kinds.contains("hole") == hole);
    BOOST_TEST(kinds.contains("chunk_outside") == outside);
    const auto file = MetadataFile::from_bytes(merged->bytes.bytes());
    BOOST_TEST((facts_of(file->view()) == facts_of(expected)));
  }
  for (const auto& [kind, number] : seen) BOOST_TEST_CONTEXT(kind) BOOST_TEST(number > 20);
}

BOOST_AUTO_TEST_CASE(renames) {
  Random random(6);
  for (int round = 0; round < 1000; ++round) {
    Checkpoint checkpoint = random_checkpoint(random, pick(random, 1, 6), 10);
    std::erase_if(checkpoint.entries, [](const Entry& entry) { return entry.kind == Kind::Opaque; });
    if (checkpoint.entries.empty()) continue;
    const MetadataFile file = checkpoint.write();
    std::map<std::string, std::optional<std::string>> names;
    for (Entry& entry : checkpoint.entries) {
      const std::string before = entry.fqn;
      if (chance(random, 25)) {
        names[before] = std::nullopt;
        entry.fqn.clear();
      } else {
        if (chance(random, 60)) entry.fqn = std::string(1, static_cast<char>('a' + random() % 26)) + before;
        names[before] = entry.fqn;
      }
    }
    std::erase_if(checkpoint.entries, [](const Entry& entry) { return entry.fqn.empty(); });
    auto edited = edit(file.view().columns(), [&](std::string_view fqn) { return names.at(std::string(fqn)); });
    BOOST_REQUIRE(edited.has_value());
    const MetadataFile after = opened(std::move(*edited));
    BOOST_TEST((facts_of(after.view()) == facts_of(checkpoint)));
  }
}

BOOST_AUTO_TEST_CASE(differences) {
  Random random(7);
  std::map<std::string, int> seen;
  constexpr Aspects kCompared = Aspect::Type | Aspect::Dtype | Aspect::Shape | Aspect::Sharding | Aspect::Location;
  for (int round = 0; round < 2000; ++round) {
    const Checkpoint a = random_checkpoint(random, pick(random, 1, 5), 10);
    Checkpoint b = a;
    for (Entry& entry : b.entries) {
      switch (random() % 12) {
        case 0: entry.fqn += "x"; break;
        case 1: entry.dtype = "float64"; break;
        case 2: entry = random_tensor(random, entry.fqn); break;
        case 3:
          for (Chunk& chunk : entry.chunks) {
            if (chunk.place) ++chunk.place->byte_offset;
          }
          if (entry.place) ++entry.place->length;
          break;
        case 4: std::ranges::shuffle(entry.chunks, random); break;
        default: break;
      }
    }
    const MetadataFile file_a = a.write();
    const MetadataFile file_b = b.write();
    const auto got = diff(file_a.view(), file_b.view(), kCompared);
    BOOST_REQUIRE(got.has_value());
    const Facts x = facts_of(a), y = facts_of(b);
    std::set<std::string> removed, added;
    std::map<std::string, Aspects> changed;
    for (const auto& [fqn, fact] : y) {
      if (!x.contains(fqn)) added.insert(fqn);
    }
    for (const auto& [fqn, fact] : x) {
      const auto other = y.find(fqn);
      if (other == y.end()) {
        removed.insert(fqn);
        continue;
      }
      const Fact& now = other->second;
      Aspects aspects = 0;
      const auto boxes = [](const Fact& f) {
        std::vector<std::pair<Size, Size>> keys;
        for (const auto& [box, at] : f.chunks) keys.push_back(box);
        return keys;
      };
      if (fact.kind != now.kind) {
        aspects = aspects | Aspect::Type;
      } else {
        if (fact.dtype != now.dtype) aspects = aspects | Aspect::Dtype;
        if (fact.size != now.size) aspects = aspects | Aspect::Shape;
        if (boxes(fact) != boxes(now)) {
          aspects = aspects | Aspect::Sharding;
        } else if (fact.chunks != now.chunks) {
          aspects = aspects | Aspect::Location;
        }
      }
      if (aspects != 0) changed[fqn] = aspects;
    }
    std::set<std::string> got_removed, got_added;
    std::map<std::string, Aspects> got_changed;
    for (const auto i : got->removed) got_removed.emplace(file_a.view().entry(i)->fqn());
    for (const auto i : got->added) got_added.emplace(file_b.view().entry(i)->fqn());
    for (const ChangedEntry& entry : got->changed)
      got_changed.emplace(file_a.view().entry(entry.a)->fqn(), entry.aspects);
    BOOST_TEST((got_removed == removed));
    BOOST_TEST((got_added == added));
    BOOST_TEST((got_changed == changed));
    for (const auto& [fqn, aspects] : changed) {
      for (const Aspect one : {Aspect::Type, Aspect::Dtype, Aspect::Shape, Aspect::Sharding, Aspect::Location})
        seen[std::string(to_string(one))] += holds(aspects, one);
    }
  }
  for (const auto& [kind, number] : seen) BOOST_TEST_CONTEXT(kind) BOOST_TEST(number > 30);
}

BOOST_AUTO_TEST_SUITE_END()
