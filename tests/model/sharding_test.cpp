// Shardings against a model that holds every index, as torch does. tests/torch compares with torch itself.
#include "flatpoint/sharding.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <map>
#include <numeric>
#include <random>

using namespace flatpoint;

namespace {

using Indexes = std::vector<std::int64_t>;

// Cuts a list into `parts` lists, as torch.chunk does, the missing ones empty.
std::vector<Indexes> chunk(const Indexes& list, std::int64_t parts) {
  const auto n = static_cast<std::int64_t>(list.size());
  const std::int64_t step = (n + parts - 1) / parts;
  std::vector<Indexes> chunks(static_cast<std::size_t>(parts));
  for (std::int64_t i = 0; i < n; ++i)
    chunks[static_cast<std::size_t>(i / step)].push_back(list[static_cast<std::size_t>(i)]);
  return chunks;
}

// The elements of a dimension that a rank holds, cut by cut.
Indexes model(std::int64_t length, std::size_t dimension, const Size& mesh, const std::vector<Placement>& placements,
              std::int64_t rank) {
  Indexes list(static_cast<std::size_t>(length));
  std::iota(list.begin(), list.end(), 0);
  std::int64_t stride = std::accumulate(mesh.begin(), mesh.end(), std::int64_t{1}, std::multiplies<>());
  for (std::size_t i = 0; i < mesh.size(); ++i) {
    stride /= mesh[i];
    const auto coordinate = static_cast<std::size_t>(rank / stride % mesh[i]);
    std::int64_t split_factor = 1;
    std::int64_t dim = -1;
    if (const auto* shard = std::get_if<Shard>(&placements[i])) dim = shard->dim;
    if (const auto* strided = std::get_if<StridedShard>(&placements[i])) {
      dim = strided->dim;
      split_factor = strided->split_factor;
    }
    if (dim != static_cast<std::int64_t>(dimension)) continue;
    Indexes kept;
    for (const Indexes& piece : chunk(list, split_factor)) {
      const Indexes part = chunk(piece, mesh[i])[coordinate];
      kept.insert(kept.end(), part.begin(), part.end());
    }
    list = kept;
  }
  return list;
}

bool is_run(const Indexes& list) {
  return list.empty() || list.back() - list.front() + 1 == static_cast<std::int64_t>(list.size());
}

struct Case {
  Size size;
  Size mesh;
  std::vector<Placement> placements;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  out << "size";
  for (const auto n : c.size) out << ' ' << n;
  out << ", mesh";
  for (const auto n : c.mesh) out << ' ' << n;
  out << ", placements";
  for (const auto& placement : c.placements) out << ' ' << to_string(placement);
  return out;
}

Case random_case(std::mt19937& random) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution(low, high)(random); };
  Case c;
  const int rank = pick(1, 3);
  for (int i = 0; i < rank; ++i) c.size.push_back(pick(0, 4) == 0 ? pick(0, 3) : pick(1, 40));
  const int mesh_rank = pick(1, 3);
  for (int i = 0; i < mesh_rank; ++i) {
    c.mesh.push_back(pick(1, 6));
    const std::int64_t dim = pick(0, rank - 1);
    switch (pick(0, 3)) {
      case 0: c.placements.push_back(Replicate{}); break;
      case 1: c.placements.push_back(StridedShard{dim, pick(1, 6)}); break;
      default: c.placements.push_back(Shard{dim});
    }
  }
  return c;
}

std::string error_of(const Size& size, const Size& mesh, const std::vector<Placement>& placements,
                     std::int64_t rank = 0) {
  const auto box = local_box(size, mesh, placements, rank);
  return box ? "" : box.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sharding)

BOOST_AUTO_TEST_CASE(one_dimension_cut_twice) {
  // torch's own example: five columns on a mesh of 2 x 2, (Shard(1), Shard(1)).
  const std::vector<ChunkStorageMetadata> expected = {
      {{0, 0}, {2, 2}}, {{0, 2}, {2, 1}}, {{0, 3}, {2, 1}}, {{0, 4}, {2, 1}}};
  for (std::int64_t rank = 0; rank < 4; ++rank) {
    BOOST_TEST((local_box(Size{2, 5}, Size{2, 2}, std::vector<Placement>{Shard{1}, Shard{-1}}, rank).value() ==
                expected[static_cast<std::size_t>(rank)]));
  }
}

BOOST_AUTO_TEST_CASE(fsdp_over_tp_is_right_to_left) {
  const auto sharding =
      Sharding::create(Size{8}, Size{2, 2}, std::vector<Placement>{StridedShard{0, 2}, Shard{0}}).value();
  const std::int64_t begins[] = {0, 4, 2, 6};
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    BOOST_TEST((sharding.local_box(rank) == ChunkStorageMetadata{{begins[rank]}, {2}}));
    BOOST_TEST(sharding.cell(rank) == static_cast<std::uint32_t>(begins[rank] / 2));
  }
  BOOST_TEST((sharding.even_step(0) == 2));
}

BOOST_AUTO_TEST_CASE(empty_shards_lie_at_the_end_and_are_one_chunk) {
  const auto sharding = Sharding::create(Size{5, 2}, Size{8}, std::vector<Placement>{Shard{0}}).value();
  BOOST_TEST((sharding.local_box(7) == ChunkStorageMetadata{{5, 0}, {0, 2}}));
  BOOST_TEST(sharding.cell_count() == 6U);
  BOOST_TEST(sharding.chunk_ranks() == (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}),
             boost::test_tools::per_element());
  BOOST_TEST(sharding.split_points(0) == (Size{0, 1, 2, 3, 4, 5, 5}), boost::test_tools::per_element());
  BOOST_TEST((sharding.even_step(0) == 1));
  BOOST_TEST((sharding.even_step(1) == 2));

  const auto nothing = Sharding::create(Size{0}, Size{3}, std::vector<Placement>{Shard{0}}).value();
  BOOST_TEST((nothing.chunks() == std::vector<ChunkStorageMetadata>{{{0}, {0}}}));
  BOOST_TEST((nothing.even_step(0) == 0));
}

BOOST_AUTO_TEST_CASE(replicas_are_dropped_by_lowest_rank) {
  const auto sharding =
      Sharding::create(Size{8, 6}, Size{2, 3, 2}, std::vector<Placement>{Replicate{}, Shard{1}, Shard{0}}).value();
  BOOST_TEST(sharding.rank_count() == 12U);
  BOOST_TEST(sharding.chunk_ranks() == (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}),
             boost::test_tools::per_element());
  const std::uint32_t cells[] = {0, 3, 1, 4, 2, 5};
  for (std::uint32_t rank = 0; rank < 12; ++rank) BOOST_TEST(sharding.cell(rank) == cells[rank % 6]);
  BOOST_TEST((sharding.chunks()[1] == ChunkStorageMetadata{{4, 0}, {4, 2}}));
}

BOOST_AUTO_TEST_CASE(scalars_and_meshes_without_dimensions) {
  const auto scalar = Sharding::create(Size{}, Size{4}, std::vector<Placement>{Replicate{}}).value();
  BOOST_TEST(scalar.cell_count() == 1U);
  BOOST_TEST((scalar.chunks() == std::vector<ChunkStorageMetadata>{{}}));
  const auto alone = Sharding::create(Size{3}, Size{}, std::vector<Placement>{}).value();
  BOOST_TEST((alone.chunks() == std::vector<ChunkStorageMetadata>{{{0}, {3}}}));
}

BOOST_AUTO_TEST_CASE(elements_that_are_not_one_run_are_refused_or_as_torch) {
  // 25 elements cut as 13 + 12, each into 4: rank 6 holds 12 and 22.
  const Size size{25};
  const Size mesh{4, 2};
  const std::vector<Placement> placements = {StridedShard{0, 2}, Shard{0}};
  BOOST_TEST(
      (compute_local_shape_and_global_offset(size, mesh, placements, 6).value() == ChunkStorageMetadata{{12}, {2}}));
  const std::string message =
      "rank 6 holds 2 elements of dimension 0 that are not one run, the first at 12, the last at 22: "
      "no box describes them";
  BOOST_TEST(error_of(size, mesh, placements, 6) == message);
  BOOST_TEST(Sharding::create(size, mesh, placements).error().message == message);
  BOOST_TEST(error_of(size, mesh, placements, 5) == "");
}

BOOST_AUTO_TEST_CASE(partial_is_refused_or_as_torch) {
  const std::vector<Placement> placements = {Partial{}};
  BOOST_TEST(error_of({4}, {2}, placements) ==
             "Any checkpointing related operations are not supported for DTensor with partial placements!");
  BOOST_TEST(!Sharding::create(Size{4}, Size{2}, placements));
  BOOST_TEST((compute_local_shape_and_global_offset(Size{4}, Size{2}, placements, 1).value() ==
              ChunkStorageMetadata{{0}, {4}}));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named) {
  BOOST_TEST(error_of({4}, {2}, {Shard{1}}) == "placement S(1) shards a tensor of 1 dimensions");
  BOOST_TEST(error_of({4}, {2}, {Shard{-2}}) == "placement S(-2) shards a tensor of 1 dimensions");
  BOOST_TEST(error_of({}, {2}, {Shard{0}}) == "placement S(0) shards a tensor of 0 dimensions");
  BOOST_TEST(error_of({4}, {2}, {StridedShard{0, 0}}) == "placement _S(0, 0) has a split factor below 1");
  BOOST_TEST(error_of({4}, {2, 2}, {Shard{0}}) == "1 placements for a mesh of 2 dimensions");
  BOOST_TEST(error_of({4}, {0}, {Shard{0}}) == "a mesh dimension of size 0");
  BOOST_TEST(error_of({4, -1}, {2}, {Shard{0}}) == "dimension 1 has the negative size -1");
  BOOST_TEST(error_of({4}, {2}, {Shard{0}}, 2) == "rank 2 of a mesh of 2 ranks");
  BOOST_TEST(error_of({4}, {2}, {Shard{0}}, -1) == "rank -1 of a mesh of 2 ranks");
  BOOST_TEST(error_of({4}, {65536, 65536}, {Shard{0}, Shard{0}}) == "a mesh of more than 2147483647 ranks");
}

BOOST_AUTO_TEST_CASE(the_largest_sizes_do_not_overflow) {
  const std::int64_t big = std::numeric_limits<std::int64_t>::max();
  const Size mesh{1000, 2147483};
  for (const Placement& second :
       {Placement(Shard{0}), Placement(StridedShard{0, big}), Placement(StridedShard{0, 3})}) {
    const std::vector<Placement> placements = {Shard{0}, second};
    for (const std::int64_t rank : {0LL, 2147483LL, 2147482999LL}) {
      const auto box = compute_local_shape_and_global_offset(Size{big}, mesh, placements, rank).value();
      BOOST_TEST(box.offsets[0] >= 0);
      BOOST_TEST(box.sizes[0] >= 0);
      BOOST_TEST(box.sizes[0] <= big - box.offsets[0]);
    }
  }
  BOOST_TEST((local_box(Size{big}, Size{2}, std::vector<Placement>{Shard{0}}, 1).value() ==
              ChunkStorageMetadata{{big / 2 + 1}, {big / 2}}));
}

BOOST_AUTO_TEST_CASE(random_shardings_equal_the_model) {
  std::mt19937 random(20261124);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const Case c = random_case(random);
    BOOST_TEST_CONTEXT(c) {
      const auto sharding = Sharding::create(c.size, c.mesh, c.placements);
      const std::int64_t ranks = std::accumulate(c.mesh.begin(), c.mesh.end(), std::int64_t{1}, std::multiplies<>());
      std::map<Size, std::pair<std::uint32_t, ChunkStorageMetadata>> distinct;  // by offsets, DCP's key
      bool all_runs = true;
      for (std::int64_t rank = 0; rank < ranks; ++rank) {
        ChunkStorageMetadata expected;
        bool runs = true;
        for (std::size_t d = 0; d < c.size.size(); ++d) {
          const Indexes held = model(c.size[d], d, c.mesh, c.placements, rank);
          expected.offsets.push_back(held.empty() ? c.size[d] : held.front());
          expected.sizes.push_back(static_cast<std::int64_t>(held.size()));
          runs = runs && is_run(held);
        }
        all_runs = all_runs && runs;
        const auto box = local_box(c.size, c.mesh, c.placements, rank);
        BOOST_TEST((compute_local_shape_and_global_offset(c.size, c.mesh, c.placements, rank).value() == expected));
        BOOST_TEST(box.has_value() == runs);
        if (sharding) BOOST_TEST((sharding->local_box(static_cast<std::uint32_t>(rank)) == expected));
        distinct.try_emplace(expected.offsets, static_cast<std::uint32_t>(rank), expected);
      }
      BOOST_TEST(sharding.has_value() == all_runs);
      if (!sharding) {
        ++refused;
        continue;
      }

      BOOST_TEST(sharding->cell_count() == distinct.size());
      const auto chunk_ranks = sharding->chunk_ranks();
      BOOST_TEST(std::ranges::is_sorted(chunk_ranks));
      BOOST_TEST(chunk_ranks.size() == distinct.size());
      std::uint32_t cell = 0;  // the map's order is the cells' order
      for (const auto& [offsets, holder] : distinct) {
        BOOST_TEST(sharding->cell(holder.first) == cell++);
        BOOST_TEST(std::ranges::binary_search(chunk_ranks, holder.first));
      }
      for (std::size_t d = 0; d < c.size.size(); ++d) {
        const auto points = sharding->split_points(d);
        const auto step = sharding->even_step(d);
        bool even = true;
        for (std::size_t k = 0; k < points.size(); ++k) {
          even = even && points[k] == std::min(static_cast<std::int64_t>(k) * points[1], c.size[d]);
        }
        BOOST_TEST(step.has_value() == even);
      }
    }
  }
  BOOST_TEST(refused > 30);
  BOOST_TEST(refused < 1500);
}

BOOST_AUTO_TEST_CASE(a_shards_metadata_is_its_own_chunk) {
  const auto sharding = Sharding::create(Size{5, 3}, Size{2}, std::vector<Placement>{Shard{0}}).value();
  const Size local{2, 3};
  const auto metadata = create_tensor_storage_metadata(TensorDescriptor{.size = local}, sharding, 1).value();
  BOOST_TEST((metadata.size == Size{5, 3}));
  BOOST_TEST((metadata.chunks == std::vector<ChunkStorageMetadata>{{{3, 0}, {2, 3}}}));
  BOOST_TEST((metadata.properties.strides == Size{3, 1}));
  const auto error = [&](std::uint32_t rank) {
    return create_tensor_storage_metadata(TensorDescriptor{.size = local}, sharding, rank).error().message;
  };
  BOOST_TEST(error(0) == "a local tensor of size [2, 3], where rank 0 holds a box of size [3, 3]");
  BOOST_TEST(error(2) == "rank 2 of a mesh of 2 ranks");
}

BOOST_AUTO_TEST_SUITE_END()
