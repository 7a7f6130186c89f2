#include "support/big_files.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/format.hpp"
#include "flatpoint/builder.hpp"
#include "support/random_model.hpp"
#include "support/taken.hpp"

namespace flatpoint::test {
namespace {

constexpr std::uint32_t kRanks = 256;

/// Pairs of rows, each cut at another column: no grid.
std::vector<ChunkStorageMetadata> ragged(const Size& size, std::int64_t seed) {
  std::vector<ChunkStorageMetadata> chunks;
  const std::int64_t height = 2 * size[0] / kRanks;
  for (std::int64_t row = 0; row < size[0]; row += height) {
    const std::int64_t cut = 1 + (row * 37 + seed * 11) % (size[1] - 1);
    chunks.push_back({{row, 0}, {height, cut}});
    chunks.push_back({{row, cut}, {height, size[1] - cut}});
  }
  return chunks;
}

std::vector<ChunkStorageMetadata> cut(const Size& size, std::int64_t tensor) {
  constexpr std::int64_t kParts = kRanks;
  if (tensor % 8 == 7) return ragged(size, tensor);
  if (tensor % 8 == 6) return even_grid(size, {kParts / 4, 4});
  if (tensor % 8 < 5) return even_grid(size, {kParts, 1});
  Size points;
  for (std::int64_t i = 0; i <= kParts; ++i)
    points.push_back(i * size[0] / kParts + (i % kParts > 0 ? (i + tensor) % 3 : 0));
  return grid({points, {0, size[1]}});
}

/// Another model's facts, its names behind a prefix of one component.
void append(Model& to, Model from, const std::string& prefix) {
  const auto first = static_cast<std::uint32_t>(to.entries.size());
  for (ModelEntry& entry : from.entries) {
    entry.fqn = prefix + entry.fqn;
    if (entry.path)
      entry.path->insert(entry.path->begin(), {entry.path->empty() ? std::uint16_t{2} : std::uint16_t{1}, 0, 0});
    to.entries.push_back(std::move(entry));
  }
  for (const std::uint32_t key : from.planner_data.value_or(std::vector<std::uint32_t>()))
    to.planner_data->push_back(first + key);
  for (ModelItem& item : from.storage_data.value_or(std::vector<ModelItem>())) {
    item.fqn = prefix + item.fqn;
    to.storage_data->push_back(std::move(item));
  }
  for (ModelOpaque& record : from.opaque) {
    record.name = prefix + record.name;
    to.opaque.push_back(std::move(record));
  }
  if (from.storage_meta) to.storage_meta = std::move(from.storage_meta);
}

}  // namespace

Buffer sharded_file() {
  auto builder = MetadataBuilder::create();
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) builder.add_file(fmt::format("__{}_0.distcp", rank));
  for (std::uint32_t t = 0; t < 400; ++t) {
    TensorStorageMetadata tensor;
    tensor.size = {4 * kRanks, 512 + t};
    tensor.chunks = cut(tensor.size, t);
    std::vector<StoredAt> stored;
    for (std::uint32_t i = 0; i < kRanks; ++i) {
      const std::uint32_t rank = t % 8 == 4 ? i * 37 % kRanks : i;  // 4: in an order of its own
      stored.push_back({.file = rank, .byte_offset = t * 70'000ULL + i, .length = 60'000 + t % 5 * i, .rank = rank});
    }
    taken(builder.add_tensor(fmt::format("model.layers.{}.weight", t), tensor, stored));
  }
  return taken(std::move(builder).finish());
}

Buffer names_file() {
  auto builder = MetadataBuilder::create();
  const std::uint32_t file = builder.add_file("__0_0.distcp");
  for (std::uint32_t i = 0; i < 12'000; ++i) {
    const std::string group = fmt::format("layers.{}.experts", i % 61);
    const std::string number = std::to_string(i);
    const std::string fqn = fmt::format("model.{}.{}.weight", group, number);
    const StoredAt stored{.file = file, .byte_offset = i * 4096ULL, .length = 4000 + i % 3};
    if (i % 10 == 9) {
      taken(builder.add_bytes(fqn, stored));
    } else {
      const Size size{1 + i % 100, 8};
      taken(builder.add_tensor(fqn, {{}, size, {{{0, 0}, size}}}, {&stored, 1}));
    }
    const PlannerKey path[] = {std::string_view("model"), std::string_view(group), std::int64_t{i},
                               std::string_view("weight")};
    taken(builder.set_planner_path(fqn, path));
  }
  return taken(std::move(builder).finish());
}

Buffer odd_file() {
  std::mt19937_64 random(11);
  Model model;
  model.storage_data.emplace();
  model.planner_data.emplace();
  for (int i = 0; i < 150; ++i) append(model, random_model(random), std::to_string(i) + '.');
  for (std::uint32_t i = 0; i < 3'000; ++i) {
    model.opaque.push_back(
        {static_cast<OpaqueKind>(i % 9), i, fmt::format("record.{}", i), "\x80\x04N." + std::string(i % 50, 'x')});
  }
  for (std::int64_t i = 0; i < 2'000; ++i) {
    model.storage_data->push_back(
        {fmt::format("loose.{}", i / 3), Size{i % 3, i}, std::nullopt, {"loose.distcp", 1, 2, std::nullopt}});
  }
  model.version = "1.0.0";
  model.source = SourceRecord{1, 2, 3, true, "tag"};
  model.metadata_class = "some.module SomeMetadata";
  return encoded(model, &random);
}

}  // namespace flatpoint::test
