// tests/write/checkpoints.hpp - random checkpoints as plain facts, and ways to tell a builder of them.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "flatpoint/builder.hpp"
#include "flatpoint/metadata_file.hpp"
#include "flatpoint/verify.hpp"

namespace flatpoint::test {

/// The value, or a failed test that shows the error.
template <class T>
T expect(Result<T> result) {
  if (!result) BOOST_FAIL(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct Stored {
  std::string file;
  std::uint64_t byte_offset = 0;
  std::uint64_t length = 0;
  std::uint32_t rank = 0;
};

struct ChunkFact {
  ChunkStorageMetadata box;
  Stored stored;
};

struct EntryFact {
  std::string fqn;
  bool is_bytes = false;
  TensorProperties properties;
  Size size;
  std::vector<ChunkFact> chunks;  // bytes: one, without a box
};

using Facts = std::vector<EntryFact>;

/// Cuts [0, n) into `parts` pieces as FSDP does, or at random places.
inline std::vector<std::int64_t> cut(std::mt19937& random, std::int64_t n, std::int64_t parts, bool even) {
  std::vector<std::int64_t> points{0};
  const std::int64_t step = (n + parts - 1) / parts;
  for (std::int64_t i = 1; i < parts; ++i)
    points.push_back(even ? std::min(i * step, n)
                          : static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n + 1)));
  points.push_back(n);
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

/// A tensor cut into a grid, its chunks held by ranks in random order.
inline EntryFact random_tensor(std::mt19937& random, std::string fqn, std::uint32_t ranks) {
  EntryFact fact;
  fact.fqn = std::move(fqn);
  fact.properties.dtype = static_cast<ScalarType>(random() % 10);
  if (random() % 10 == 0) {
    fact.properties.dtype = ScalarType::Other;
    fact.properties.dtype_name = "float" + std::to_string(random() % 3);
  }
  const std::size_t rank = random() % 4;
  std::vector<std::vector<std::int64_t>> points;
  for (std::size_t d = 0; d < rank; ++d) {
    fact.size.push_back(1 + static_cast<std::int64_t>(random() % 40));
    points.push_back(cut(random, fact.size.back(), 1 + static_cast<std::int64_t>(random() % 4), random() % 2 == 0));
  }
  if (random() % 2 == 0) fact.properties.strides = random() % 2 == 0 ? contiguous_strides(fact.size) : Size(rank, 7);
  std::vector<std::size_t> cell(rank, 0);
  const bool one_file = random() % 16 == 0;  // that all ranks write into
  for (bool more = true; more;) {
    ChunkFact chunk;
    for (std::size_t d = 0; d < rank; ++d) {
      chunk.box.offsets.push_back(points[d][cell[d]]);
      chunk.box.sizes.push_back(points[d][cell[d] + 1] - points[d][cell[d]]);
    }
    const std::uint32_t holder = static_cast<std::uint32_t>(random()) % ranks;
    const std::string file = "__" + std::to_string(holder) + "_" + std::to_string(random() % 2) + ".distcp";
    chunk.stored = {one_file ? "all.distcp" : file, random() % 100000, random() % 4000, holder};
    fact.chunks.push_back(std::move(chunk));
    more = false;
    for (std::size_t d = rank; d-- > 0 && !more;) {
      more = ++cell[d] + 1 < points[d].size();
      if (!more) cell[d] = 0;
    }
  }
  return fact;
}

inline Facts random_facts(std::mt19937& random, std::size_t entries, std::size_t rank_count) {
  const auto ranks = static_cast<std::uint32_t>(rank_count);
  Facts facts;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::string fqn = "model.layers." + std::to_string(i) + (random() % 2 == 0 ? ".weight" : ".bias");
    if (random() % 8 == 0) {
      const std::uint32_t holder = static_cast<std::uint32_t>(random()) % ranks;
      facts.push_back(
          {fqn, true, {}, {}, {{{}, {"__" + std::to_string(holder) + "_0.distcp", random() % 1000, 17, holder}}}});
    } else {
      facts.push_back(random_tensor(random, fqn, ranks));
    }
  }
  return facts;
}

inline StoredAt place(MetadataBuilder& builder, const Stored& stored) {
  return {.file = builder.add_file(stored.file),
          .byte_offset = stored.byte_offset,
          .length = stored.length,
          .rank = stored.rank};
}

/// Tells a builder of an entry, in one call per chunk.
inline void add(MetadataBuilder& builder, const EntryFact& fact) {
  if (fact.is_bytes) return expect(builder.add_bytes(fact.fqn, place(builder, fact.chunks[0].stored)));
  const TensorId id = expect(builder.add_tensor(fact.fqn, fact.properties, fact.size));
  for (const ChunkFact& chunk : fact.chunks) {
    expect(builder.add_chunk(id, chunk.box.offsets, chunk.box.sizes, place(builder, chunk.stored)));
  }
}

inline Buffer build_whole(const Facts& facts, Checks checks = Checks::Strict) {
  auto builder = MetadataBuilder::create(checks);
  for (const EntryFact& fact : facts) add(builder, fact);
  return expect(std::move(builder).finish());
}

/// The fragment of one rank: its chunks, and the tensors that it has chunks of.
inline Buffer build_fragment(const Facts& facts, std::uint32_t rank) {
  auto builder = MetadataBuilder::create_fragment(rank);
  for (EntryFact fact : facts) {
    std::erase_if(fact.chunks, [&](const ChunkFact& chunk) { return chunk.stored.rank != rank; });
    if (!fact.chunks.empty()) add(builder, fact);
  }
  return expect(std::move(builder).finish());
}

inline bool equal(const Buffer& a, const Buffer& b) { return std::ranges::equal(a.bytes(), b.bytes()); }

inline void check_sound(const MetadataFile& file) {
  const VerifyReport report = verify(file);
  for (const BrokenRule& broken : report.broken_rules) BOOST_ERROR(broken.rule + ": " + broken.message);
}

}  // namespace flatpoint::test
