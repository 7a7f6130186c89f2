#include "support/model.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <tuple>

namespace flatpoint::test {

std::optional<std::pair<std::size_t, std::size_t>> Model::chunk_of(const ModelItem& item) const {
  for (std::size_t e = 0; e < entries.size(); ++e) {
    const ModelEntry& entry = entries[e];
    if (entry.fqn != item.fqn) continue;
    if (entry.type == StorageType::Bytes && !item.offset) return std::pair(e, std::size_t{0});
    if (entry.type != StorageType::Tensor || !item.offset) return std::nullopt;
    for (std::size_t c = 0; c < entry.chunks.size(); ++c) {
      if (entry.chunks[c].offsets == *item.offset) return std::pair(e, c);
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> Model::usual_index(const ModelItem& item) const {
  const auto chunk = chunk_of(item);
  if (!chunk || !item.offset) return std::nullopt;
  return static_cast<std::int64_t>(chunk->second);
}

ModelEntry tensor(std::string fqn, Size size, std::vector<ChunkStorageMetadata> chunks) {
  ModelEntry entry;
  entry.fqn = std::move(fqn);
  entry.size = std::move(size);
  entry.chunks = std::move(chunks);
  return entry;
}

ModelEntry whole(std::string fqn, Size size) {
  std::vector<ChunkStorageMetadata> chunks{{Size(size.size(), 0), size}};
  return tensor(std::move(fqn), std::move(size), std::move(chunks));
}

ModelEntry bytes(std::string fqn) {
  ModelEntry entry;
  entry.fqn = std::move(fqn);
  entry.type = StorageType::Bytes;
  return entry;
}

std::vector<ChunkStorageMetadata> grid(const std::vector<Size>& splits) {
  std::vector<ChunkStorageMetadata> chunks{{}};
  for (const Size& points : splits) {
    std::vector<ChunkStorageMetadata> finer;
    for (const ChunkStorageMetadata& chunk : chunks) {
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

std::vector<ChunkStorageMetadata> even_grid(const Size& size, const Size& parts) {
  std::vector<Size> splits;
  for (std::size_t d = 0; d < size.size(); ++d) {
    const std::int64_t step = (size[d] + parts[d] - 1) / parts[d];
    Size& points = splits.emplace_back();
    for (std::int64_t i = 0; i <= parts[d]; ++i) points.push_back(std::min(i * step, size[d]));
  }
  return grid(splits);
}

void store_all(Model& model, std::size_t per_file) {
  auto& items = model.storage_data.emplace();
  std::set<std::pair<std::string, std::optional<Size>>> seen;
  const auto add = [&](const ModelEntry& entry, std::optional<Size> offset) {
    if (!seen.emplace(entry.fqn, offset).second) return;
    ModelItem item;
    item.fqn = entry.fqn;
    item.offset = std::move(offset);
    const std::size_t number = items.size();
    item.info.relative_path = "__" + std::to_string(number / per_file) + "_0.distcp";
    item.info.offset = 100 * (number % per_file);
    item.info.length = 90 + number % 3;
    item.index = model.usual_index(item);
    items.push_back(std::move(item));
  };
  for (const ModelEntry& entry : model.entries) {
    if (entry.type == StorageType::Bytes) add(entry, std::nullopt);
    for (const ChunkStorageMetadata& chunk : entry.chunks) add(entry, chunk.offsets);
  }
}

Buffer encoded(const Model& model, std::mt19937_64* layout) {
  auto file = write::finish(to_draft(model, layout));
  if (!file) throw std::runtime_error(file.error().message);
  return std::move(*file);
}

MetadataFile opened(const Model& model) {
  auto file = MetadataFile::from_buffer(encoded(model));
  if (!file) throw std::runtime_error(file.error().message);
  return std::move(*file);
}

}  // namespace flatpoint::test
