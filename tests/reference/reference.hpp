// reference/reference.hpp - small checkpoints as plain facts, and what follows from DCP's definitions, element by
// element: no grid, no search, no sorting, nothing of the library but the way to write a file.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "plan/metadata_json.hpp"

namespace flatpoint::reference {

/// _StorageInfo.
struct Place {
  std::uint32_t file;
  std::uint64_t byte_offset;
  std::uint64_t length;
  auto operator<=>(const Place&) const = default;
};

struct Chunk {
  Size offsets;
  Size sizes;
  std::optional<Place> place = {};
  bool operator==(const Chunk&) const = default;

  [[nodiscard]] bool is_empty() const {
    return std::ranges::any_of(sizes, [](std::int64_t n) { return n <= 0; });
  }
  [[nodiscard]] bool holds(const Size& element) const {
    for (std::size_t d = 0; d < element.size(); ++d) {
      if (element[d] < offsets[d] || element[d] >= offsets[d] + sizes[d]) return false;
    }
    return true;
  }
};

enum class Kind { Tensor, Bytes, Opaque };

struct Entry {
  std::string fqn;
  Kind kind = Kind::Tensor;
  Size size = {};
  std::string dtype = "float32";
  std::vector<Chunk> chunks = {};   // in DCP's order
  std::optional<Place> place = {};  // of bytes
  bool operator==(const Entry&) const = default;
};

/// Where storage_data says that chunks at an offset lie: it has one key for all of them. Of entries for one key that of
/// a chunk with elements counts, else the first.
inline std::optional<Place> place_at(const Entry& tensor, const Size& offset) {
  std::optional<Place> first;
  for (const Chunk& chunk : tensor.chunks) {
    if (chunk.offsets != offset || !chunk.place) continue;
    if (!chunk.is_empty()) return chunk.place;
    if (!first) first = chunk.place;
  }
  return first;
}

struct Checkpoint {
  std::vector<std::string> files;
  std::vector<Entry> entries;

  [[nodiscard]] nlohmann::json as_json() const {
    using nlohmann::json;
    const auto place = [](const std::optional<Place>& at) {
      return at ? json{at->file, at->byte_offset, at->length} : json();
    };
    json out = {{"files", files}, {"entries", json::array()}};
    for (const Entry& entry : entries) {
      json one = {{"fqn", entry.fqn}, {"storage", json::array()}};
      if (entry.kind == Kind::Opaque) one["opaque"] = true;
      if (entry.kind != Kind::Tensor) one["storage"].push_back(place(entry.place));
      if (entry.kind == Kind::Tensor) {
        one["size"] = entry.size;
        one["dtype"] = entry.dtype;
        one["chunks"] = json::array();
        for (const Chunk& chunk : entry.chunks) {
          one["chunks"].push_back({chunk.offsets, chunk.sizes});
          const bool has_key = &*std::ranges::find(entry.chunks, chunk.offsets, &Chunk::offsets) == &chunk;
          one["storage"].push_back(place(has_key ? place_at(entry, chunk.offsets) : std::nullopt));
        }
      }
      out["entries"].push_back(std::move(one));
    }
    return out;
  }
  [[nodiscard]] MetadataFile write() const { return tests::file_from(as_json()); }
};

/// Calls visit(element) for every element of a box, row-major.
inline void for_each_element(const Size& offsets, const Size& sizes, const std::function<void(const Size&)>& visit) {
  if (std::ranges::any_of(sizes, [](std::int64_t n) { return n <= 0; })) return;
  Size at = offsets;
  while (true) {
    visit(at);
    std::size_t d = at.size();
    while (d > 0 && ++at[d - 1] == offsets[d - 1] + sizes[d - 1]) {
      at[d - 1] = offsets[d - 1];
      --d;
    }
    if (d == 0) return;
  }
}

inline Size zeros(const Size& size) { return Size(size.size(), 0); }

/// How many chunks hold each element of a tensor.
inline std::map<Size, int> holders(const Entry& tensor) {
  std::map<Size, int> count;
  for_each_element(zeros(tensor.size), tensor.size, [&](const Size& element) {
    count[element] = static_cast<int>(
        std::ranges::count_if(tensor.chunks, [&](const Chunk& chunk) { return chunk.holds(element); }));
  });
  return count;
}

/// A chunk that has an element outside its tensor, or a negative number. An empty one has none.
inline bool reaches_outside(const Chunk& chunk, const Size& size) {
  for (std::size_t d = 0; d < size.size(); ++d) {
    if (chunk.offsets[d] < 0 || chunk.sizes[d] < 0) return true;
    if (!chunk.is_empty() && chunk.offsets[d] + chunk.sizes[d] > size[d]) return true;
  }
  return false;
}

inline bool share_an_element(const Chunk& a, const Chunk& b) {
  bool shared = false;
  for_each_element(a.offsets, a.sizes, [&](const Size& element) { shared |= b.holds(element); });
  return shared;
}

/// torch's _check_shard_metadata_pair_overlap: each begins before the other ends, along every dimension.
inline bool overlaps_as_torch(const Chunk& a, const Chunk& b) {
  for (std::size_t d = 0; d < a.sizes.size(); ++d) {
    if (a.offsets[d] >= b.offsets[d] + b.sizes[d] || b.offsets[d] >= a.offsets[d] + a.sizes[d]) return false;
  }
  return true;
}

// Random checkpoints.

using Random = std::mt19937;

inline std::int64_t pick(Random& random, std::int64_t least, std::int64_t most) {
  return least + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most - least + 1));
}
inline bool chance(Random& random, int in_hundred) { return pick(random, 0, 99) < in_hundred; }

/// torch.chunk of a list of indices; what is left over are empty lists.
inline std::vector<Size> chunk(const Size& indices, std::int64_t parts) {
  const auto n = static_cast<std::int64_t>(indices.size());
  const std::int64_t step = (n + parts - 1) / parts;
  std::vector<Size> out;
  for (std::int64_t i = 0; i < parts; ++i) {
    out.emplace_back(indices.begin() + std::min(i * step, n), indices.begin() + std::min((i + 1) * step, n));
  }
  return out;
}

/// One dimension of a mesh, and what it does with a tensor.
struct MeshDim {
  std::int64_t parts;
  std::int64_t dim = -1;          // that is sharded; -1: replicated
  std::int64_t split_factor = 1;  // of a _StridedShard: into how many pieces, each of which is chunked
};

/// The indices that a rank holds, per dimension of the tensor: each mesh dimension chunks what the one before it left.
inline std::vector<Size> indices_of(const Size& size, const std::vector<MeshDim>& mesh, std::int64_t rank) {
  std::vector<Size> held(size.size());
  for (std::size_t d = 0; d < size.size(); ++d) {
    for (std::int64_t i = 0; i < size[d]; ++i) held[d].push_back(i);
  }
  std::int64_t stride = 1;
  for (const MeshDim& dim : mesh) stride *= dim.parts;
  for (const MeshDim& dim : mesh) {
    stride /= dim.parts;
    if (dim.dim < 0 || dim.dim >= static_cast<std::int64_t>(size.size())) continue;
    Size& along = held[static_cast<std::size_t>(dim.dim)];
    Size kept;
    for (const Size& piece : chunk(along, dim.split_factor)) {
      const Size part = chunk(piece, dim.parts)[static_cast<std::size_t>(rank / stride % dim.parts)];
      kept.insert(kept.end(), part.begin(), part.end());
    }
    along = std::move(kept);
  }
  return held;
}

/// The box of these indices; nothing where they are none.
inline std::optional<Chunk> box_of(const Size& size, const std::vector<Size>& held) {
  Chunk box;
  for (std::size_t d = 0; d < size.size(); ++d) {
    const auto count = static_cast<std::int64_t>(held[d].size());
    if (count > 0 && held[d].back() - held[d].front() + 1 != count) return std::nullopt;
    box.offsets.push_back(count == 0 ? size[d] : held[d].front());
    box.sizes.push_back(count);
  }
  return box;
}

/// `strided`: in a hundred placements that shard, how many are a _StridedShard.
inline std::vector<MeshDim> random_mesh(Random& random, int strided) {
  std::vector<MeshDim> mesh;
  for (std::int64_t i = pick(random, 1, 2); i > 0; --i) {
    mesh.push_back({pick(random, 1, 4), pick(random, -1, 2), chance(random, strided) ? pick(random, 2, 4) : 1});
  }
  return mesh;
}

inline std::int64_t rank_count(const std::vector<MeshDim>& mesh) {
  std::int64_t count = 1;
  for (const MeshDim& dim : mesh) count *= dim.parts;
  return count;
}

/// Split points of [0, n): even, as torch.chunk cuts, or anywhere, with empty cells.
inline Size random_cuts(Random& random, std::int64_t n) {
  const std::int64_t parts = pick(random, 1, 3);
  Size points{0};
  if (chance(random, 50)) {
    const std::int64_t step = std::max<std::int64_t>((n + parts - 1) / parts, 1);
    for (std::int64_t i = 1; i <= parts; ++i) points.push_back(std::min(i * step, n));
  } else {
    for (std::int64_t i = 1; i < parts; ++i) points.push_back(pick(random, 0, n));
    points.push_back(n);
    std::ranges::sort(points);
  }
  return points;
}

inline std::vector<Chunk> random_grid(Random& random, const Size& size) {
  std::vector<Chunk> chunks{{{}, {}}};
  for (const std::int64_t n : size) {
    const Size points = random_cuts(random, n);
    std::vector<Chunk> finer;
    for (const Chunk& chunk : chunks) {
      for (std::size_t i = 0; i + 1 < points.size(); ++i) {
        finer.push_back(chunk);
        finer.back().offsets.push_back(points[i]);
        finer.back().sizes.push_back(points[i + 1] - points[i]);
      }
    }
    chunks = std::move(finer);
  }
  return chunks;
}

/// Cuts again and again one chunk in two: a tiling that mostly is no grid.
inline std::vector<Chunk> random_guillotine(Random& random, const Size& size) {
  std::vector<Chunk> chunks{{zeros(size), size}};
  for (std::int64_t cuts = size.empty() ? 0 : pick(random, 0, 6); cuts > 0; --cuts) {
    Chunk& low = chunks[random() % chunks.size()];
    const std::size_t d = random() % size.size();
    const std::int64_t at = pick(random, 0, low.sizes[d]);
    Chunk high = low;
    low.sizes[d] = at;
    high.offsets[d] += at;
    high.sizes[d] -= at;
    chunks.push_back(std::move(high));
  }
  return chunks;
}

inline std::vector<Chunk> random_sharding(Random& random, const Size& size) {
  const auto mesh = random_mesh(random, 20);
  std::vector<Chunk> chunks;
  for (std::int64_t rank = 0; rank < rank_count(mesh); ++rank) {
    auto chunk = box_of(size, indices_of(size, mesh, rank));
    if (!chunk) return {{zeros(size), size}};  // which DCP cannot save
    if (std::ranges::find(chunks, *chunk) == chunks.end()) chunks.push_back(std::move(*chunk));
  }
  return chunks;
}

/// Something that no save should leave: a chunk less, moved, grown, or an empty one more.
inline void damage(Random& random, const Size& size, std::vector<Chunk>& chunks) {
  if (chunks.empty() || size.empty()) return;
  Chunk& chunk = chunks[random() % chunks.size()];
  const std::size_t d = random() % size.size();
  switch (random() % 5) {
    case 0: chunks.erase(chunks.begin() + (&chunk - chunks.data())); break;
    case 1: chunk.offsets[d] += pick(random, 0, 2); break;
    case 2: ++chunk.sizes[d]; break;
    case 3: {
      Chunk empty = chunk;
      empty.sizes[d] = 0;
      empty.offsets[d] += pick(random, 0, 1) * pick(random, 0, 9);
      chunks.push_back(empty);
      break;
    }
    default:
      if (chunk.sizes[d] > 0) --chunk.sizes[d];
  }
}

inline Entry random_tensor(Random& random, std::string fqn, bool sound = false) {
  Entry entry{.fqn = std::move(fqn)};
  for (std::int64_t d = pick(random, 0, 3); d > 0; --d)
    entry.size.push_back(chance(random, 8) ? 0 : pick(random, 1, 6));
  const char* const dtypes[] = {"float32", "bfloat16", "int8"};
  entry.dtype = dtypes[random() % 3];
  switch (random() % 4) {
    case 0: entry.chunks = random_grid(random, entry.size); break;
    case 1: entry.chunks = random_guillotine(random, entry.size); break;
    case 2: entry.chunks = random_sharding(random, entry.size); break;
    default: entry.chunks = {{zeros(entry.size), entry.size}};
  }
  for (int damages = sound || chance(random, 60) ? 0 : 1 + static_cast<int>(random() % 2); damages > 0; --damages)
    damage(random, entry.size, entry.chunks);
  if (chance(random, 40)) std::ranges::shuffle(entry.chunks, random);
  return entry;
}

/// `lost`: in a hundred chunks, how many are stored nowhere.
inline Checkpoint random_checkpoint(Random& random, std::int64_t entries, int lost, bool sound = false) {
  Checkpoint out;
  for (std::int64_t i = pick(random, 1, 3); i > 0; --i) out.files.push_back("__" + std::to_string(i) + "_0.distcp");
  std::uint64_t end = 0;
  const auto place = [&]() -> std::optional<Place> {
    if (chance(random, lost)) return std::nullopt;
    const std::uint64_t length = random() % 300;
    end += length;
    return Place{static_cast<std::uint32_t>(random() % out.files.size()), end - length, length};
  };
  for (std::int64_t i = 0; i < entries; ++i) {
    const std::string fqn = std::string(1, static_cast<char>('a' + i % 3)) + "." + std::to_string(i);
    Entry entry{.fqn = fqn, .kind = Kind::Bytes};
    if (chance(random, 80)) {
      entry = random_tensor(random, fqn, sound);
      for (Chunk& chunk : entry.chunks) chunk.place = place();
      for (Chunk& chunk : entry.chunks) {  // one key in storage_data
        if (const auto first = std::ranges::find(entry.chunks, chunk.offsets, &Chunk::offsets); &*first != &chunk)
          chunk.place = std::nullopt;
      }
    } else if (chance(random, 15)) {
      entry.kind = Kind::Opaque;
    } else {
      entry.place = place();
    }
    out.entries.push_back(std::move(entry));
  }
  return out;
}

}  // namespace flatpoint::reference
